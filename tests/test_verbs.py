"""The verbs that need neither a job nor an engine: clean, pack, jobs, stop, recipe."""

import os
import shutil
import socket
import subprocess
import tarfile

import pytest
from conftest import clean_environment, last_job, make
from terminal import Terminal, eventually

NO_ENGINE = {"PATH": "/usr/bin:/bin", "DOCKER_HOST": "unix:///nonexistent"}


def leave_a_job(project, name: str = "j-20260101-000000", status: str = "Completed 3"):
    """Make the folder of a finished job by hand."""
    folder = project / "output" / name
    for part in ("model", "output/data", "config"):
        (folder / part).mkdir(parents=True)
    (folder / "model/m").write_text("m")
    (folder / "status").write_text(status + "\n")
    (folder / "exit-code").write_text("0\n")
    if (project / "opt/ml/model").is_dir() and not (project / "opt/ml/model").is_symlink():
        (project / "opt/ml/model").rmdir()
    for part in ("model", "output"):
        (project / "opt/ml" / part).unlink(missing_ok=True)
        (project / "opt/ml" / part).symlink_to(f"../../output/{name}/{part}")
    return folder


def test_clean_shows_asks_and_deletes_only_output_and_generated_files(project):
    job = leave_a_job(project)
    doomed = ("output/", "recipes", "sm_local/.venv", "opt/ml/model", "opt/ml/output")
    kept = [
        path for path in project.rglob("*") if not str(path.relative_to(project)).startswith(doomed)
    ]
    terminal = Terminal(["make", "clean"], project, clean_environment())
    terminal.wait_for(r"delete these\? \[y/N\] ")
    assert f"output/{job.name}" in terminal.text
    terminal.type(b"n\n")
    assert terminal.wait() == 0 and job.exists()
    terminal = Terminal(["make", "clean"], project, clean_environment())
    terminal.wait_for("delete these")
    terminal.type(b"y\n")
    assert terminal.wait() == 0, terminal.text
    assert (
        not job.exists()
        and not (project / "recipes").exists()
        and not (project / "sm_local/.venv").exists()
    )
    assert not (project / "opt/ml/model").is_symlink()
    assert [path for path in kept if not os.path.lexists(path)] == []


def test_clean_without_a_terminal_deletes_nothing_unless_told(project):
    job = leave_a_job(project)
    done = make(project, "clean")
    assert done.returncode == 2 and job.exists()
    assert (
        "sm-local: that would be deleted; 'make clean YES=1' deletes it without asking"
        in done.stdout
    )
    assert make(project, "clean", "YES=1").returncode == 0 and not job.exists()


