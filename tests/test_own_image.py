"""Yours is yours: a project runs the image that was built in its folder, whatever has its name."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import clean_environment, jobs, make

pytestmark = pytest.mark.engine
WHOSE = "CODE=baked"  # the image's own copy of code/, which says whose image it is


@pytest.fixture
def two(project, built, docker, tmp_path) -> tuple[Path, Path]:
    """Return two projects of one name, the second built last: it has the name."""
    other, usual, records = tmp_path / "elsewhere" / project.name, docker.images.get(built), []
    shutil.copytree(project, other, symlinks=True)
    for place, text in ((project, "first"), (other, "second")):
        (place / "code/train.py").write_text(f"print('the {text} image')\n")
        done = make(place, "build", "ENGINE=docker")
        assert done.returncode == 0, done.stdout
        records.append((place / "recipes/.built-docker").read_text().split()[0])
    yield project, other
    usual.tag(built)
    for record in records:
        subprocess.run(["docker", "rmi", "--force", record], capture_output=True, check=False)


def test_each_project_trains_in_its_own_image(two):
    for place, text in zip(two, ("first", "second")):
        done = make(place, "train", "ENGINE=docker", WHOSE)
        assert f"the {text} image\n" in done.stdout, done.stdout
        assert f"image {place.name}:latest\n" in done.stdout  # people read names


def test_so_do_a_shell_and_a_full_recipe(two):
    first, _ = two
    make(first, "recipe", "ENGINE=docker", "VERB=shell", WHOSE)
    done = bash(first, "recipes/shell.sh", "cat /opt/ml/code/train.py\n")
    assert "the first image" in done.stdout, done.stderr
    (first / "full.sh").write_text(
        make(first, "-s", "recipe", "ENGINE=docker", "FULL=1", WHOSE).stdout
    )
    done = bash(first, "full.sh", "")
    assert "the first image\n" in done.stdout, done.stderr


def bash(project: Path, recipe: str, said: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", recipe],
        cwd=project,
        input=said,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_name_that_is_typed_stays_a_name(two):
    first, _ = two
    done = make(first, "train", "ENGINE=docker", WHOSE, f"IMAGE={first.name}:latest")
    assert "the second image\n" in done.stdout, done.stdout


def test_a_project_that_was_never_built_takes_nobody_s_image(two, docker):
    first, _ = two
    shutil.rmtree(first / "recipes")
    image = f"{first.name}:latest"
    said = (
        f"sm-local: image '{image}' was not built in this folder; run 'make build', "
        f"or run whatever has that name: IMAGE={image}"
    )
    for verb in ("train", "process", "shell"):
        done = make(first, verb, "ENGINE=docker")
        assert said in done.stdout.splitlines() and done.returncode == 2, done.stdout
    assert jobs(first) == []


def test_an_image_that_is_gone_says_make_build(two):
    first, _ = two
    gone = (first / "recipes/.built-docker").read_text().split()[0]
    subprocess.run(["docker", "rmi", "--force", gone], check=True, capture_output=True)
    for verb in ("train", "shell"):
        done = make(first, verb, "ENGINE=docker")
        line = f"sm-local: image '{first.name}:latest' is not here; run 'make build'"
        assert line in done.stdout.splitlines(), done.stdout
    assert jobs(first) == []


def test_a_build_that_fails_keeps_the_last_image(two):
    first, _ = two
    with open(first / "container/Dockerfile", "a") as file:
        file.write("RUN exit 3\n")
    assert make(first, "build", "ENGINE=docker").returncode == 2
    done = make(first, "train", "ENGINE=docker", WHOSE)
    assert "the first image\n" in done.stdout, done.stdout
    assert not list((first / "recipes").glob(".id-*"))
