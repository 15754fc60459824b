"""A job's log, links and verdict."""

import os
import random
import re
import signal
import subprocess
import time

import pytest
from conftest import clean_environment
from library import SM_LOCAL, a_job, bash

JOB = "lib/say lib/record lib/process lib/sidecar lib/folder lib/lines lib/job lib/answer"
START = """job=j dir=output/j at=output/j
out_of_memory() { false; }
ended_outside() { false; }
look_again() { :; }
engine_gone() { return 1; }
wait_for_containers() { :; }
"""


def run(folder, body: str, *arguments: str, **options):
    return bash(folder, JOB, START + body, *arguments, **options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "AlgorithmError: , exit code: 3"),
        (b"no rain", "AlgorithmError: no rain, exit code: 3"),
        (b"a\nb\tc\0\x1b[1m", "AlgorithmError: a\nb\tc[1m, exit code: 3"),
        (b"x" * 5000, "AlgorithmError: " + "x" * 1008),
    ],
)
def test_the_failure_reason(tmp_path, text, said):
    job = a_job(tmp_path)
    if text is not None:
        (job / "output/failure").write_bytes(text)
    assert run(tmp_path, "failure_reason 3").stdout == said


def test_the_failure_reason_of_other_causes(tmp_path):
    job = a_job(tmp_path)
    (job / "output/failure").symlink_to("/etc/passwd")
    assert run(tmp_path, "failure_reason 3").stdout == "AlgorithmError: , exit code: 3"
    assert run(tmp_path, "oom=1; failure_reason 137").stdout.startswith(
        "ClientError: Please use an"
    )
    (job / "record/broken").write_text("channel x: y")
    assert run(tmp_path, "failure_reason 3; meaning 137").stdout == "channel x: y"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_no_character_is_halved(tmp_path, locale):
    (a_job(tmp_path) / "output/failure").write_bytes("é".encode() * 3000)
    done = run(tmp_path, "failure_reason 1", LC_ALL=locale)
    assert set(done.stdout.removeprefix("AlgorithmError: ")) == {"é"}


@pytest.mark.parametrize(
    ("status", "word"),
    [
        *[(0, ""), (1, ""), (125, ""), (126, "not executable"), (127, "not found")],
        *[(137, "SIGKILL"), (139, "SIGSEGV"), (143, "SIGTERM")],
    ],
)
def test_the_meaning_of_a_status(tmp_path, status, word):
    a_job(tmp_path)
    said = run(tmp_path, f"meaning {status}").stdout
    assert word in said and (said.startswith(" (") and said.endswith(")\n")) == bool(word)


def test_a_model_without_files_is_called_empty(tmp_path):
    job = a_job(tmp_path)
    body = 'emptiness model; echo "<$empty>"'
    assert run(tmp_path, body).stdout == "< (empty: nothing was written to /opt/ml/model)>\n"
    (job / "model/.hidden").touch()
    assert run(tmp_path, body).stdout == "<>\n"


@pytest.mark.parametrize(
    ("text", "within"),
    [
        *[(b"", False), (b"a\n", False), (b"\n", False), (b"a", True), (b"a\n\0", True)],
        *[(b"a\n ", True), ("日本語".encode(), True), (b"\xff", True)],
    ],
)
def test_a_log_that_ends_within_a_line(tmp_path, text, within):
    (tmp_path / "log").write_bytes(text)
    done = run(tmp_path, "if ends_within_a_line log; then echo yes; fi")
    assert (done.stdout, done.stderr) == ("yes\n" if within else "", "")


REFUSAL = "docker: Error response from daemon"


@pytest.mark.parametrize(
    "text",
    [
        *["", "a\n", "docker: what a line\nb", "docker", "docker: ", "doc\n", "d", "\n\n"],
        *["\0", "docker\0x", "dö", f"{REFUSAL}: x\0\n", f"{REFUSAL}\0", f"{REFUSAL}: x\n\0y\n"],
    ],
)
def test_the_log_is_what_came(tmp_path, text):
    job = a_job(tmp_path)
    (job / "container-id").write_text("0123\n")
    (tmp_path / "said").write_text(text)
    done = run(tmp_path, 'keep_log "$at" < said')
    assert done.stdout == text == (job / "log").read_text()
    assert not (job / "engine-error").exists()