def test_a_job_that_packs_is_running(project, tmp_path):
    """Its container has ended, but its archives are not written yet."""
    (tmp_path / "gzip").write_text("#!/bin/sh\nsleep 4\nexec /bin/gzip\n")
    (tmp_path / "gzip").chmod(0o755)
    (tmp_path / "pigz").symlink_to("gzip")
    environment = clean_environment(PATH=f"{tmp_path}:{os.environ['PATH']}")
    process = subprocess.Popen(
        ["make", "train", "ENGINE=sandbox", "HP=epochs=1"],
        cwd=project,
        env=environment,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    assert eventually(lambda: list(project.glob("output/*/exit-code")))
    assert "InProgress" in make(project, "jobs").stdout
    assert "has ended, and is being packed\n" in make(project, "stop").stdout
    done = make(project, "clean", "YES=1")
    assert done.returncode == 2 and "a job is running; 'make stop' ends it" in done.stdout
    assert process.wait(30) == 0 and "Completed" in make(project, "jobs").stdout
    assert (last_job(project) / "model.tar.gz").exists()


def test_clean_takes_no_for_no_and_leaves_what_was_a_persons(project):
    job, before = leave_a_job(project), project / "output/before-j-20260101-000000"
    before.mkdir()
    assert make(project, "clean", "YES=no").returncode == 2 and job.exists()
    assert make(project, "clean", "YES=1").returncode == 0 and before.exists() and not job.exists()


def test_pack_takes_the_last_job_or_the_one_named(project):
    done = make(project, "pack")
    assert done.returncode == 2 and "no job has run yet; 'make train' runs one" in done.stdout
    first, second = (
        leave_a_job(project, "a-20260101-000000"),
        leave_a_job(project, "b-20260101-000000"),
    )
    assert make(project, "pack").returncode == 0
    assert (
        (second / "model.tar.gz").exists()
        and not (first / "model.tar.gz").exists()
        and not (second / "output.tar.gz").exists()
    )
    assert (
        make(project, "pack", f"JOB=output/{first.name}").returncode == 0
        and (first / "model.tar.gz").exists()
    )
    assert (
        "output/none is not a job's folder; 'make jobs' lists them"
        in make(project, "pack", "JOB=output/none").stdout
    )


@pytest.mark.linux
def test_pack_that_fails_says_so_and_tar_s_other_words_are_not_shown(project, monkeypatch):
    job = leave_a_job(project)
    monkeypatch.chdir(job / "model")  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        done = make(project, "pack")
    assert (done.returncode, done.stdout) == (0, f"sm-local: packed: output/{job.name}\n")
    (job / "model.tar.gz").unlink()
    (job / "model.tar.gz.part").symlink_to("/dev/full")
    (job / "output/data/o").write_text("o")
    done = make(project, "pack")
    assert (
        done.returncode == 2
        and "sm-local: could not pack model.tar.gz (above); the files are where they were\n"
        in done.stdout
    )
    assert "packed: " not in done.stdout and (job / "output.tar.gz").exists()


def test_pack_of_several_hosts_is_one_archive_in_the_job_s_folder(project):
    job = leave_a_job(project)
    for part in ("model", "output"):
        shutil.rmtree(job / part)
        for host in ("algo-1", "algo-2"):
            (job / host / part / "data").mkdir(parents=True)
            (job / host / part / "data" / host).write_text(host)
        (project / "opt/ml" / part).unlink()
        (project / "opt/ml" / part).symlink_to(f"../../output/{job.name}/algo-1/{part}")
    for arguments in ([], [f"JOB=output/{job.name}"], [f"JOB={job}/algo-2/"]):
        done = make(project, "pack", *arguments)
        assert done.returncode == 0 and done.stdout.endswith(f"output/{job.name}\n"), done.stdout
        with tarfile.open(job / "model.tar.gz") as archive:
            assert archive.getnames() == ["data", "data/algo-1", "data", "data/algo-2"]
        with tarfile.open(job / "output.tar.gz") as archive:
            assert archive.getnames() == ["algo-1", "algo-2"]
        (job / "model.tar.gz").unlink()
    assert list(job.glob("algo-*/*.gz")) == []


def test_stop_and_jobs_work_when_everything_else_is_broken(project):
    leave_a_job(project)
    leave_a_job(project, "k-20260101-000000", "InProgress")
    (project / "job.yaml").write_text("{")
    (project / "settings.env").write_text("NONSENSE\n")
    environment = clean_environment(**NO_ENGINE)
    done = make(project, "stop", env=environment)
    assert (done.returncode, done.stdout) == (0, "sm-local: no job of this project is running\n")
    done = make(project, "jobs", env=environment)
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["JOB", "STATUS", "EXIT", "SECONDS", "FOLDER"],
        ["j-20260101-000000", "Completed", "0", "3", "output/j-20260101-000000"],
        ["k-20260101-000000", "Abandoned", "0", "-", "output/k-20260101-000000"],
    ]


def test_recipe_prints_what_would_run(project):
    done = make(project, "recipe", "VERB=train", "ENGINE=sandbox")
    assert (
        done.returncode == 0
        and done.stdout.startswith("#!/usr/bin/env bash\n")
        and done.stdout.endswith('main "$@"\n')
    )
    assert done.stdout == (project / "recipes/train.sh").read_text()


def test_jobs_lists_the_newest_last(project):
    names = [
        "old",
        "j-20260101-000000",
        "j-20260101-000000-2",
        "j-20260101-000000-10",
        "a-20260101-000001",
        "z-1-20260101-000002",
    ]
    for name in reversed(names):
        leave_a_job(project, name)
    done = make(project, "jobs", env=clean_environment(**NO_ENGINE))
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        [name, "Completed", "0", "3", f"output/{name}"] for name in names
    ]


def test_jobs_lists_what_a_full_disk_left(project):
    first, second = leave_a_job(project), leave_a_job(project, "k-20260101-000000")
    for name in ("exit-code", "status"):
        (second / name).write_text("")
        (first / "exit-code").write_text("")
    leave_a_job(project, "l-20260101-000000")
    done = make(project, "jobs", env=clean_environment(**NO_ENGINE))
    assert done.returncode == 0
    assert [line.split()[:4] for line in done.stdout.splitlines()[1:]] == [
        ["j-20260101-000000", "Completed", "-", "3"],
        ["k-20260101-000000", "-", "-", "-"],
        ["l-20260101-000000", "Completed", "0", "3"],
    ]


def test_of_a_job_that_was_killed_before_it_began_nothing_is_left(project):
    """What it has written is kept, whatever is not known of it."""
    for name, file in (("nothing", "recipe.sh"), ("something", "model/weights")):
        folder = project / "output" / f"{name}-20260101-000000"
        for path in (folder / "record/recipe", folder / file):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"999999999 1 {os.uname().nodename}\n")
        opened = project / "output/.open" / folder.name
        opened.parent.mkdir(exist_ok=True)
        shutil.copy(folder / "record/recipe", opened)
    make(project, "stop", "ENGINE=sandbox")
    said = make(project, "jobs").stdout
    assert " Abandoned " in said and "something-2026" in said and "nothing-2026" not in said
    assert sorted(path.name for path in (project / "output").glob("*-*")) == [
        "something-20260101-000000"
    ]
    assert (project / "output/something-20260101-000000/model/weights").exists()
    assert os.listdir(project / "output/.open") == []
