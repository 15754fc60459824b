"""A short form of `make faults`: what takes a second a try and must never be lost, left or wrong.

More rows, more tries, other engines and an unprivileged user: `make faults`.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO, clean_environment
from terminal import eventually

sys.path.insert(0, str(REPO / "benchmarks"))
arena, attacks, edits, faults, inquest = map(
    importlib.import_module, ("arena", "attacks", "edits", "faults", "inquest")
)

pytestmark = pytest.mark.linux


@pytest.mark.engine
@pytest.mark.parametrize("engine", ["docker", "sandbox"])
def test_nothing_is_lost_or_left(engine, request, capsys):
    base = request.getfixturevalue("base_image") if engine == "docker" else ""
    status = faults.main(["--quick", "--tries=2", f"--engines={engine}", f"--base={base}"])
    said = capsys.readouterr()
    assert status == 0, said.out + said.err
    rows = [row for row in attacks.ROWS if engine in row.quick]
    assert len(said.out.splitlines()) == len(rows) + 2


def test_no_result_is_stale_and_nothing_is_left_of_edits_and_kills(capsys):
    status = edits.main(["--runs=10", "--engine=sandbox"])
    assert status == 0, capsys.readouterr().out


def test_each_row_says_why_its_end_is_right():
    assert all(row.why and row.name for row in attacks.ROWS)
    assert len({row.name for row in attacks.ROWS}) == len(attacks.ROWS)


STRANGERS = {
    "in-the-folder": ["sleep", "60"],
    "named-in-its-arguments": ["sh", "-c", "sleep 60; :", "{project}/output/job-1/stage"],
    "a-sandbox-that-inherited-our-mount": [
        *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
        'mount -t tmpfs ours "$1/output" && exec unshare --mount sleep 60',
        *("sh", "{project}"),
    ],
}


@pytest.mark.parametrize("words", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_s_process_gets_no_signal(words, tmp_path):
    """Once it did: another session's sandboxes had inherited a disk of ours, and were killed."""
    project = tmp_path / "run/try/project"
    (project / "output/job-1/stage").mkdir(parents=True)
    words = [word.format(project=project) if "{" in word else word for word in words]
    stranger = subprocess.Popen(words, cwd=project, env=clean_environment())
    try:
        seen = Path(f"/proc/{stranger.pid}/cmdline")
        assert eventually(lambda: "sleep" in inquest.read(seen), 10)
        assert not inquest.is_ours(stranger.pid, project, [])
        assert stranger.pid not in {**inquest.of_project(project), **inquest.inside(project)}
        inquest.remove(project, arena.Engine("sandbox"))
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_a_run_has_started_is_its_own(tmp_path):
    project = tmp_path / "run/try/project"
    project.mkdir(parents=True)
    marked = clean_environment(**{arena.MARK: str(tmp_path / "run")})
    own = subprocess.Popen(["sleep", "60"], cwd="/", env=marked)
    try:
        assert eventually(lambda: own.pid in inquest.of_project(project), 10)
        inquest.remove(project, arena.Engine("sandbox"))
        assert own.wait(10) == -9
    finally:
        own.kill()
        own.wait()
