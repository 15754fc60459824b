"""Baked projects and what they need of a machine: what tests, benchmarks and faults share.

Nothing here knows pytest. `make` is called as a user calls it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from house import CACHE

REPO = Path(__file__).parent.parent
PUBLIC_BASE = "python:3.12-slim"
USER = 12345  # a number without an account, for those who must not be root


def clean_environment(**changes: str) -> dict[str, str]:
    """Return the environment without what would leak into make: AWS's, make's, pytest's, ours."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "MAKE", "MFLAGS", "PYTEST_", "SUITE_"))
    }
    kept.pop("VIRTUAL_ENV", None)
    return {**kept, **changes}


def make(
    project: Path, *arguments: str, timeout: float = 120, **options
) -> subprocess.CompletedProcess:
    """Run make in a project and return what it said, stdout and stderr together."""
    options.setdefault("env", clean_environment())
    return subprocess.run(
        ["make", *arguments],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        **options,
    )


def jobs(project: Path) -> list[Path]:
    """Return the jobs' folders, oldest first."""
    return sorted(
        (path for path in (project / "output").iterdir() if (path / "status").exists()),
        key=lambda path: path.stat().st_mtime,
    )


def last_job(project: Path) -> Path:
    """Return the folder of the last job."""
    return (project / "opt/ml/model").resolve().parent


def need(tool: str, package: str) -> str:
    """Return the path of a program; fail, never skip, if it is missing: setup-tests.sh said why."""
    places = (
        os.environ["PATH"] + ":/usr/sbin:/sbin:/usr/lib/cni:/usr/lib/podman:/usr/libexec/podman"
    )
    path = shutil.which(tool, path=places)
    if not path:
        raise LookupError(
            f"{tool} is missing; install the package {package}, as 'make test' does where it may"
        )
    return path


def need_podman() -> None:
    """Make sure of Podman, of names in its networks, and of a runtime that works here.

    Debian packages name resolution separately. crun refuses a machine with cgroups of both versions
    if the second has controllers; runc does not.
    """
    need("podman", "podman")
    controllers = Path("/sys/fs/cgroup/unified/cgroup.controllers")
    if controllers.exists() and controllers.read_text().strip():
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE / "containers.conf").write_text(f'[engine]\nruntime = "{need("runc", "runc")}"\n')
        os.environ["CONTAINERS_CONF"] = str(CACHE / "containers.conf")
    if not shutil.which("aardvark-dns", path="/usr/lib/podman:/usr/libexec/podman"):
        need("dnsname", "golang-github-containernetworking-plugin-dnsname dnsmasq-base")


def answers(address: str = "") -> bool:
    """Return whether a Docker engine answers, at an address or at the usual one."""
    if not shutil.which("docker"):
        return False
    host = ["--host", address] if address else []
    return (
        subprocess.run(
            ["docker", *host, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=60,
            check=False,
        ).returncode
        == 0
    )


def base_image(own: str) -> str:
    """Return an image with python3: the public one, else one made once from Debian's packages.

    `own` is what the latter is called. Whoever calls this holds the lock `base`.
    """
    for name in (PUBLIC_BASE, own):
        found = subprocess.run(
            ["docker", "image", "inspect", name], capture_output=True, timeout=60, check=False
        )
        if not found.returncode:
            return name
    pull = ["docker", "pull", "--quiet", PUBLIC_BASE]
    if not subprocess.run(pull, capture_output=True, timeout=600, check=False).returncode:
        return PUBLIC_BASE
    command = ["docker", "import", str(debian()), own]
    subprocess.run(command, check=True, capture_output=True)
    return own


def docker_user() -> list[str]:
    """Return the command prefix that makes us an unprivileged member of the docker group.

    It is empty when we are already unprivileged.
    """
    if os.geteuid():
        return []
    group = os.stat(
        os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    ).st_gid
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", f"--groups={group}"]


def debian() -> Path:
    """Return an archive of a small Debian; it stays in the cache."""
    archive = CACHE / "bookworm.tar"
    if archive.exists():
        return archive
    root = CACHE / "bookworm"
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(
        [
            need("debootstrap", "debootstrap"),
            "--variant=minbase",
            "--include=python3,ca-certificates",
            "bookworm",
            str(root),
        ],
        check=True,
        capture_output=True,
        timeout=900,
    )
    subprocess.run(["tar", "-C", str(root), "-cf", f"{archive}.new", "."], check=True)
    shutil.rmtree(root)
    os.replace(f"{archive}.new", archive)
    return archive


def bake(folder: Path, *, template: Path = REPO, accept_hooks: bool = True, **given: str) -> Path:
    """Bake a project into a folder; refuse a misspelt answer, which cookiecutter ignores."""
    import json

    from cookiecutter.main import cookiecutter

    known = json.loads((REPO / "cookiecutter.json").read_text())
    assert not given.keys() - known.keys(), given
    config = folder / "cookiecutter.yaml"
    config.write_text(f"cookiecutters_dir: {folder}/templates\nreplay_dir: {folder}/replay\n")
    return Path(
        cookiecutter(
            str(template),
            no_input=True,
            output_dir=str(folder),
            extra_context=given,
            config_file=str(config),
            accept_hooks=accept_hooks,
        )
    )


def everybodys_python() -> dict[str, str]:
    """Return an environment in which root makes venvs of the system's Python.

    One of root's own, of pyenv or uv, lies
    in a home that is closed to the unprivileged caller of some tests."""
    if os.geteuid() or not Path("/usr/bin/python3").exists():
        return clean_environment()
    path = f"/usr/bin:/bin:{os.environ['PATH']}"
    return clean_environment(PATH=path, UV_PYTHON_PREFERENCE="only-system")


SCRIPT = """import os, pathlib, signal, sys, time
{body}
"""


def script(project: Path, body: str) -> None:
    """Replace the user's code."""
    (project / "code/train.py").write_text(SCRIPT.format(body=body))
