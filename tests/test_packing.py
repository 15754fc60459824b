"""Ctrl-C while archives are made: the packing ends, the job's files stay."""

from __future__ import annotations

import os
import tarfile

import pytest
from conftest import clean_environment, jobs, last_job, make, script
from terminal import CTRL_C, Terminal, eventually, processes

pytestmark = [pytest.mark.linux, pytest.mark.usefixtures("image_if_docker")]
ENGINES = [pytest.param("docker", marks=pytest.mark.engine), "sandbox"]


@pytest.fixture
def slow(tmp_path) -> dict[str, str]:
    """Return an environment in which compression takes a minute."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("gzip", "pigz"):
        (folder / name).write_text("#!/bin/sh\nhead -c 10\nexec sleep 60\n")
        (folder / name).chmod(0o755)
    return clean_environment(PATH=f"{folder}:{os.environ['PATH']}")


@pytest.fixture
def saving(project):
    script(project, "open('/opt/ml/model/m', 'w').write('m' * 99999); print('saved', flush=True)")
    return project


@pytest.mark.parametrize("engine", ENGINES)
def test_ctrl_c_ends_the_packing_alone(saving, slow, engine):
    make(saving, "recipe", f"ENGINE={engine}", "PACK=always")
    terminal = Terminal(["bash", "recipes/train.sh"], saving, slow)
    terminal.wait_for("saved")
    assert eventually(lambda: list(saving.glob("output/*/model.tar.gz.part")))
    terminal.type(CTRL_C)
    assert terminal.wait() == 130, terminal.text
    (job,) = jobs(saving)
    assert (
        f"sm-local: packing was interrupted; the files are in output/{job.name}, and "
        f"'make pack JOB=output/{job.name}' packs them\n"
    ) in terminal.text
    assert "sm-local: Completed in" in terminal.text and "could not" not in terminal.text
    assert (job / "exit-code").read_text() == "0\n" and (job / "model/m").exists()
    assert not list(job.glob("*.gz*")) and not processes("^sleep 60", saving)
    assert make(saving, "pack", f"JOB=output/{job.name}").returncode == 0
    with tarfile.open(job / "model.tar.gz") as archive:
        assert archive.getnames() == ["m"]


@pytest.mark.parametrize("command", [["make", "pack"], ["bash", "sm_local/libexec/pack.sh"]])
def test_so_does_make_pack(saving, slow, command):
    assert make(saving, "train", "ENGINE=sandbox", "PACK=never").returncode == 0
    terminal = Terminal(command, saving, slow)
    assert eventually(lambda: list(saving.glob("output/*/model.tar.gz.part")))
    terminal.type(CTRL_C)
    assert terminal.wait() in (2, 130), terminal.text  # make itself dies of it, or says 2
    assert "sm-local: packing was interrupted; " in terminal.text
    assert not list(last_job(saving).glob("*.gz"))


def test_a_job_whose_archive_could_not_be_made_does_not_end_with_0(saving, tmp_path):
    (tmp_path / "tar").write_text("#!/bin/sh\necho tar: broken >&2\nexit 2\n")
    (tmp_path / "tar").chmod(0o755)
    there = clean_environment(PATH=f"{tmp_path}:{os.environ['PATH']}")
    done = make(saving, "train", "ENGINE=sandbox", env=there)
    assert done.returncode == 2 and "Error 1\n" in done.stdout
    assert "sm-local: could not pack model.tar.gz (above); " in done.stdout
    job = last_job(saving)
    assert (job / "status").read_text().startswith("Completed ")
    assert (job / "exit-code").read_text() == "0\n" and not list(job.glob("*.gz*"))
