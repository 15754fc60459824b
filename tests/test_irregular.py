"""What is no file in the place of one: a line at once, from every verb, and nothing hangs."""

from __future__ import annotations

import os
import shutil
import socket

import pytest
from conftest import jobs, make

HYPERPARAMETERS = "opt/ml/input/config/hyperparameters.json"
FILES = {"job.yaml": "train", "processing.yaml": "process", "settings.env": "train"}
FILES |= {"settings.local.env": "train", HYPERPARAMETERS: "train"}
WITHOUT_PYTHON = ("jobs", "logs", "stop", "pack", "chown", "clean", "help")


def put(path, what: str) -> None:
    """Put something that is no file in the place of one."""
    path.unlink(missing_ok=True)
    if what == "FIFO":
        os.mkfifo(path)
    elif what == "socket":
        here = os.open(".", os.O_RDONLY)
        os.chdir(path.parent)  # an address has 107 characters at most
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
        os.fchdir(here)
        os.close(here)
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("what", ["FIFO", "socket", "device"])
@pytest.mark.parametrize("name", FILES)
def test_the_verb_that_needs_it_says_so_in_a_line(project, name, what):
    put(project / name, what)
    done = make(project, FILES[name], "ENGINE=sandbox", timeout=20)
    first, *rest = done.stdout.splitlines()
    assert first == f"sm-local: {name}: is a {what}; make it a file"
    assert len(rest) == 1 and rest[0].startswith("make: ***") and jobs(project) == []


@pytest.mark.parametrize("job", ["/dev/zero", "/dev/tty", "fifo", "-", "code"])
@pytest.mark.parametrize("verb", ["train", "shell", "recipe"])
def test_so_does_one_that_is_named(project, verb, job):
    os.mkfifo(project / "fifo")
    done = make(project, verb, "ENGINE=sandbox", f"JOB={job}", timeout=20)
    assert done.stdout.startswith(f"sm-local: {job}: ") and done.returncode == 2
    assert jobs(project) == []


@pytest.mark.parametrize("verb", WITHOUT_PYTHON)
def test_verbs_that_need_none_of_them_go_on(project, verb):
    for name in FILES:
        put(project / name, "FIFO")
    done = make(project, verb, timeout=20)
    assert "FIFO" not in done.stdout and "Traceback" not in done.stdout


@pytest.mark.linux
def test_a_link_to_a_file_is_a_file(project, tmp_path):
    for name in FILES:
        if (project / name).exists():
            shutil.move(project / name, tmp_path / os.path.basename(name))
            (project / name).symlink_to(tmp_path / os.path.basename(name))
    done = make(project, "train", "ENGINE=sandbox", "HP=epochs=1")
    assert done.returncode == 0, done.stdout


@pytest.mark.linux
def test_a_fifo_where_a_file_was_is_another_state(project):
    assert make(project, "train", "ENGINE=sandbox", "HP=epochs=1").returncode == 0
    put(project / HYPERPARAMETERS, "FIFO")
    done = make(project, "train", "ENGINE=sandbox", "HP=epochs=1", timeout=20)
    assert done.stdout.startswith(f"sm-local: {HYPERPARAMETERS}: is a FIFO; ")
