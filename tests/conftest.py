"""Fixtures: an engine, a base image, a baked project, and `make` in it.

A test comes in by the user's door: bake, call make, look at what happened. The engine is the one
that answers; a fresh Debian where we are root gets one of its own, which is stopped at the end.
Under pytest-xdist these fixtures are each
worker's own; the engine, the base image and what is given back at the end are the controller's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import docker as docker_sdk
import house
import pytest
from house import CACHE

sys.dont_write_bytecode = (
    True  # the template directory is imported from; a __pycache__ there would be baked
)
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

REPO = Path(__file__).parent.parent
TEMPLATE = REPO / "<<cookiecutter.project>>"
# The session's number, which its workers inherit: what it leaves on an engine is found by it.
RUN = os.environ.setdefault("SUITE_OF", str(os.getpid()))
NAMES = f"sm-local-test-{RUN}"
# and so the image: two runs on one engine, or two workers, do not take it from each other
PROJECT = NAMES + os.environ.get("PYTEST_XDIST_WORKER", "").replace("gw", "-w")
PUBLIC_BASE = "python:3.12-slim"
DEBIAN_BASE = f"{NAMES}-base:bookworm"
USER = 12345  # a number without an account, for the tests that must not be root

sys.path.insert(0, str(TEMPLATE))


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
        pytest.fail(
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


@pytest.fixture(scope="session")
def daemon():
    """Make sure that a Docker engine answers; start one of our own where none does."""
    if answers():
        yield
        return
    if os.geteuid():
        pytest.fail("no Docker engine answers, and only root can start one")
    need("iptables", "iptables")
    os.environ["DOCKER_HOST"] = house.engine_of_our_own(need("dockerd", "docker.io"), answers)
    yield
    os.environ.pop("DOCKER_HOST")


@pytest.fixture(scope="session")
def docker(daemon):
    """Return a client of the engine."""
    client = docker_sdk.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def base_image(docker) -> str:
    """Return an image with python3: the public one, else one made once from Debian's packages."""
    with house.locked("base"):
        for name in (PUBLIC_BASE, DEBIAN_BASE):
            if docker.images.list(name):
                return name
        pull = ["docker", "pull", "--quiet", PUBLIC_BASE]
        if not subprocess.run(pull, capture_output=True, timeout=600, check=False).returncode:
            return PUBLIC_BASE
        command = ["docker", "import", str(debian()), DEBIAN_BASE]
        subprocess.run(command, check=True, capture_output=True)
        return DEBIAN_BASE


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


@pytest.fixture(scope="session")
def baked(tmp_path_factory) -> Path:
    """Return a project as the template bakes it, with its environment made; tests copy it."""
    folder = tmp_path_factory.mktemp("baked")
    project = bake(folder, project=PROJECT, accept_hooks=False)
    done = make(project, "sm_local/.venv/ready", timeout=300, env=everybodys_python())
    assert done.returncode == 0, done.stdout
    return project


def everybodys_python() -> dict[str, str]:
    """Return an environment in which root makes venvs of the system's Python.

    One of root's own, of pyenv or uv, lies
    in a home that is closed to the unprivileged caller of some tests."""
    if os.geteuid() or not Path("/usr/bin/python3").exists():
        return clean_environment()
    path = f"/usr/bin:/bin:{os.environ['PATH']}"
    return clean_environment(PATH=path, UV_PYTHON_PREFERENCE="only-system")


def open_up(folder: Path) -> None:
    """Let everybody enter a folder and pytest's folders above it, which are for their owner."""
    for path in (folder, *folder.parents):
        if path == Path(os.environ["SUITE_TEMP"]).parent:
            return
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


def containers(docker, project: Path, what: str = "job") -> list[str]:
    """Return the names of a project's containers, or of its helpers, running or not."""
    labels = [f"sm-local.project={project}", f"sm-local.{what}"]
    found = docker.api.containers(all=True, filters={"label": labels})
    return [name for container in found for name in container["Names"]]


# Tests that serve credentials use the one address that SageMaker has for them: they take turns.
AT_ONE_ADDRESS = ("test_credentials", "test_conform")


@pytest.fixture(autouse=True)
def turn_at_the_one_address(request):
    with contextlib.ExitStack() as stack:
        if request.module.__name__ in AT_ONE_ADDRESS:
            stack.enter_context(house.locked("169.254.170.2"))
        yield


def is_worker(config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)  # before pytest makes its folder for temporary files
def pytest_configure(config):
    """Come in: once for all workers."""
    if is_worker(config):
        return
    for number in (signal.SIGTERM, signal.SIGHUP):  # they end a session as Ctrl-C does
        signal.signal(number, signal.default_int_handler)
    config.stay = house.Stay()
    if not config.option.basetemp:
        config.option.basetemp = tempfile.mkdtemp(prefix="sm-local-tests-")
        config.own_temp = True
    os.environ["SUITE_TEMP"] = str(Path(config.option.basetemp).resolve())
    if os.geteuid() == 0:
        house.open_way_to(Path(os.environ["SUITE_TEMP"]))


def pytest_unconfigure(config):
    """Leave, after Ctrl-C too."""
    if is_worker(config) or not hasattr(config, "stay"):
        return
    for engine in ("docker", "podman"):
        if shutil.which(engine):
            house.sweep(engine, NAMES, os.environ["SUITE_TEMP"])
    if hasattr(config, "own_temp"):
        house.remove_temp(Path(os.environ["SUITE_TEMP"]), keep=getattr(config, "failed", True))
    config.stay.leave()


def pytest_terminal_summary(terminalreporter, config):
    """Say loudly what was skipped: what nobody runs is no check. And where files are."""
    for report in terminalreporter.stats.get("skipped", []):
        terminalreporter.write_line(
            f"NOT RUN: {report.nodeid}: {report.longrepr[-1] if report.longrepr else ''}"
        )
    if hasattr(config, "own_temp") and config.failed:
        terminalreporter.write_line(f"files of the tests are kept in {os.environ['SUITE_TEMP']}")


def pytest_sessionfinish(session, exitstatus):
    """In CI a skip is a failure."""
    if is_worker(session.config):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and exitstatus == 0 and reporter.stats.get("skipped"):
        session.exitstatus = 1
    session.config.failed = session.exitstatus not in (0, 5)
