"""A job's folder and the facts in it."""

import os
import re

import pytest
from library import a_job, bash


def test_facts_are_a_line_each_and_recalled_without_a_process(tmp_path):
    job = a_job(tmp_path)
    done = bash(
        tmp_path,
        "lib/record",
        """dir=output/j
record engine=docker 'note=a b = c' stop_grace=120 status=InProgress exit-code=3
for key in engine note stop_grace status exit-code; do recall $key j; echo "$value"; done
record status=Stopping 'status=Stopped 7'; recall status j; echo "$value"
recall nothing j || echo "none: '$value'"
recall status other || echo "no job"
""",
    )
    assert done.stdout.splitlines() == [
        *["docker", "a b = c", "120", "InProgress", "3"],
        *["Stopped 7", "none: ''", "no job"],
    ]
    assert (job / "status").read_text() == "Stopped 7\n" and done.stderr == ""
    assert sorted(path.name for path in job.iterdir() if path.is_file()) == ["exit-code", "status"]
    assert sorted(os.listdir(job / "record")) == ["engine", "note", "stop_grace"]


@pytest.mark.linux
def test_on_a_full_disk_a_fact_stays_as_it_was_and_nothing_ends(tmp_path):
    job = a_job(tmp_path)
    done = bash(
        tmp_path,
        "lib/say lib/record",
        """dir=output/j at=output/j
record engine=docker
printf() { return 1; }
say() { echo "$*"; }
record engine=podman new=1
recall engine j; echo "$value"
recall new j || echo unknown
echo "goes on, $unkept" """,
    )
    assert (done.stdout.splitlines(), done.stderr) == (
        [
            "output/j/record/engine could not be kept; it should be 'podman'. Is the disk full?",
            "output/j/record/new could not be kept; it should be '1'. Is the disk full?",
            *["docker", "unknown", "goes on, 1"],
        ],
        "",
    )
    assert not [path.name for path in job.rglob("*") if ".new" in path.name]


@pytest.mark.linux
@pytest.mark.parametrize("host", ["", "/algo-2"])
def test_where_there_is_no_more_room_status_and_exit_status_are_written_over(tmp_path, host):
    (a_job(tmp_path) / "algo-2").mkdir()
    done = bash(
        tmp_path,
        "lib/say lib/record",
        f"""dir=output/j at=output/j{host}
reserve config algo-1/config algo-2/config model
record status=InProgress
write_fact() {{ return 1; }}
keep "$at/exit-code" 137
keep output/j/exit-code 3
read -r code < output/j/exit-code; [[ $code == 3 ]]
for status in Stopping 'Stopped 3'; do record "status=$status"; recall status j; echo "$value"; done
[[ $at == "$dir" ]] || read -r code < "$at/exit-code"; echo "$code '$unkept'" """,
    )
    assert (
        done.stdout.splitlines() == ["Stopping", "Stopped 3", f"{'137' if host else '3'} ''"]
        and done.stderr == ""
    )


def new_job(folder, library: str = "library=1", stem: str = "J", extra: str = "", **options):
    (folder / "opt/ml").mkdir(parents=True, exist_ok=True)
    return bash(
        folder,
        "lib/say lib/record lib/process lib/folder",
        f"{library}\nnew_job {stem} config output/data\n{extra}\ntrap - EXIT\necho $job",
        **options,
    )


def test_a_new_job_has_its_folders_its_recipe_and_what_stop_needs(tmp_path):
    (tmp_path / "recipe").write_text("first  line\n\tsecond \\n line\nno newline at its end")
    done = new_job(tmp_path, extra='echo "$$ $start $HOSTNAME"', TZ="Asia/Tokyo")
    process, name = done.stdout.splitlines()
    job = tmp_path / "output" / name
    assert re.fullmatch(r"J-\d{8}-\d{6}", name)
    assert sorted(os.listdir(job)) == ["config", "output", "recipe.sh", "record", "status"]
    assert (job / "recipe.sh").read_text() == (tmp_path / "recipe").read_text()
    assert (job / "record/recipe").read_text() == f"{process}\n"
    assert (job / "status").read_text() == "InProgress\n"


def test_its_name_has_the_time_in_utc(tmp_path):
    done = bash(
        tmp_path,
        "lib/folder",
        "utc_time; echo $time; date -u +%Y%m%d-%H%M%S",
        TZ="Pacific/Kiritimati",
    )
    first, second = done.stdout.split()
    assert first[:-2] == second[:-2] or abs(int(first[-6:]) - int(second[-6:])) < 100


def test_two_jobs_of_one_second_get_a_folder_each(tmp_path):
    (tmp_path / "recipe").write_text("")
    (tmp_path / "opt/ml").mkdir(parents=True)
    done = bash(
        tmp_path,
        "lib/say lib/record lib/process lib/folder",
        """library=1
utc_time() { time=20260101-000000; }
for _ in 1 2 3; do new_job J config; echo $job; done
trap - EXIT""",
    )
    assert done.stdout.split() == [f"J-20260101-000000{end}" for end in ("", "-2", "-3")]


@pytest.mark.parametrize("library", ["", "library=0", "library=2"])
def test_a_recipe_of_another_version_is_refused_in_one_line(tmp_path, library):
    done = new_job(tmp_path, library, check=False)
    assert done.returncode == 1 and not (tmp_path / "output").exists()
    assert done.stderr == (
        "sm-local: this recipe is of another version of sm_local/; 'make train' writes a new one\n"
    )


def test_a_job_that_has_not_started_leaves_nothing(tmp_path):
    (tmp_path / "recipe").write_text("")
    new_job(tmp_path, extra="exit 3", check=False)
    assert os.listdir(tmp_path / "output") == [".open"]
    assert os.listdir(tmp_path / "output/.open") == []


@pytest.mark.linux
@pytest.mark.parametrize(("began", "seconds"), [("-3.5", "3"), ("+9999", "0")])
def test_a_clock_that_is_set_changes_no_seconds(tmp_path, began, seconds):
    """Bash's SECONDS are those of the clock."""
    body = """read -r now _ < /proc/uptime
printf -v began %.2f "$(echo "$now $1" | awk '{ print $1 + $2 }')"
SECONDS=-3597
count_seconds; echo $seconds"""
    assert bash(tmp_path, "lib/folder", body, began).stdout == f"{seconds}\n"
    body = "SECONDS=-3597; count_seconds; echo $seconds"
    assert bash(tmp_path, "lib/folder", body).stdout == "0\n"
