"""How a job ends, whoever ends it and whatever dies first, and what is left behind then."""

import os
import subprocess

import pytest
from conftest import make

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("built")]


def test_a_process_that_has_a_recipe_s_number_now_is_not_touched(project):
    """Numbers are used again, and the stranger may well be a script."""
    (project / "stranger.sh").write_text("sleep 30\n")
    job = project / "output/churn-20260101-000000"
    (job / "record").mkdir(parents=True)
    (job / "status").write_text("InProgress\n")
    with subprocess.Popen(["bash", "stranger.sh"], cwd=project) as stranger:
        for known in (f"{stranger.pid}", f"{stranger.pid} 1 {os.uname().nodename}"):
            (job / "record/recipe").write_text(f"{known}\n")
            done = make(project, "stop")
            assert done.stdout == "sm-local: no job of this project is running\n"
            assert stranger.poll() is None
        stranger.kill()
    assert " Abandoned " in make(project, "jobs").stdout
