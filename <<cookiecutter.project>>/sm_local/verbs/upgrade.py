"""`make upgrade`: the tool's own files as another version of the template has them.

The old and the new version are baked aside and merged with the project, file by file. What comes
out is prepared in .sm-local.upgrade/, and put in place by libexec/finish.sh when all of it is
there; the next make finishes what was killed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import SmLocalError
from . import merging
from .merging import RECORD, Change, File, Files

INTERRUPTED = "upgrade: interrupted; nothing was changed"
STAGE = ".sm-local.upgrade"
SETTINGS = "settings.env"
EXAMPLE = '{"template": "gh:org/sm-local", "version": "0.1.0", "commit": "", "answers": {…}}'
CLASH = "{0} is an earlier upgrade's; take what you want of it, delete it, then upgrade"


@dataclass(frozen=True)
class Baked:
    """What .sm-local.json says: which version this project is, and how it was baked."""

    template: str
    version: str
    commit: str
    answers: dict[str, str]


def run(given: dict[str, str]) -> int:
    """Show what changes, ask, and do it; return the exit status. Raises SmLocalError."""
    root = Path()
    before = read_record(root)
    if not shutil.which("git"):
        raise SmLocalError("upgrade: git is not on PATH; it fetches and merges; install git")
    with tempfile.TemporaryDirectory(prefix="sm-local-upgrade-") as folder:
        source = Source(clone(before.template, Path(folder)), Path(folder))
        was, wanted = source.baked(before), source.wanted(given.get("VERSION", ""))
        if said := source.nothing_to_do(was, wanted, asked=bool(given.get("VERSION"))):
            print(f"{said}; nothing to do")
            return 0
        old, new = source.bake(was, before), source.bake(wanted, before)
        title = f"{before.template}: {source.name(was)} -> {source.name(wanted)}"
    here = merging.read(root, tools_files(old, new) | {RECORD})
    changes = merging.compare(old, new, here)
    print("\n".join([title, *show(changes, old, new)]))
    check_beside(root, changes)
    if not agreed(given):
        print("nothing changed")
        return 0
    put_in_place(root, changes, here, put_commit(new.get(RECORD), before, wanted))
    print(f"upgraded to {title.rpartition('> ')[2]}; next: make build && make train")
    return 0


def tools_files(old: Files, new: Files) -> set[str]:
    """Return the tool's files that change; others may be behind a link, as output/ often is."""
    differs = {path for path in {*old, *new} if old.get(path) != new.get(path)}
    return {path for path in differs if not merging.is_yours(path)}


def read_record(root: Path) -> Baked:
    """Return what .sm-local.json says. Raises SmLocalError."""
    try:
        said = json.loads((root / RECORD).read_text(encoding="utf-8"))
        baked = Baked(*(said[key] for key in ("template", "version", "commit", "answers")))
        *texts, answers = vars(baked).values()
        if not isinstance(answers, dict):
            problem = 'has "answers" that are not an object'
        elif all(isinstance(one, str) for one in [*texts, *answers.values()]):
            return baked
        else:
            problem = "has a value that is not a string"
    except FileNotFoundError:
        problem = "is missing: this project is older than the file"
    except (ValueError, KeyError, TypeError, OSError) as error:
        problem = f"cannot be read ({error!r})"
    raise SmLocalError(f"{RECORD} {problem}; write what it was baked from, such as {EXAMPLE}")


# The template's versions


def clone(template: str, folder: Path) -> Path:
    """Return a clone of the template, made from its address. Raises SmLocalError."""
    from cookiecutter.config import get_user_config
    from cookiecutter.repository import expand_abbreviations

    address = expand_abbreviations(template, get_user_config()["abbreviations"])
    if template.startswith("-") or "://" not in address and not is_here(address):
        raise SmLocalError(
            f"the template {template!r} is neither an address nor a git repository here; "
            f'change "template" in {RECORD}'
        )
    done = git("clone", "--quiet", "--", address, "template", folder=folder)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["git gave no reason"])[-1]
        raise SmLocalError(
            f"the template {template!r} could not be fetched ({why}); "
            f'try again, or change "template" in {RECORD}'
        )
    return folder / "template"


def is_here(address: str) -> bool:
    """Return whether an address is a git repository of this machine, or one of ssh's."""
    return Path(address, ".git").exists() or bool(re.match(r"[\w.-]+@[\w.-]+:", address))


def git(*words: str, folder: Path) -> subprocess.CompletedProcess:
    """Run git in a folder; it asks nothing, for nobody would see the question.

    Ctrl-C reaches git as well, and what it printed until then is a part.
    """
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
    )
    if done.returncode == -signal.SIGINT:
        raise KeyboardInterrupt
    return done


