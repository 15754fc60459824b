"""`make demo` trains anywhere: in a container where an engine answers, else in the sandbox."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO, clean_environment

pytestmark = pytest.mark.linux


@pytest.fixture
def checkout(tmp_path) -> Path:
    """Return a copy of the repository with this environment in place of build/bake."""
    copy = tmp_path / "sm-local"
    shutil.copytree(
        REPO, copy, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"), symlinks=True
    )
    (copy / "build").mkdir()
    (copy / "build/bake").symlink_to(Path(sys.prefix))
    return copy


def demo(checkout: Path, **environment: str) -> str:
    done = subprocess.run(
        ["bash", "tools/demo.sh"],
        cwd=checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        env=clean_environment(**environment),
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "epoch=20; train_loss=" in done.stdout and "model.json" in done.stdout
    return done.stdout


def path_without(tmp_path: Path, *names: str) -> str:
    """Return a PATH that holds everything but some programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(place).glob("*") if Path(place).is_dir() else ():
            if program.name not in names:
                link = folder / program.name
                link.unlink(missing_ok=True)
                link.symlink_to(program)
    return str(folder)


def test_without_any_engine(checkout, tmp_path):
    said = demo(
        checkout, PATH=path_without(tmp_path, "docker", "dockerd", "podman", "uv"), DOCKER_HOST=""
    )
    assert "no container engine answers: training in the sandbox" in said


def test_with_a_client_and_no_daemon(checkout, tmp_path):
    said = demo(
        checkout,
        PATH=path_without(tmp_path, "podman", "dockerd", "uv"),
        DOCKER_HOST="unix:///nonexistent.sock",
    )
    assert "no container engine answers: training in the sandbox" in said


@pytest.mark.engine
def test_with_docker(checkout, docker, base_image):
    try:
        assert "docker answers: training in a container" in demo(checkout, BASE_IMAGE=base_image)
    finally:
        docker.images.remove("demo:latest", force=True)
