"""Fixtures: an engine, a base image, a baked project, and `make` in it.

A test comes in by the user's door: bake, call make, look at what happened. The engine is the one that answers; a fresh
Debian where we are root gets one of its own, which is stopped at the end.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import docker as docker_sdk
import pytest

sys.dont_write_bytecode = (
    True  # the template directory is imported from; a __pycache__ there would be baked
)
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

REPO = Path(__file__).parent.parent
TEMPLATE = REPO / "<<cookiecutter.project>>"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sm-local-tests"
PROJECT = f"sm-local-test-{os.getpid()}"  # and so the image: two runs on one engine do not take it from each other
PUBLIC_BASE = "python:3.12-slim"
DEBIAN_BASE = "sm-local-test-base:bookworm"
USER = 12345  # a number without an account, for the tests that must not be root

sys.path.insert(0, str(TEMPLATE))


def clean_environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without what would leak into make: AWS, MAKEFLAGS, our own variables."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "MAKE", "MFLAGS"))
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
    """Return the path of a program; install it where we may; fail, never skip, where we cannot."""
    places = (
        os.environ["PATH"] + ":/usr/sbin:/sbin:/usr/lib/cni:/usr/lib/podman:/usr/libexec/podman"
    )
    path = shutil.which(tool, path=places)
    if not path and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update"], check=True, capture_output=True)
        subprocess.run(
            ["apt-get", "install", "-y", "--no-install-recommends", *package.split()],
            check=True,
            capture_output=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        path = shutil.which(tool, path=places)
    if not path:
        pytest.fail(f"{tool} is missing; install the package {package}")
    return path


def need_podman() -> None:
    """Make sure of Podman, of what lets names resolve in its networks, which Debian packages apart, and of a runtime that works here.

    crun refuses a machine with cgroups of both versions if the second has controllers; runc does not.
    """
    need("podman", "podman")
    controllers = Path("/sys/fs/cgroup/unified/cgroup.controllers")
    if controllers.exists() and controllers.read_text().strip():
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE / "containers.conf").write_text(f'[engine]\nruntime = "{need("runc", "runc")}"\n')
        os.environ["CONTAINERS_CONF"] = str(CACHE / "containers.conf")
    if not shutil.which("aardvark-dns", path="/usr/lib/podman:/usr/libexec/podman"):
        need("dnsname", "golang-github-containernetworking-plugin-dnsname dnsmasq-base")


def answers(environment: dict[str, str] | None = None) -> bool:
    """Tell whether a Docker engine answers."""
    done = (
        subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=60,
            check=False,
            env=environment,
        )
        if shutil.which("docker")
        else None
    )
    return done is not None and done.returncode == 0


@pytest.fixture(scope="session")
def daemon():
    """Make sure that a Docker engine answers; start and stop one of our own where none does."""
    if answers():
        yield
        return
    need("docker", "docker.io")
    daemon, _ = need("dockerd", "docker.io"), need("iptables", "iptables")
    state = CACHE / "engine"
    state.mkdir(parents=True, exist_ok=True)
    socket = f"unix://{state}/docker.sock"
    with open(state / "log", "w") as log:
        process = subprocess.Popen(
            [
                daemon,
                "--data-root",
                str(state / "data"),
                "--exec-root",
                str(state / "exec"),
                "--pidfile",
                str(state / "pid"),
                "-H",
                socket,
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    os.environ["DOCKER_HOST"] = socket
    try:
        deadline = time.monotonic() + 60
        while not answers():
            assert process.poll() is None and time.monotonic() < deadline, (
                state / "log"
            ).read_text()[-2000:]
            time.sleep(0.3)
        os.chmod(state / "docker.sock", 0o666)  # the unprivileged caller of some tests
        for folder in (CACHE, *CACHE.parents):
            if folder.owner() == "root" and not folder.stat().st_mode & stat.S_IXOTH:
                os.chmod(folder, folder.stat().st_mode | stat.S_IXOTH)
        subprocess.run(
            ["docker", "system", "prune", "--force"], capture_output=True, check=True
        )  # what a run that was killed left there
        yield
    finally:
        process.terminate()
        process.wait(60)
        os.environ.pop("DOCKER_HOST")


@pytest.fixture(scope="session")
def docker(daemon):
    """Return a client of the engine."""
    client = docker_sdk.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def base_image(docker) -> str:
    """Return an image with python3: the public one, else one made from Debian's packages."""
    for name in (PUBLIC_BASE, DEBIAN_BASE):
        if docker.images.list(name):
            return name
    if (
        subprocess.run(
            ["docker", "pull", "--quiet", PUBLIC_BASE],
            capture_output=True,
            timeout=600,
            check=False,
        ).returncode
        == 0
    ):
        return PUBLIC_BASE
    archive = CACHE / "bookworm.tar"
    if not archive.exists():
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
    subprocess.run(["docker", "import", str(archive), DEBIAN_BASE], check=True, capture_output=True)
    return DEBIAN_BASE


