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
import projects
import pytest
from house import CACHE  # noqa: F401
from projects import (  # noqa: F401 (tests take them from here)
    PUBLIC_BASE,
    REPO,
    SCRIPT,
    USER,
    answers,
    bake,
    clean_environment,
    everybodys_python,
    jobs,
    last_job,
    make,
    need,
    need_podman,
    script,
)

sys.dont_write_bytecode = (
    True  # the template directory is imported from; a __pycache__ there would be baked
)
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

TEMPLATE = REPO / "<<cookiecutter.project>>"
# The session's number, which its workers inherit: what it leaves on an engine is found by it.
RUN = os.environ.setdefault("SUITE_OF", str(os.getpid()))
NAMES = f"sm-local-test-{RUN}"
# and so the image: two runs on one engine, or two workers, do not take it from each other
PROJECT = NAMES + os.environ.get("PYTEST_XDIST_WORKER", "").replace("gw", "-w")
DEBIAN_BASE = f"{NAMES}-base:bookworm"

sys.path.insert(0, str(TEMPLATE))


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
        return projects.base_image(DEBIAN_BASE)


@pytest.fixture(scope="session")
def baked(tmp_path_factory) -> Path:
    """Return a project as the template bakes it, with its environment made; tests copy it."""
    folder = tmp_path_factory.mktemp("baked")
    project = bake(folder, project=PROJECT, accept_hooks=False)
    done = make(project, "sm_local/.venv/ready", timeout=300, env=everybodys_python())
    assert done.returncode == 0, done.stdout
    return project


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


@pytest.fixture
def image_if_docker(request) -> None:
    """Build the image for those of a test's engines that are Docker, or give it to Podman."""
    if "docker" in request.node.name:
        request.getfixturevalue("built")
    if "podman" in request.node.name:
        request.getfixturevalue("own_in_podman")


@pytest.fixture(scope="session")
def in_podman(built, tmp_path_factory):
    """Give Podman the project's image."""
    need_podman()
    archive = tmp_path_factory.mktemp("podman") / "image.tar"
    subprocess.run(["docker", "save", "--output", archive, built], check=True)
    subprocess.run(["podman", "load", "--input", archive], check=True, capture_output=True)
    subprocess.run(
        ["podman", "tag", f"docker.io/library/{built}", f"localhost/{built}"],
        check=False,
        capture_output=True,
    )
    yield built
    subprocess.run(
        ["podman", "rmi", "--force", f"localhost/{built}", f"docker.io/library/{built}"],
        check=False,
        capture_output=True,
    )


@pytest.fixture
def own_in_podman(project, in_podman) -> None:
    """Let Podman's image be the project's own: it has the ID that it has in Docker."""
    shutil.copy(project / "recipes/.built-docker", project / "recipes/.built-podman")


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
