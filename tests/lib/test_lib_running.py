"""What `make stop`, `jobs` and `clean` know of jobs."""

import re
import subprocess

import pytest
from library import SM_LOCAL, a_job, bash, identity

RUNNING = "lib/say lib/record lib/process libexec/running"


def test_jobs_are_listed_by_the_time_in_their_names(tmp_path):
    names = [
        *["old", "j-20260101-000000", "j-20260101-000000-2", "j-20260101-000000-10"],
        *["a-20260101-000001", "z-1-20260101-000002"],
    ]
    for name in reversed(names):
        (a_job(tmp_path, name) / "status").write_text("Completed 1\n")
    a_job(tmp_path, "no-status")
    jobs = (SM_LOCAL / "libexec/jobs.sh").read_text().replace('\nmain "$@"\n', "\n")
    (tmp_path / "jobs.sh").write_text(jobs)
    (tmp_path / "sm_local").symlink_to(SM_LOCAL)
    done = bash(tmp_path, "lib/say", "source ./jobs.sh; by_time")
    assert [line.split()[2] for line in done.stdout.splitlines()] == names


def test_a_shell_is_known_by_its_record(tmp_path):
    a_job(tmp_path, "s", verb="shell")
    a_job(tmp_path, "t", verb="train")
    a_job(tmp_path, "old")
    done = bash(tmp_path, RUNNING, "for j in s t old; do if is_shell $j; then echo $j; fi; done")
    assert done.stdout == "s\n"


@pytest.mark.parametrize("status", ["InProgress", "Stopping", "Completed 3", "Stopped 3", ""])
def test_a_job_without_an_end_is_unfinished(tmp_path, status):
    (a_job(tmp_path) / "status").write_text(f"{status}\n" if status else "")
    done = bash(tmp_path, RUNNING, "is_unfinished j", check=False)
    assert (done.returncode == 0) == (status in ("InProgress", "Stopping"))


@pytest.mark.parametrize(
    ("engine", "silent", "doubted"),
    [("docker", " docker", True), ("podman", " docker", False), ("docker", "", False)]
    + [("sandbox", " docker podman", False), (None, " docker", False)],
)
def test_a_job_is_in_doubt_where_its_engine_is_silent(tmp_path, engine, silent, doubted):
    facts = {"engine": engine} if engine else {}
    (a_job(tmp_path, "j", **facts) / "status").write_text("InProgress\n")
    body = f"silent='{silent}'; if find_doubt; then echo $doubt $engine; fi"
    assert bash(tmp_path, RUNNING, body).stdout == (f"j {engine}\n" if doubted else "")


def test_a_recipe_counts_while_its_job_has_no_end(tmp_path):
    (tmp_path / "recipe.sh").write_text("sleep 20\n")
    with subprocess.Popen(["bash", "recipe.sh"], cwd=tmp_path) as recipe:
        known = identity(recipe.pid)
        for name, status, process in (
            ("runs", "InProgress", known),
            ("ended", "Completed 3", known),
            ("killed", "InProgress", "999999999 1 here"),
            ("of-a-number-used-again", "InProgress", re.sub(r" \d+ ", " 1 ", known)),
            ("of-another-machine", "InProgress", f"{known}-2"),
            ("of-an-older-version", "InProgress", str(recipe.pid)),
        ):
            (a_job(tmp_path, name, recipe=process) / "status").write_text(f"{status}\n")
        (tmp_path / "output/older").mkdir()
        done = bash(tmp_path, RUNNING, 'find_recipes; printf %s "$running"')
        recipe.kill()
    assert done.stdout == f"recipe\t{recipe.pid}\truns\n"


def test_a_setting_is_read_without_python(tmp_path):
    (tmp_path / "settings.env").write_text("# IMAGE=no\nIMAGE = a b  \nSHM=2g\n")
    (tmp_path / "settings.local.env").write_text("SHM=3g\n")
    body = "setting IMAGE ''; setting SHM 1g; setting NONE default"
    assert bash(tmp_path, RUNNING, body).stdout.splitlines() == ["a b", "3g", "default"]
