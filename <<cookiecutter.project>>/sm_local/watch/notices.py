"""Who tells that files may have changed: inotify where it sees all, else a look now and then.

Either only says "look": what has changed is found in the files themselves (files.py).
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import select
import time
from pathlib import Path
from typing import Union

# Here every writer is this machine's kernel. A network's, WSL's and a virtual machine's folders
# change without its knowledge (microsoft/WSL#4739, docker/for-win#12766).
LOCAL = {
    *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "bcachefs"),
    *("jfs", "reiserfs", "ecryptfs"),
}
MOUNTS = Path("/proc/self/mountinfo")
FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
# attributes, close after writing, moved from and to, created, deleted
EVENTS = 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200
SILENCE, PATIENCE = 0.03, 0.3  # seconds without an event that end a save; at most so many
PERIOD = 0.3  # seconds between two looks


class Inotify:
    """The kernel's own notices."""

    period = None

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self.libc.inotify_init1(FLAGS)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")

    def enter(self, folder: str) -> None:
        """Ask for notices about a folder, or about the one where it would be made.

        Raises OSError where the machine has no more of them to give.
        """
        while self.libc.inotify_add_watch(self.descriptor, os.fsencode(folder), EVENTS) < 0:
            number = ctypes.get_errno()
            if number == errno.ENOSPC:
                raise OSError(number, os.strerror(number))
            if folder in ("", ".", "/"):
                return
            folder = os.path.dirname(folder) or "."

    def settle(self) -> None:
        """Read notices until there is silence: an editor's save is several."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and select.select([self.descriptor], [], [], SILENCE)[0]:
            os.read(self.descriptor, 65536)


class Poll:
    """A look at all files now and then."""

    period, descriptor = PERIOD, None

    def enter(self, folder: str) -> None:
        """Do nothing: every folder is looked into anyway."""

    def settle(self) -> None:
        """Do nothing: a save is over, or the next look sees its end."""


Notices = Union[Inotify, Poll]


def choose(folders: tuple[str, ...]) -> Notices:
    """Return inotify if it is here and all folders are this machine's own."""
    try:
        text = MOUNTS.read_text(errors="surrogateescape")
        if all(file_system(os.path.realpath(folder), text) in LOCAL for folder in folders):
            return Inotify()
    except (OSError, AttributeError):  # macOS has neither
        pass
    return Poll()


def file_system(folder: str, mounts: str) -> str:
    """Return the type of the file system that a folder is on, as mountinfo has it."""
    found, kind = "", ""
    for line in mounts.splitlines():
        words, _, rest = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), words.split(" ")[4])
        if f"{folder}/".startswith(point.rstrip("/") + "/") and len(point) >= len(found):
            found, kind = point, rest.split(" ")[0]
    return kind
