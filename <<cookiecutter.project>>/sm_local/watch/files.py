"""What the watched files hold. A save that changes nothing is none, nor are editors' own files."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator

# Those of watchfiles' DefaultFilter, and what lib/code.sh leaves out of a job's copy.
FOLDERS = (
    *("__pycache__", ".git", ".hg", ".svn", ".tox", ".nox", ".venv", ".idea", ".vscode"),
    *("node_modules", ".site-packages", ".hypothesis", ".ipynb_checkpoints", ".*_cache"),
)
# bytecode; Vim's swap files and the one it tries a folder with; backups; Emacs' locks and saves;
# JetBrains', GNOME's, Kate's and Sublime's half-written files; macOS
FILES = (
    *("*.py[cod]", "*.sw?", "4913", "*~", ".#*", "#*#", "*___jb_*___", ".goutputstream-*"),
    *(".*.kate-swp", ".subl*.tmp", ".DS_Store"),
)
LARGE = 64 * 1024 * 1024  # bytes; a larger file is known by its time and size
CLOCK = 2_000_000_000  # ns; the coarsest clock of a file system's: FAT's


def _any(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Return what matches names that one of the patterns matches."""
    return re.compile("|".join(map(fnmatch.translate, patterns)))


IGNORED_FOLDERS, IGNORED_FILES = _any(FOLDERS), _any(FILES)


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the files that are new, gone or different."""
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )


class Contents:
    """All files below some folders, and some single files.

    `enter` is told of each folder before it is listed, so that a notice of what comes later is not
    missed.
    """

    def __init__(
        self, folders: tuple[str, ...], files: tuple[str, ...], enter: Callable[[str], None]
    ):
        self.folders, self.files, self.enter = folders, files, enter
        self.known: dict[str, tuple[tuple, str]] = {}

    def now(self) -> dict[str, str]:
        """Return a sum of what is in each file; those that are not there are left out."""
        found = {}
        for path in self.paths():
            with contextlib.suppress(OSError):  # it has gone meanwhile
                found[path] = self._sum(path)
        self.known = {path: known for path, known in self.known.items() if path in found}
        return found

    def paths(self) -> Iterator[str]:
        """Yield all of them, one by one."""
        for path in self.files:
            for place in {path, os.path.realpath(path)}:
                self.enter(os.path.dirname(place) or ".")
            yield path
        for folder in self.folders:
            self.enter(os.path.dirname(folder) or ".")  # it may be replaced as a whole
            yield from self._below(folder)

    def _below(self, folder: str) -> Iterator[str]:
        """Yield the files below a folder that count; a link in it is a file."""
        self.enter(folder)
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                if not entry.is_dir(follow_symlinks=False):
                    if not IGNORED_FILES.match(entry.name):
                        yield entry.path
                elif not IGNORED_FOLDERS.match(entry.name) and not _is_venv(entry.path):
                    yield from self._below(entry.path)

    def _sum(self, path: str) -> str:
        """Return a file's sum, without reading it again where it cannot have changed.

        What was written within one tick of the clock before it was read may change in that tick.
        """
        seen = os.stat(path) if path in self.files else os.lstat(path)
        stamp = (seen.st_mode, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        if path in self.known and self.known[path][0] == stamp:
            return self.known[path][1]
        began = time.time_ns()
        total = _read(path, seen)
        if began - max(seen.st_mtime_ns, seen.st_ctime_ns) > CLOCK:
            self.known[path] = (stamp, total)
        return total


def _is_venv(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "pyvenv.cfg"))


def _read(path: str, seen: os.stat_result) -> str:
    """Return a sum of a file's content, and whether it is a program; of a link, where it leads."""
    if stat.S_ISLNK(seen.st_mode):
        return f"link {os.readlink(path)}"
    if not stat.S_ISREG(seen.st_mode):
        return "no file"  # a FIFO would wait for a writer
    if seen.st_size > LARGE:
        return f"large {seen.st_size} {seen.st_mtime_ns}"
    with open(path, "rb") as file:
        return f"{seen.st_mode & 0o111:o} {hashlib.blake2b(file.read()).hexdigest()}"
