"""`make upgrade`: what is merged, kept and refused, and what is left after an interruption.

A clone of this repository is the template. Its first version is this one; the second changes what
the tests name.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO, bake, clean_environment, make
from terminal import Terminal, eventually

TREE = "<<cookiecutter.project>>"
ASIDE = ("build", ".git", "__pycache__", ".venv", ".hypothesis")


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e@x"]
    return subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """Return a repository with this template as v0.1.0 and a second version, v0.2.0."""
    place = tmp_path_factory.mktemp("template") / "sm-local"
    shutil.copytree(REPO, place, ignore=shutil.ignore_patterns(*ASIDE))
    git(place, "init", "-q")
    git(place, "add", "-A")
    git(place, "commit", "-qm", "the first version")
    git(place, "tag", "v0.1.0")
    second_version(place / TREE)
    edit(place / "cookiecutter.json", '"_version": "0.1.0"', '"_version": "0.2.0"')
    git(place, "add", "-A")
    git(place, "commit", "-qm", "the second version")
    git(place, "tag", "v0.2.0")
    git(place, "tag", "v0.10.0-rc1")  # no version
    return place


def second_version(tree: Path) -> None:
    """Change the template in every way that matters."""
    edit(tree / "Makefile", "## list what ran", "## list all that ran")
    edit(tree / "README.md", "## Where things are", "## Where all things are")
    edit(tree / "container/Dockerfile", "ENV PYTHONUNBUFFERED=1", "ENV NEW=1 PYTHONUNBUFFERED=1")
    edit(tree / "sm_local/lib/say.sh", "# One line on stderr", "# A line on stderr")
    edit(tree / "sm_local/lib/mps.sh", "# shellcheck shell=bash", "# shellcheck  shell=bash")
    edit(tree / "sm_local/lib/shell.sh", "# The end of", "# The very end of")
    (tree / "sm_local/lib/fresh.sh").write_text("# new\n")
    (tree / "opt/ml/README.md").write_text("another one\n")
    (tree / "sm_local/lib/overlay.sh").rename(tree / "sm_local/lib/overlays.sh")
    (tree / "sm_local/libexec/full.sh").unlink()
    (tree / "sm_local/libexec/show.sh").chmod(0o755)
    (tree / "code/train.py").write_text("print('the second version')\n")
    (tree / "container/requirements.txt").write_text("numpy\n")
    (tree / "job.yaml").write_text("TrainingJobName: second\n")
    with open(tree / "settings.env", "a") as file:
        file.write("\n# the new setting\n")


@pytest.fixture(scope="session")
def first(template, tmp_path_factory) -> Path:
    """Return a project of the first version, with all that upgrading needs; tests copy it."""
    folder = tmp_path_factory.mktemp("first")
    git(template, "checkout", "-q", "v0.1.0")
    project = bake(folder, template=template, project="churn", region="eu-west-1")
    git(template, "checkout", "-q", "-")
    done = make(project, "sm_local/.venv/upgrade", timeout=300)
    assert done.returncode == 0, done.stdout
    return project


@pytest.fixture
def churn(first, tmp_path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "churn", symlinks=True))


def upgrade(project: Path, *words: str):
    return make(project, "upgrade", *words, timeout=300)


def tree(project: Path) -> dict[str, tuple[bytes, int]]:
    """Return the project's own files: content and mode."""
    return {
        str(path.relative_to(project)): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in project.rglob("*")
        if path.is_file()
        and not {".venv", "recipes", "__pycache__"} & {*path.relative_to(project).parts}
    }


def verdicts(said: str) -> dict[str, str]:
    """Return what was said of each file."""
    rows = re.findall(r"^  (\w+) +(\S+)  \(", said, re.MULTILINE)
    return {path: verdict for verdict, path in rows}


def baked(template: Path, folder: Path, version: str) -> Path:
    """Return a bake of a version with the same answers."""
    folder.mkdir()
    place = Path(shutil.copytree(template, folder / "template"))
    git(place, "checkout", "-q", version)
    return bake(folder, template=place, project="churn", region="eu-west-1")