@pytest.mark.parametrize("more", ["", ": x", ": x\n", f": x\n{REFUSAL}: y\nand more é"])
def test_what_reads_as_a_refusal_is_held_back_and_nothing_is_lost(tmp_path, more):
    job = a_job(tmp_path)
    (job / "container-id").write_text("0123\n")
    (tmp_path / "said").write_text(REFUSAL + more)
    done = run(tmp_path, 'keep_log "$at" < said; echo =; show_held')
    assert done.stdout == f"=\n{REFUSAL}{more}" and (job / "log").read_text() == REFUSAL + more
    assert not (job / "engine-error").exists()


def test_what_reads_as_a_refusal_and_goes_on_is_shown(tmp_path):
    job = a_job(tmp_path)
    (job / "container-id").write_text("0123\n")
    said = f"echo {REFUSAL}; sleep 2; echo more"
    assert run(tmp_path, f"({said}) | keep_log $at").stdout == f"{REFUSAL}\nmore\n"
    assert (job / "log").read_text() == f"{REFUSAL}\nmore\n"


def test_the_client_s_own_words_are_kept_apart(tmp_path):
    job = a_job(tmp_path)
    words = "Error response from daemon: no such image."
    text = f"WARNING: old\ndocker: {words}\n\nRun 'docker run --help' for more information\n"
    (tmp_path / "said").write_text(text)
    assert run(tmp_path, 'keep_log "$at" < said').stdout == "WARNING: old\n"
    assert (job / "engine-error").read_text() == f"{words}\n"
    assert (job / "log").read_text() == ""


def test_a_client_that_is_refused_first_may_come_through_then(tmp_path):
    job = a_job(tmp_path)
    said = f"echo {REFUSAL}: in use; sleep 0.3; echo 0123 > {job}/container-id; echo hello"
    assert run(tmp_path, f"({said}) | keep_log $at").stdout == "hello\n"
    assert (job / "log").read_text() == "hello\n" and not (job / "engine-error").exists()


@pytest.mark.parametrize("before", ["link", "folder", "files", "nothing", "odd"])
def test_links_are_pointed_and_restored(tmp_path, before):
    places = [tmp_path / "opt/ml" / name for name in ("model", "output")]
    places[0].parent.mkdir(parents=True)
    a_job(tmp_path)
    for place in places:
        if before in ("link", "odd"):
            place.symlink_to("../../output/i/" + place.name if before == "link" else "/no where ")
        elif before != "nothing":
            place.mkdir()
        if before == "files":
            (place / "mine").touch()

    def tree():
        return sorted(
            (str(path), path.is_symlink() and os.readlink(path))
            for place in places
            for path in [place, *place.rglob("*")]
            if os.path.lexists(path)
        )

    was = tree()
    said = run(tmp_path, "point_links output/j model output").stderr
    assert [os.readlink(place) for place in places] == [
        f"../../output/j/{place.name}" for place in places
    ]
    assert ("held files of yours; they are in output/before-j/" in said) == (before == "files")
    run(tmp_path, "restore_links")
    assert tree() == was and not (tmp_path / "output/before-j").exists()


def test_a_link_that_another_job_has_pointed_stays(tmp_path):
    (tmp_path / "opt/ml").mkdir(parents=True)
    a_job(tmp_path)
    a_job(tmp_path, "k")
    run(
        tmp_path,
        "point_links output/j model output\njob=k dir=output/k; point_links output/k model output",
    )
    run(tmp_path, "restore_links")
    assert os.readlink(tmp_path / "opt/ml/model") == "../../output/k/model"


