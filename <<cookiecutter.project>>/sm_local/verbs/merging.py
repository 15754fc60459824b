"""What an upgrade does to each file: the old bake, the new bake and the project's own, compared."""

from __future__ import annotations

import difflib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import SmLocalError

# What is a person's own from the first day on. An upgrade never writes there.
YOURS = (
    "job.yaml",
    "processing.yaml",
    "settings.env",
    "settings.local.env",
    "container/requirements.txt",
    "code/",
    "data/",
    "opt/ml/input/",
    "opt/ml/checkpoints/",
)
RECORD = ".sm-local.json"


@dataclass(frozen=True)
class File:
    """A file's content, and whether it can be executed."""

    content: bytes
    executable: bool


Files = dict[str, File]  # by their paths below the project


@dataclass(frozen=True)
class Change:
    """What happens to one file, in a word, and what is written.

    `file` None with `writes` means that the file goes.
    """

    path: str  # the template's
    verdict: str
    file: File | None = None
    writes: bool = False
    said: str = ""
    beside: bool = False  # it is written as PATH.new

    @property
    def target(self) -> str:
        """Return the path that is written."""
        return f"{self.path}.new" if self.beside else self.path


def read(root: Path, paths: set[str] | None = None) -> Files:
    """Return the files below a folder, all or those of these paths. Raises SmLocalError.

    A file behind a link would be written somewhere else, so a link is refused.
    """
    if paths is None:
        paths = {str(one.relative_to(root)) for one in root.rglob("*") if one.is_file()}
    found = {}
    for path in paths:
        place = root / path
        for part in (place, *place.parents):
            if part == root:
                break
            if part.is_symlink():
                raise SmLocalError(
                    f"{part.relative_to(root)} is a link; put the file itself there, then upgrade"
                )
        if place.is_file():
            found[path] = File(place.read_bytes(), bool(place.stat().st_mode & 0o100))
    return found


def is_yours(path: str) -> bool:
    """Return whether a file is a person's own from the first day on."""
    return path in YOURS or path.startswith(tuple(one for one in YOURS if one.endswith("/")))


def compare(old: Files, new: Files, here: Files) -> list[Change]:
    """Return what an upgrade does, a change for each file that differs between the versions."""
    paths = sorted(path for path in {*old, *new} if old.get(path) != new.get(path))
    changes = [
        Change(path, "yours", said="the new version has another one; yours stays as it is")
        if is_yours(path)
        else change(path, old.get(path), new.get(path), here.get(path))
        for path in paths
        if path != RECORD
    ]
    return [one for one in changes if one.verdict]


def change(path: str, old: File | None, new: File | None, here: File | None) -> Change:
    """Return what happens to one of the tool's files, which differs between the versions."""
    if here == new:
        return Change(path, "")
    if here == old:
        verdict = "added" if old is None else "removed" if new is None else "updated"
        return Change(path, verdict, new, True, lines(old, new))
    if here is None:
        return Change(path, "kept", said="you deleted it, and it stays away")
    if new is None:
        return Change(path, "kept", said="you changed it, and the new version has none")
    return merge(path, old, new, here)


def merge(path: str, old: File | None, new: File, here: File) -> Change:
    """Return a file with both changes; where they meet yours stays, and the new one is beside."""
    merged = merge_file(old.content, new.content, here.content) if old else None
    if old is None or merged is None:
        said = f"your changes and the new version's meet; the new one is {path}.new"
        return Change(path, "conflict", new, True, said, beside=True)
    executable = new.executable if here.executable == old.executable else here.executable
    return Change(path, "merged", File(merged, executable), True, lines(old, new))


def merge_file(old: bytes, new: bytes, here: bytes) -> bytes | None:
    """Return git's three-way merge; None where the changes meet, or it is no text."""
    with tempfile.TemporaryDirectory() as folder:
        names = ("here", "old", "new")
        for name, content in zip(names, (here, old, new)):
            Path(folder, name).write_bytes(content)
        done = subprocess.run(
            ["git", "merge-file", "-p", *names],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    return done.stdout if done.returncode == 0 else None


def lines(old: File | None, new: File | None) -> str:
    """Say how many lines come and go."""
    before, after = (
        one.content.decode(errors="replace").splitlines() if one else [] for one in (old, new)
    )
    found = [line[0] for line in difflib.ndiff(before, after)] if before and after else []
    plus = found.count("+") if found else len(after)
    minus = found.count("-") if found else len(before)
    return f"+{plus} -{minus}"


def added_lines(old: File | None, new: File | None) -> list[str]:
    """Return the lines that a new version adds to a file."""
    before, after = (
        one.content.decode(errors="replace").splitlines() if one else [] for one in (old, new)
    )
    return [line[2:] for line in difflib.ndiff(before, after) if line.startswith("+ ")]