# Upgrading


def test_a_project_without_edits_becomes_what_a_new_bake_is(churn, template, tmp_path):
    done = upgrade(churn, "YES=1")
    assert done.returncode == 0, done.stdout
    new = tree(baked(template, tmp_path / "new", "v0.2.0"))
    here = tree(churn)
    yours = {"code/train.py", "container/requirements.txt", "job.yaml", "settings.env"}
    ours = {*yours, ".sm-local.json"}
    assert {k: v for k, v in here.items() if k not in ours} == {
        k: v for k, v in new.items() if k not in ours
    }
    record = json.loads((churn / ".sm-local.json").read_text())
    assert record == {
        "template": str(template),
        "version": "0.2.0",
        "commit": git(template, "rev-parse", "v0.2.0"),
        "answers": {
            "project": "churn",
            "region": "eu-west-1",
            "dlc": "pytorch:2.13-cpu-amzn2023-sagemaker",
            "base_image": "python:3.12-slim",
            "gpu": "auto",
        },
    }
    assert "list all that ran" in make(churn, "help").stdout
    again = upgrade(churn, "YES=1")
    assert again.stdout == "v0.2.0 is what this project has; nothing to do\n"


def test_ten_edits_what_is_merged_kept_and_refused(churn):
    """Edits in ten places, each with what becomes of it."""
    edit(churn / "Makefile", "VERB = train", "VERB = build")  # 1: elsewhere in the file
    edit(churn / "container/Dockerfile", "ENV PYTHONUNBUFFERED=1", "ENV MINE=1 PYTHONUNBUFFERED=1")
    (churn / "README.md").write_text("mine alone\n")  # 3: all of it
    (churn / "code/train.py").write_text("print('mine')\n")  # 4
    edit(churn / "settings.env", "SHM=2g", "SHM=3g")  # 5
    (churn / "container/requirements.txt").write_text("pandas\n")  # 6
    (churn / "sm_local/lib/mps.sh").unlink()  # 7: deleted, and the new version changes it
    (churn / "sm_local/lib/shell.sh").rename(churn / "sm_local/lib/mine.sh")  # 8: renamed
    with open(churn / "sm_local/libexec/full.sh", "a") as file:  # 9: the new version has none
        file.write("# mine\n")
    (churn / "sm_local/lib/fresh.sh").write_text("# my own\n")  # 10: added by both
    (churn / "Makefile.mine").write_text("mine\n")  # and a file that no version knows
    before = tree(churn)
    done = upgrade(churn, "YES=1")
    assert done.returncode == 0, done.stdout
    assert verdicts(done.stdout) == {
        "Makefile": "merged",
        "README.md": "conflict",
        "code/train.py": "yours",
        "container/Dockerfile": "conflict",
        "container/requirements.txt": "yours",
        "job.yaml": "yours",
        "opt/ml/README.md": "updated",
        "settings.env": "yours",
        "sm_local/lib/fresh.sh": "conflict",
        "sm_local/lib/mps.sh": "kept",
        "sm_local/lib/overlay.sh": "removed",
        "sm_local/lib/overlays.sh": "added",
        "sm_local/lib/say.sh": "updated",
        "sm_local/lib/shell.sh": "kept",
        "sm_local/libexec/full.sh": "kept",
        "sm_local/libexec/show.sh": "updated",
    }
    assert (
        "has lines that the old one has not; yours is not touched:\n  \n  # the new setting\n"
        in done.stdout
    )
    after = tree(churn)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed == {
        ".sm-local.json",
        "Makefile",
        "README.md.new",
        "container/Dockerfile.new",
        "opt/ml/README.md",
        "sm_local/lib/fresh.sh.new",
        "sm_local/lib/overlay.sh",
        "sm_local/lib/overlays.sh",
        "sm_local/lib/say.sh",
        "sm_local/libexec/show.sh",
    }
    makefile = (churn / "Makefile").read_text()
    assert "VERB = build" in makefile and "## list all that ran" in makefile
    assert "## Where all things are" in (churn / "README.md.new").read_text()
    assert "ENV NEW=1 PYTHON" in (churn / "container/Dockerfile.new").read_text()
    assert "ENV MINE=1 PYTHON" in (churn / "container/Dockerfile").read_text()


