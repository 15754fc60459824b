"""`make build`: pip's cache, a company's network, and what a failed build leaves.

Each of the three builders is tried: Podman, Docker's BuildKit where a client here can use it, and
Docker's legacy builder. Packages come from an index on the engine's own bridge, which counts.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import NAMES, PROJECT, clean_environment, make, need_podman

pytestmark = [pytest.mark.engine, pytest.mark.linux]
PACKAGES = ("sm-big", "sm-small")


class Index:
    """An index of Python packages, and the paths that were asked for."""

    def __init__(self, folder: Path, address: str) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_):
                asked.append(self.path)

            def end_headers(self):
                if self.path.endswith(".whl"):  # as PyPI says of files: pip may keep them
                    self.send_header("Cache-Control", "max-age=365000000, immutable, public")
                super().end_headers()

        handler = partial(Handler, directory=str(folder))
        self.server = ThreadingHTTPServer((address, 0), handler)
        self.url = f"http://{address}:{self.server.server_port}/simple"

    def wheels(self) -> list[str]:
        """Return the wheels that were fetched since the last time, each with its number."""
        found = sorted(Path(path).name for path in self.asked if path.endswith(".whl"))
        self.asked.clear()
        return found


def wheel(folder: Path, name: str) -> None:
    """Write a package of one module into an index."""
    module = name.replace("-", "_")
    place = folder / "simple" / name
    place.mkdir(parents=True)
    info = f"{module}-1.0.dist-info"
    with zipfile.ZipFile(place / f"{module}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    (place / "index.html").write_text(
        f'<a href="{module}-1.0-py3-none-any.whl">{module}-1.0-py3-none-any.whl</a>'
    )


def own_address() -> str:
    """Return this machine's address, which containers reach on every engine's bridge."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return probe.getsockname()[0]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    for name in PACKAGES:
        wheel(folder, name)
    index = Index(folder, own_address())
    thread = threading.Thread(target=index.server.serve_forever, daemon=True)
    thread.start()
    yield index
    index.server.shutdown()
    thread.join(30)


@pytest.fixture(scope="module")
def with_pip(docker, base_image, tmp_path_factory) -> str:
    """Return an image with pip, this environment's."""
    import pip

    name, folder = f"{NAMES}-pip:1", tmp_path_factory.mktemp("pip")
    shutil.copytree(Path(pip.__file__).parent, folder / "pip")
    dockerfile = f"FROM {base_image}\nCOPY pip /opt/pip/pip\nENV PYTHONPATH=/opt/pip PIP_BREAK_SYSTEM_PACKAGES=1\n"
    (folder / "Dockerfile").write_text(dockerfile)
    command = ["docker", "build", "--quiet", "--tag", name, folder]
    subprocess.run(command, check=True, capture_output=True)
    yield name
    docker.images.remove(name, force=True)


def client_with_buildkit() -> str:
    """Return the folder of a docker client that can use BuildKit, '' if none is here."""
    for folder in os.environ["PATH"].split(os.pathsep):
        client = Path(folder, "docker")
        if client.exists():
            done = subprocess.run(
                [client, "build", "--help"],
                capture_output=True,
                text=True,
                check=False,
                env=clean_environment(DOCKER_BUILDKIT="1"),
            )
            if "--secret" in done.stdout:
                return folder
    return ""


class Builder:
    """One of the ways to build a project, with the environment that leads to it."""

    def __init__(self, name: str, base: str) -> None:
        self.engine, self.base = "podman" if name == "podman" else "docker", base
        self.environment = clean_environment(DOCKER_BUILDKIT=str(int(name == "buildkit")))
        self.environment.pop("PIP_INDEX_URL", None)
        self.name = name
        if name == "buildkit":
            path = f"{client_with_buildkit()}:{os.environ['PATH']}"
            self.environment["PATH"] = path

    def build(self, project: Path, *words: str, packages: tuple[str, ...] = ()):
        (project / "container/requirements.txt").write_text("".join(f"{x}\n" for x in packages))
        return make(
            project,
            "build",
            f"ENGINE={self.engine}",
            f"BASE_IMAGE={self.base}",
            *words,
            env=self.environment,
            timeout=300,
        )

    def ask(self, *words: str) -> str:
        command = [self.engine, *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=self.environment
        ).stdout

    def untagged(self) -> set[str]:
        listed = self.ask("images", "--quiet", "--no-trunc", "--filter", "dangling=true")
        return set(listed.split())

    def everything_in(self, image: str) -> str:
        """Return what an image says of itself, and its history."""
        return self.ask("image", "inspect", image) + self.ask("history", "--no-trunc", image)

    def run(self, image: str, *words: str) -> str:
        return self.ask("run", "--rm", "--network", "none", image, *words)


@pytest.fixture(params=["legacy", "buildkit", "podman"])
def builder(request, docker, with_pip, tmp_path):
    if request.param == "buildkit" and not client_with_buildkit():
        pytest.fail("no docker client here can use BuildKit; install docker-buildx-plugin")
    base = with_pip
    if request.param == "podman":
        need_podman()
        archive = tmp_path / "base.tar"
        subprocess.run(["docker", "save", "--output", archive, base], check=True)
        subprocess.run(["podman", "load", "--input", archive], check=True, capture_output=True)
        base = f"docker.io/library/{base}"
    one = Builder(request.param, base)
    yield one
    one.ask("rmi", "--force", f"{PROJECT}:latest")
    if request.param == "podman":
        one.ask("rmi", "--force", base)
    if request.param == "buildkit":
        one.ask("builder", "prune", "--all", "--force", "--filter", "type=exec.cachemount")


def test_one_more_package_is_all_that_is_fetched(builder, project, index):
    url = f"PIP_INDEX_URL={index.url}"
    done = builder.build(project, url, packages=PACKAGES[:1])
    assert done.returncode == 0, done.stdout
    assert index.wheels() == ["sm_big-1.0-py3-none-any.whl"]
    done = builder.build(project, url, packages=PACKAGES)
    assert done.returncode == 0, done.stdout
    fetched = index.wheels()
    if builder.name == "legacy":
        assert "no BuildKit here" in done.stdout and len(fetched) == 2
    else:
        assert fetched == ["sm_small-1.0-py3-none-any.whl"], done.stdout
    ran = builder.run(f"{PROJECT}:latest", "python3", "-c", "import sm_big, sm_small; print('in')")
    assert ran == "in\n"
    cached = builder.run(f"{PROJECT}:latest", "find", "/run/pip-cache", "/root/.cache", "-type", "f")
    assert cached == ""
    assert not list(project.glob("recipes/.build-*"))