@dataclass(frozen=True)
class Source:
    """A clone of the template, and a folder for what is baked from it."""

    place: Path
    folder: Path

    def commit(self, name: str) -> str:
        """Return the commit that a tag, a branch or a commit's own name means; '' for none."""
        done = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", folder=self.place)
        return done.stdout.strip()

    def nothing_to_do(self, was: str, wanted: str, asked: bool) -> str:
        """Return why not to change commits, if so; to an older one only when that was asked for."""
        if was == wanted:
            return f"{self.name(was)} is what this project has"
        words = ("merge-base", "--is-ancestor", wanted, was)
        if not asked and git(*words, folder=self.place).returncode == 0:
            return f"{self.name(was)} is newer than {self.name(wanted)}"
        return ""

    def name(self, commit: str) -> str:
        """Return what a commit is called: its version, or its first digits."""
        done = git("tag", "--points-at", commit, folder=self.place)
        return newest(done.stdout.split()) or commit[:12]

    def baked(self, before: Baked) -> str:
        """Return the commit that the project was baked from. Raises SmLocalError."""
        commit = self.commit(before.commit) if before.commit else ""
        found = commit or self.commit(f"refs/tags/v{before.version}")
        if not found:
            raise SmLocalError(
                f"the template has neither the commit {before.commit or 'that was baked'} "
                f'nor a tag v{before.version}; write the commit into {RECORD} as "commit"'
            )
        return found

    def wanted(self, version: str) -> str:
        """Return the commit to upgrade to: a version's, or the newest one's. Raises."""
        tags = git("tag", "--list", "v*", folder=self.place).stdout.split()
        if not version:
            return self.commit(newest(tags) or "HEAD")
        names = (f"refs/tags/v{version}", f"refs/tags/{version}", f"origin/{version}", version)
        for name in names if not version.startswith("-") else ():
            if found := self.commit(name):
                return found
        known = ", ".join(sorted(tags, key=number)[-5:]) or "no version has a tag"
        raise SmLocalError(f"VERSION={version}: the template has no such version ({known})")

    def bake(self, commit: str, before: Baked) -> Files:
        """Return what a version makes of the project's answers. Raises SmLocalError."""
        from cookiecutter.exceptions import CookiecutterException
        from cookiecutter.main import cookiecutter

        place = Path(tempfile.mkdtemp(dir=self.folder))
        config = place / "config.yaml"
        config.write_text(f'cookiecutters_dir: "{place}/c"\nreplay_dir: "{place}/replay"\n')
        done = git("checkout", "--quiet", "--force", commit, folder=self.place)
        if done.returncode:
            raise SmLocalError(f"{self.name(commit)} could not be read: {done.stderr.strip()}")
        words = {"no_input": True, "accept_hooks": False, "extra_context": before.answers}
        try:
            made = cookiecutter(
                str(self.place), output_dir=str(place / "out"), config_file=str(config), **words
            )
        except (CookiecutterException, ValueError) as error:  # no choice of that version's
            raise SmLocalError(
                f'{self.name(commit)} could not be baked: {error}; look at "answers" in {RECORD}'
            ) from error
        return merging.read(Path(made))


def number(tag: str) -> tuple[int, ...]:
    """Return a version's numbers; () for a tag that is none, such as v1.0.0-rc1."""
    found = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", tag)
    return tuple(map(int, found.groups())) if found else ()


def newest(tags: list[str]) -> str:
    """Return the newest version among tags; '' where there is none."""
    return max((tag for tag in tags if number(tag)), key=number, default="")


# What is shown, and what a person says to it


def show(changes: list[Change], old: Files, new: Files) -> list[str]:
    """Return a line for each file, and what is new in settings.env."""
    rows = [f"  {one.verdict:9} {one.path}  ({one.said})" for one in changes]
    fresh = merging.added_lines(old.get(SETTINGS), new.get(SETTINGS))
    head = [
        f"{SETTINGS} of the new version has lines that the old one has not; yours is not touched:"
    ]
    return [*rows, *(head + [f"  {line}" for line in fresh] if any(fresh) else [])]


def check_beside(root: Path, changes: list[Change]) -> None:
    """Raise SmLocalError where a file stands in the place of a new one."""
    taken = [one.target for one in changes if one.beside and os.path.lexists(root / one.target)]
    if taken:
        raise SmLocalError("\n".join(CLASH.format(path) for path in taken))


def agreed(given: dict[str, str]) -> bool:
    """Return whether a person agrees. Raises SmLocalError where nobody can be asked."""
    answer = given.get("YES", "")
    if not re.match("[1yY]", answer):
        if not sys.stdin.isatty():
            raise SmLocalError("nothing changed; 'make upgrade YES=1' does it without asking")
        try:
            answer = input("do it? [y/N] ")
        except EOFError:  # Ctrl-D
            print()
    return bool(re.match("[1yY]", answer))


# All or nothing


def put_commit(record: File | None, before: Baked, commit: str) -> File:
    """Return the new .sm-local.json: with the address that the project knows, and the commit."""
    said = json.loads(record.content) if record else {**vars(before), "version": ""}
    said = {**said, "template": before.template, "commit": commit}
    return File((json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode(), False)


def put_in_place(root: Path, changes: list[Change], here: Files, record: File) -> None:
    """Prepare everything, then change the project. Raises SmLocalError."""
    stage = root / STAGE
    shutil.rmtree(stage, ignore_errors=True)  # it has no list: nothing was to be finished
    try:
        steps = prepare(stage, [*changes, Change(RECORD, "updated", record, True)])
        now = merging.read(root, {*here, *(one.path for one in changes if one.writes)})
        if now != here:
            raise SmLocalError("a file was edited meanwhile; nothing changed; upgrade again")
        (stage / "list.new").write_text("".join(f"{what} {path}\n" for what, path in steps))
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise
    os.replace(stage / "list.new", stage / "list")  # from here on it will be finished
    # in a session of its own: Ctrl-C does not reach it
    words = ["sh", f"{STAGE}/finish.sh"]
    done = subprocess.run(words, cwd=root, stdin=subprocess.DEVNULL, start_new_session=True)
    if done.returncode:
        raise SmLocalError("not all is in place (above); the next make goes on from there")


def prepare(stage: Path, changes: list[Change]) -> list[tuple[str, str]]:
    """Write what is to be put in place; return the steps of finish.sh, the record last."""
    steps = []
    for one in changes:
        if one.writes and one.file:
            place = stage / "new" / one.target
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(one.file.content)
            place.chmod(place.stat().st_mode | (0o111 if one.file.executable else 0))
        if one.writes:
            steps.append(("put" if one.file else "drop", one.target))
    shutil.copy(Path(__file__).parents[1] / "libexec/finish.sh", stage)
    return steps