def test_the_new_file_of_an_earlier_conflict_is_not_overwritten(churn):
    (churn / "README.md").write_text("mine\n")
    (churn / "README.md.new").write_text("of an earlier upgrade, with notes of mine\n")
    before = tree(churn)
    done = upgrade(churn, "YES=1")
    assert (
        "sm-local: README.md.new is an earlier upgrade's; take what you want of it, delete it, "
        "then upgrade"
    ) in done.stdout.splitlines()
    assert done.returncode == 2 and tree(churn) == before


def test_a_version_by_its_name_also_an_older_one(churn):
    assert upgrade(churn, "YES=1", "VERSION=0.2.0").returncode == 0
    before = tree(churn)
    done = upgrade(churn, "YES=1", "VERSION=v0.1.0")
    assert done.returncode == 0 and "v0.2.0 -> v0.1.0" in done.stdout
    assert upgrade(churn, "YES=1").returncode == 0 and tree(churn) == before


def test_a_project_of_a_commit_after_the_newest_version_does_not_go_back(churn, tmp_path, template):
    later = Path(shutil.copytree(template, tmp_path / "later"))
    git(later, "commit", "-q", "--allow-empty", "-m", "after the second version")
    record = json.loads((churn / ".sm-local.json").read_text())
    commit = git(later, "rev-parse", "HEAD")
    record = {**record, "template": str(later), "commit": commit}
    (churn / ".sm-local.json").write_text(json.dumps(record))
    before = tree(churn)
    done = upgrade(churn, "YES=1")
    assert f"{commit[:12]} is newer than v0.2.0; nothing to do" in done.stdout.splitlines()
    assert done.returncode == 0 and tree(churn) == before


def test_a_version_that_is_none(churn):
    for version in ("9.9.9", "--orphan"):
        done = upgrade(churn, "YES=1", f"VERSION={version}")
        assert f"sm-local: VERSION={version}: the template has no such version (" in done.stdout
        assert done.returncode == 2


def test_it_asks_and_takes_no_for_no(churn):
    before = tree(churn)
    done = upgrade(churn)
    said = "sm-local: nothing changed; 'make upgrade YES=1' does it without asking"
    assert said in done.stdout.splitlines() and done.returncode == 2
    terminal = Terminal(["make", "upgrade"], churn, clean_environment())
    terminal.wait_for(r"do it\? \[y/N\] ")
    terminal.type(b"n\n")
    assert terminal.wait() == 0 and tree(churn) == before
    terminal = Terminal(["make", "upgrade"], churn, clean_environment())
    terminal.wait_for(r"do it\? \[y/N\] ")
    terminal.type(b"\x04")  # Ctrl-D
    assert terminal.wait() == 0 and tree(churn) == before
    assert "nothing changed" in terminal.text and "Traceback" not in terminal.text


def test_a_file_that_is_edited_while_it_asks_is_not_lost(churn):
    terminal = Terminal(["make", "upgrade"], churn, clean_environment())
    terminal.wait_for(r"do it\? \[y/N\] ")
    edit(churn / "Makefile", "VERB = train", "VERB = build")
    before = tree(churn)
    terminal.type(b"y\n")
    assert terminal.wait() != 0
    assert "a file was edited meanwhile; nothing changed; upgrade again" in terminal.text
    assert tree(churn) == before


# Refused


