"""A full disk: what could not be kept is named in a line, the rest is kept, and nobody says 0."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess

import pytest
from conftest import jobs, last_job, make, script

pytestmark = [
    pytest.mark.linux,
    pytest.mark.usefixtures("image_if_docker"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a disk to fill is root's to make"),
]
ENGINES = [pytest.param("docker", marks=pytest.mark.engine), "sandbox"]
FILL = """
with open("/opt/ml/{0}", "wb", buffering=0) as file:
    try:
        while True: file.write(b"x" * 512)
    except OSError: pass
"""
FULL = "is the disk full?"


@contextlib.contextmanager
def small(folder):
    """Make a folder a disk of 1 MB."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "full", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder) -> None:
    """Leave no room for a byte."""
    with open(folder / "all", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def train(project, engine: str):
    done = make(project, "train", f"ENGINE={engine}")
    assert not re.search(r"line \d+:|write error|Traceback|SIGKILL", done.stdout), done.stdout
    return done


def facts(project) -> list[str]:
    """Return the last job's status, without its seconds, and its exit status."""
    job = jobs(project)[-1]
    return [(job / name).read_text().split()[0] for name in ("status", "exit-code")]


@pytest.mark.parametrize("engine", ENGINES)
def test_during_training(project, engine):
    """A job that fails because of it: its status and its exit status are known."""
    script(project, FILL.format("model/all") + "sys.exit(3)")
    with small(project / "output"):
        done = train(project, engine)
        assert done.returncode == 2 and "Error 3\n" in done.stdout
        assert facts(project) == ["Failed", "3"] and "sm-local: Failed after" in done.stdout
        assert " Failed " in make(project, "jobs").stdout


@pytest.mark.parametrize("engine", ENGINES)
def test_while_it_is_packed(project, engine):
    """A job that succeeds: its model is there, its archive is not."""
    script(project, FILL.format("model/all").replace('b"x" * 512', "os.urandom(512)"))
    with small(project / "output"):
        done = train(project, engine)
        assert done.returncode == 2 and "Error 1\n" in done.stdout
        assert "sm-local: could not pack model.tar.gz (above); the files are" in done.stdout
        assert facts(project) == ["Completed", "0"]
        assert (last_job(project) / "model/all").stat().st_size > 500000
        assert not list(last_job(project).glob("*.gz"))


@pytest.mark.parametrize("hosts", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_while_it_logs(project, engine, hosts):
    """All is shown; the log's end is missing, and the job's own end is not 0."""
    script(project, "for n in range(60000): print('a line of the log', n)\nprint('the last one')")
    (project / "job.yaml").write_text(
        f"ResourceConfig: {{InstanceType: ml.m5.large, InstanceCount: {hosts}}}\n"
    )
    with small(project / "output"):
        done = train(project, engine)
        assert done.stdout.count("a line of the log 5999") == 11 * hosts
        assert done.stdout.count("the last one\n") == hosts
        line = (
            f"sm-local: the log in output/{jobs(project)[-1].name} could not be written to its end"
        )
        assert f"{line}; {FULL}\n" in done.stdout
        assert done.returncode == 2 and "Error 1\n" in done.stdout
        assert facts(project) == ["Completed", "0"]


@pytest.mark.parametrize("engine", ENGINES)
def test_before_it_starts(project, engine):
    make(project, "recipe", f"ENGINE={engine}")
    with small(project / "output") as disk:
        fill(disk)
        done = train(project, engine)
        first, *rest = done.stdout.splitlines()
        assert re.fullmatch(rf"sm-local: output/\S+ could not be made; {re.escape(FULL)} .*", first)
        assert len(rest) == 1 and rest[0].startswith("make: ***")
        assert jobs(project) == [] and {*os.listdir(disk)} == {".open", "all"}


def test_before_there_is_a_recipe(project):
    with small(project / "recipes") as disk:
        fill(disk)
        done = train(project, "sandbox")
        first, *rest = done.stdout.splitlines()
        assert first == "sm-local: the recipe was not written: No space left on device"
        assert len(rest) == 1 and rest[0].startswith("make: ***")


def test_a_disk_with_room_reserves_no_more_than_it_needs(project):
    script(project, "print('x')")
    assert train(project, "sandbox").returncode == 0
    job = last_job(project)
    assert (job / "record/reserve").stat().st_size < 10
    assert (job / "exit-code").read_text() == "0\n"
    assert re.fullmatch(r"Completed \d+\n", (job / "status").read_text())
