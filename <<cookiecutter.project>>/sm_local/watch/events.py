"""All that `make watch` waits for, in one place: signals, the terminal, notices, its parent.

What is typed and each signal come through descriptors, so nothing is missed between two waits.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import termios
from collections.abc import Iterator

# a child's end is no event of its own: the wait is over, and that is enough
MEANING = {
    signal.SIGINT: "interrupt",
    signal.SIGTERM: "end",
    signal.SIGHUP: "end",
    signal.SIGCHLD: "",
}
LONGEST = 1.0  # seconds between two looks whether terminal and parent are there


class Events:
    """Where they come from."""

    def __init__(self) -> None:
        self.parent = os.getppid()
        self.is_lasting = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # nohup
        self.has_terminal = _has_terminal() and not self.is_lasting
        self.keys = 0 if self.has_terminal and os.isatty(0) else None
        self.wake = _signals(MEANING.keys() - ({signal.SIGHUP} if self.is_lasting else set()))

    def wait(self, notices: int | None, period: float | None) -> list[str]:
        """Return what has happened: interrupt, end, enter_key, notice; [] for a second of nothing.

        `notices` can be read when there are some; without it, `period` says how often to look.
        """
        keys = [self.keys] if self.keys is not None and self._is_in_front() else []
        sources = [self.wake, *keys, *([notices] if notices is not None else [])]
        ready = select.select(sources, [], [], period or LONGEST)[0]
        found = [*self._signalled()]
        if self._is_abandoned():
            found.append("end")
        elif set(keys) & set(ready):
            found.append("enter_key" if os.read(keys[0], 4096) else "end")
        if notices in ready or (period and not ready):
            found.append("notice")
        return found

    def _signalled(self) -> Iterator[str]:
        """Yield what signals have come."""
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self.wake, 4096):
                if event := MEANING.get(signal.Signals(number)):
                    yield event

    def _is_in_front(self) -> bool:
        """Return whether what is typed is ours: a process in the background is stopped for it."""
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(0) == os.getpgrp()
        return False

    def _is_abandoned(self) -> bool:
        """Return whether nobody can end this any more: make was killed, or the terminal closed.

        The kernel tells the session's leader alone, and that may be make, which waits for us.
        """
        closed = (self.has_terminal and not _has_terminal()) or _is_closed()
        return os.getppid() != self.parent or (closed and not self.is_lasting)


def _is_closed() -> bool:
    """Return whether we read or write a terminal that was closed, perhaps before we looked."""
    for descriptor in (0, 1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:  # of what is no terminal it is another
            if error.args[0] == errno.EIO:
                return True
    return False


def _has_terminal() -> bool:
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY))
        return True
    return False


def _signals(numbers: set[signal.Signals]) -> int:
    """Return a descriptor from which signals are read; children get them as ever."""
    read, write = os.pipe()
    for descriptor in (read, write):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(write)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return read