@pytest.mark.parametrize(
    ("record", "said"),
    [
        pytest.param(None, "is missing: this project is older than the file", id="missing"),
        pytest.param("{", "cannot be read (", id="no-json"),
        pytest.param("[]", "cannot be read (", id="no-object"),
        pytest.param('{"template": "x"}', "cannot be read (KeyError('version'))", id="incomplete"),
        pytest.param(
            '{"template": 1, "version": "", "commit": "", "answers": {}}',
            "has a value that is not a string",
            id="number",
        ),
        pytest.param(
            '{"template": "x", "version": "", "commit": "", "answers": ["a"]}',
            'has "answers" that are not an object',
            id="answers",
        ),
    ],
)
def test_a_record_that_will_not_do(churn, record, said):
    (churn / ".sm-local.json").unlink()
    if record is not None:
        (churn / ".sm-local.json").write_text(record)
    done = upgrade(churn, "YES=1")
    assert f"sm-local: .sm-local.json {said}" in done.stdout and done.returncode == 2
    assert "Traceback" not in done.stdout


def test_an_answer_that_is_no_choice_is_one_line(churn):
    edit(churn / ".sm-local.json", '"gpu": "auto"', '"gpu": "cuda"')
    done = upgrade(churn, "YES=1")
    assert "sm-local: v0.1.0 could not be baked: cuda provided for choice" in done.stdout
    assert done.returncode == 2 and "Traceback" not in done.stdout


def test_a_template_that_is_not_there(churn):
    record = json.loads((churn / ".sm-local.json").read_text())
    for template, said in {
        "/nowhere/sm-local": "is neither an address nor a git repository here",
        "file:///nowhere/sm-local": "could not be fetched (",
    }.items():
        (churn / ".sm-local.json").write_text(json.dumps({**record, "template": template}))
        done = upgrade(churn, "YES=1")
        assert f"sm-local: the template '{template}' {said}" in done.stdout
        assert done.returncode == 2


def test_a_tool_s_folder_that_is_a_link_is_refused(churn, tmp_path):
    shutil.move(churn / "container", tmp_path / "container")
    (churn / "container").symlink_to(tmp_path / "container")
    before = tree(churn)
    done = upgrade(churn, "YES=1")
    assert "sm-local: container is a link; put the file itself there" in done.stdout
    assert done.returncode == 2 and tree(churn) == before


def test_a_folder_of_jobs_that_is_a_link_stays_one(churn, tmp_path):
    shutil.move(churn / "output", tmp_path / "output")
    (churn / "output").symlink_to(tmp_path / "output")
    done = upgrade(churn, "YES=1")
    assert done.returncode == 0 and "v0.1.0 -> v0.2.0" in done.stdout, done.stdout
    assert (churn / "output").is_symlink()


def test_without_hooks_the_version_s_tag_is_the_commit(churn):
    record = json.loads((churn / ".sm-local.json").read_text())
    (churn / ".sm-local.json").write_text(json.dumps({**record, "commit": ""}))
    done = upgrade(churn, "YES=1")
    assert done.returncode == 0 and "v0.1.0 -> v0.2.0" in done.stdout


# Interrupted


@pytest.mark.linux
@pytest.mark.parametrize("number", range(9))
def test_killed_while_it_puts_files_in_place_the_next_make_finishes(churn, tmp_path, number):
    """A `mv` that kills the upgrade and all its processes before its nth file."""
    whole = Path(shutil.copytree(churn, tmp_path / "whole", symlinks=True))
    assert upgrade(whole, "YES=1").returncode == 0
    before, count = tree(churn), tmp_path / "count"
    count.write_text("0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/mv").write_text(
        f'#!/bin/sh\nn=$(cat "{count}")\necho $((n + 1)) > "{count}"\n'
        f'if [ "$n" -eq {number} ]; then kill -9 $PPID; exit 1; fi\nexec /bin/mv "$@"\n'
    )
    (tmp_path / "bin/mv").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = make(churn, "upgrade", "YES=1", env=clean_environment(PATH=path), timeout=300)
    if done.returncode == 0:  # there are fewer files
        assert tree(churn) == tree(whole) and int(count.read_text()) <= number
        return
    assert "not all is in place (above); the next make goes on from there" in done.stdout
    assert tree(churn) != before or number == 0
    done = make(churn, "help")
    assert "an upgrade was killed; it is finished now: run the same command again" in done.stdout
    assert make(churn, "help").returncode == 0
    assert tree(churn) == tree(whole)