@pytest.mark.parametrize(
    ("status", "setup", "code", "words", "kept"),
    [
        ("InProgress", "rc=0", 0, "Completed in", "Completed"),
        ("InProgress", "rc=7", 7, "Failed after 0 s: AlgorithmError: , exit code: 7;", "Failed"),
        (
            "Stopping",
            "rc=143 ending=130",
            130,
            "Stopped after 0 s, exit code 143 (SIGTERM): ",
            "Stopped",
        ),
        ("", "rc=143 ending=129", 129, "Stopped after 0 s, exit code 143", "Stopped"),
        ("Stopping", "rc=0", 143, "Stopped after 0 s, exit code 0: output/j", "Stopped"),
        (
            "InProgress",
            "rc=137; out_of_memory() { true; }",
            137,
            "(exit code 137: out of memory)",
            "Failed",
        ),
        (
            "InProgress",
            "rc=0; echo why > output/j/record/broken",
            1,
            "Failed after 0 s: why",
            "Failed",
        ),
        ("InProgress", "rc=1 unwritten=1", 1, "is the disk full?", "Failed"),
    ],
)
def test_the_verdict(tmp_path, status, setup, code, words, kept):
    job = a_job(tmp_path)
    (job / "status").write_text(f"{status}\n")
    done = run(tmp_path, f"{setup}\nverdict model", check=False)
    said = re.sub(r"after \d+ s", "after 0 s", done.stderr)  # this machine may be busy
    assert (done.returncode, words in said) == (code, True), done.stderr
    assert re.fullmatch(rf"{kept} \d+\n", (job / "status").read_text())


def test_a_signal_to_a_job_stops_it_and_the_first_one_counts(tmp_path):
    job = a_job(tmp_path)
    body = """stop_grace=9 interrupt_grace=9 rc=0
engine_stop() { echo "stop $1" >> said; touch end; }
engine_kill() { :; }
start_job sh -c 'while [ ! -e end ]; do sleep 0.05; done; exit 4'
kill -TERM $$
kill -INT $$
wait_job
echo "$rc $ending"
recall status j; echo "$value" """
    begin = time.monotonic()
    assert run(tmp_path, body).stdout == "4 143\nStopping\n"
    assert time.monotonic() - begin < 10
    assert (tmp_path / "said").read_text().startswith("stop 9\n")
    assert (job / "exit-code").read_text() == "4\n"


def test_the_first_of_several_hosts_to_fail_speaks_for_the_job(tmp_path):
    job = a_job(tmp_path)
    for host in ("algo-1", "algo-2"):
        (job / host).mkdir()
    body = """stop_grace=9 interrupt_grace=9
engine_stop() { touch end; }
for at in output/j/algo-1 output/j/algo-2; do
  if [[ $at == *1 ]]; then
    start_job sh -c 'while [ ! -e end ]; do sleep 0.05; done; echo ended; exit 5'
  else
    start_job sh -c 'sleep 0.2; exit 6'
  fi
done
wait_job
echo "$rc $at" """
    done = run(tmp_path, body)
    assert done.stdout == "algo-1 | ended\n6 output/j/algo-2\n"
    assert done.stderr == "sm-local: a host failed: stopping the others\n"
    assert (job / "exit-code").read_text() == "6\n"


HOSTS = """set -euo pipefail
cd "$0"; for name in say record process sidecar lines job; do source "$SM_LOCAL/lib/$name.sh"; done
dir=output/j at=output/j/algo-1
run_here() { sleep 30; }
keep_log() { cat; }
show_host() { cat; }
trap : INT
echo go >&3
for (( host = 0; host < 6; host++ )); do beside :; done > /dev/null
echo started >&3
for host in "${running[@]}"; do kill -- "-$host" || true; done 2> /dev/null
"""


def test_ctrl_c_while_hosts_are_started_neither_ends_the_recipe_nor_is_waited_for(tmp_path):
    """Bash ends, trap or not, or waits, where it comes as a pipeline of its own is made."""
    dice = random.Random(1)
    for _ in range(25):
        read, write = os.pipe()
        with open(read) as told:
            recipe = subprocess.Popen(
                ["bash", "-p", "-c", f"exec 3>&{write}\n{HOSTS}", tmp_path],
                env=clean_environment(SM_LOCAL=str(SM_LOCAL)),
                pass_fds=[write],
                start_new_session=True,
            )
            os.close(write)
            assert told.readline() == "go\n"
            time.sleep(dice.uniform(0, 0.012))
            os.killpg(recipe.pid, signal.SIGINT)
            assert told.readline() == "started\n"
            assert recipe.wait(20) == 0
