"""Old jobs cost nothing: what is started does not grow with them. benchmarks/ has the seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter

import pytest
from conftest import clean_environment, jobs, make, script
from test_ownership import as_user

pytestmark = pytest.mark.linux
PROGRAMS = ("ps", "find", "grep", "sed", "awk", "cat", "ls", "stat", "tail", "head", "sort", "du")


@pytest.fixture
def counted(tmp_path):
    """Return an environment whose programs are noted, and a function that counts them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    notes = tmp_path / "notes"
    for name in PROGRAMS:
        (folder / name).write_text(
            f'#!/bin/sh\necho {name} >> {notes}\nexec {shutil.which(name)} "$@"\n'
        )
        (folder / name).chmod(0o755)
    tmp_path.chmod(0o755)

    def count() -> Counter:
        """Return what was started since the last time."""
        started = Counter(notes.read_text().split())
        notes.write_text("")
        return started

    notes.write_text("")
    notes.chmod(0o666)
    return clean_environment(PATH=f"{folder}:{os.environ['PATH']}"), count


def grow(project, number: int) -> None:
    """Add old jobs: every second one ended, the others were killed."""
    (first, *_) = jobs(project)
    for n in range(number):
        job = project / f"output/old-20260101-{len(jobs(project)):06}"
        shutil.copytree(first, job)
        (job / "record/engine").write_text(("docker\n", "sandbox\n")[n % 3 > 1])
        if n % 2:
            (job / "status").write_text("InProgress\n")
            (job / "record/recipe").write_text("999999999 1 here\n")
            (job / "container-id").write_text("999999999\n")
            (job / "stage").mkdir()


@pytest.fixture
def grown(project):
    script(project, "")
    assert make(project, "train", "ENGINE=sandbox").returncode == 0
    grow(project, 3)
    return project


@pytest.mark.parametrize("verb", ["jobs", "stop", "train ENGINE=sandbox", "logs", "attach"])
def test_a_verb_starts_no_more_programs(grown, counted, verb):
    environment, count = counted
    make(grown, *verb.split(), env=environment)  # which sees another PATH
    count()
    make(grown, *verb.split(), env=environment)
    few = count()
    grow(grown, 30)
    make(grown, *verb.split(), env=environment)
    assert count() == few


def test_nor_does_chown(grown, counted):
    environment, count = counted
    if os.geteuid() == 0:
        subprocess.run(["chown", "-hR", "12345:12345", grown], check=True)
    seen = []
    for _ in range(2):
        done = subprocess.run(
            [*as_user(grown), "bash", "sm_local/libexec/chown.sh"],
            cwd=grown,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == "sm-local: nothing here belongs to root\n"
        seen.append(count())
        grow(grown, 30)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-hR", "12345:12345", grown], check=True)
    assert seen[0] == seen[1]


def test_each_job_is_listed_as_it_is(grown):
    grow(grown, 30)
    lines = make(grown, "jobs").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == sorted(path.name for path in jobs(grown))
    by_name = {line.split()[0]: line.split()[1] for line in lines}
    for job in jobs(grown):
        ended = (job / "status").read_text().split()[0]
        assert by_name[job.name] == {"InProgress": "Abandoned"}.get(ended, ended)


def test_a_running_job_is_found_among_many(grown):
    grow(grown, 30)
    script(grown, "print('ready', flush=True); time.sleep(60)")
    running = subprocess.Popen(
        ["make", "train", "ENGINE=sandbox"],
        cwd=grown,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with running:
        while "ready" not in running.stdout.readline():
            pass
        assert make(grown, "jobs").stdout.count("InProgress") == 1
        assert make(grown, "stop", "STOP_GRACE=1").stdout.count("stopping ") == 1
        running.communicate(timeout=60)