def test_one_that_cannot_be_finished_does_not_say_that_it_is(churn):
    stage = churn / ".sm-local.upgrade"
    (stage / "new/taken").mkdir(parents=True)
    shutil.copy(churn / "sm_local/libexec/finish.sh", stage)
    (stage / "new/taken/x").write_text("new")
    (stage / "list").write_text("put taken/x\n")
    (churn / "taken").write_text("a file where a folder is wanted")
    for _ in range(2):
        done = make(churn, "help")
        assert "an upgrade was killed; it cannot be finished (above);" in done.stdout
        assert done.returncode == 2
    (churn / "taken").unlink()
    assert "it is finished now" in make(churn, "help").stdout
    assert (churn / "taken/x").read_text() == "new" and make(churn, "help").returncode == 0


@pytest.mark.linux
@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.3, 1.8, 2.3, 2.8])
def test_after_ctrl_c_it_is_the_old_version_or_the_new(churn, tmp_path, seconds):
    whole = Path(shutil.copytree(churn, tmp_path / "whole", symlinks=True))
    assert upgrade(whole, "YES=1").returncode == 0
    before = tree(churn)
    process = subprocess.Popen(
        ["make", "upgrade", "YES=1"],
        cwd=churn,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=30)[0]
    # make may end before what puts the files in place, which Ctrl-C does not reach
    assert eventually(lambda: not (churn / ".sm-local.upgrade").exists())
    now, new = tree(churn), tree(whole)
    odd = {path for path in {*now, *new} if now.get(path) != new.get(path)}
    assert now in (before, new), (said, odd)
    assert "Traceback" not in said
    assert upgrade(churn, "YES=1").returncode == 0 and tree(churn) == tree(whole)


# Baking over a project


def command(project: Path, *options: str) -> subprocess.CompletedProcess:
    """Run cookiecutter again where a project is."""
    config = project.parent / "config.yaml"
    config.write_text(f"replay_dir: {project.parent}/replay\n")
    return subprocess.run(
        [Path(sys.prefix) / "bin/cookiecutter", REPO, "--no-input", *options, "project=churn"],
        cwd=project.parent,
        env=clean_environment(COOKIECUTTER_CONFIG=str(config)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [["-f"], ["-f", "-s"], ["-s"], []], ids=" ".join)
def test_a_bake_over_a_project_is_refused_and_nothing_is_lost(churn, options):
    (churn / "code/train.py").write_text("mine\n")
    (churn / "empty").mkdir()
    before = tree(churn)
    done = command(churn, *options)
    assert done.returncode != 0 and tree(churn) == before and (churn / "empty").is_dir()
    if "-f" in options:
        assert done.stderr.splitlines()[0] == (
            "sm-local: churn is here already, and a bake would overwrite what you changed; "
            "'make upgrade' in it brings the new version"
        )


def test_a_bake_into_a_folder_that_is_no_project_is_none_of_our_business(tmp_path):
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn/notes").write_text("mine\n")
    done = command(tmp_path / "churn", "-f")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "churn/notes").read_text() == "mine\n"


# The version


def test_the_newest_tag_is_the_version_when_head_has_one():
    version = json.loads((REPO / "cookiecutter.json").read_text())["_version"]
    done = subprocess.run(
        ["git", "tag", "--points-at", "HEAD", "--list", "v*"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    tags = done.stdout.split()
    assert tags in ([], [f"v{version}"])
    heading = f"\n## {version} - " if tags else "\n## Unreleased\n"
    assert heading in (REPO / "CHANGELOG.md").read_text()