def bake(folder: Path, *, template: Path = REPO, accept_hooks: bool = True, **given: str) -> Path:
    """Bake a project into a folder with the cookiecutter library; refuse a misspelt answer, which cookiecutter ignores."""
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


@pytest.fixture(scope="session")
def baked(tmp_path_factory) -> Path:
    """Return a project as the template bakes it, with its environment made; tests copy it."""
    folder = tmp_path_factory.mktemp("baked")
    project = bake(folder, project=PROJECT, accept_hooks=False)
    done = make(project, "sm_local/.venv/ready", timeout=300)
    assert done.returncode == 0, done.stdout
    return project


def open_up(folder: Path) -> None:
    """Let everybody enter a folder and those above it: pytest makes them for their owner alone."""
    for path in (folder, *folder.parents):
        if path.stat().st_uid == os.geteuid() and path.stat().st_mode & 0o005 != 0o005:
            path.chmod(path.stat().st_mode | 0o755)


@pytest.fixture
def project(baked, tmp_path) -> Path:
    """Return a project of the test's own, that needs no image."""
    copy = tmp_path / PROJECT
    shutil.copytree(baked, copy, symlinks=True)
    open_up(copy)
    return copy


@pytest.fixture(scope="session")
def built(baked, docker, base_image) -> str:
    """Build the project's image once; its name stands in every project's settings.env."""
    settings = baked / "settings.env"
    settings.write_text(
        settings.read_text().replace(f"BASE_IMAGE={PUBLIC_BASE}", f"BASE_IMAGE={base_image}")
    )
    done = make(baked, "build", "ENGINE=docker", timeout=600)
    assert done.returncode == 0, done.stdout
    yield f"{PROJECT}:latest"
    if docker.images.list(f"{PROJECT}:latest"):
        docker.images.remove(f"{PROJECT}:latest", force=True)


SCRIPT = """import os, pathlib, signal, sys, time
{body}
"""


def script(project: Path, body: str) -> None:
    """Replace the user's code."""
    (project / "code/train.py").write_text(SCRIPT.format(body=body))


def containers(docker, project: Path) -> list[str]:
    """Return the names of the containers that a project has, running or not."""
    return [
        name
        for container in docker.api.containers(
            all=True, filters={"label": f"sm-local.project={project}"}
        )
        for name in container["Names"]
    ]


def pytest_terminal_summary(terminalreporter):
    """Say loudly what was skipped: a check that nobody runs is no check."""
    for report in terminalreporter.stats.get("skipped", []):
        terminalreporter.write_line(
            f"NOT RUN: {report.nodeid}: {report.longrepr[-1] if report.longrepr else ''}"
        )


def pytest_sessionfinish(session, exitstatus):
    """In CI a skip is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and exitstatus == 0 and reporter.stats.get("skipped"):
        session.exitstatus = 1
