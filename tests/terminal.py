"""Run a command on a pty or behind a pipe: act on its output, and see how it ends."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable

from projects import clean_environment

CTRL_C = b"\x03"


class Terminal:
    """A command on a terminal of its own. `text` is all output so far."""

    def __init__(self, argv: list[str], cwd, env: dict[str, str]):
        self.text = ""
        self.status: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # They are ignored if the test suite runs in the background or under nohup.
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(cwd)
            os.execvpe(argv[0], argv, {**env, "TERM": "xterm"})

    def read(self, seconds: float) -> bool:
        """Read what comes within some seconds; return False once the other side has closed."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)

    def wait_for(self, pattern: str, timeout: float = 60) -> None:
        """Read until a pattern has appeared."""
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.text):
            assert self.read(0.1) and time.monotonic() < deadline, self.text

    def type(self, data: bytes) -> None:
        """Type something."""
        os.write(self.fd, data)

    def close(self) -> None:
        """Close the terminal's window: the processes get HUP."""
        os.close(self.fd)

    def wait(self, timeout: float = 90) -> int:
        """Read to the end and return the exit status, 128 + N after signal N."""
        deadline = time.monotonic() + timeout
        while self.read(0.1):
            assert time.monotonic() < deadline, self.text
        return self.reap(deadline)

    def reap(self, deadline: float) -> int:
        """Wait for the process, whose terminal may already be closed; set its exit status."""
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)
        with contextlib.suppress(OSError):
            os.close(self.fd)
        return self.status if self.status >= 0 else 128 - self.status


def background(command: list[str], folder, **options) -> subprocess.Popen:
    """Start a command without a terminal; its stdout, and by default its stderr, is a pipe."""
    settings = {"stderr": subprocess.STDOUT, "text": True, "env": clean_environment(), **options}
    return subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **settings
    )


def processes(pattern: str, folder) -> list[int]:
    """Return the numbers of the processes whose command line matches, and that work in a folder."""
    found = subprocess.run(
        ["pgrep", "-f", pattern], capture_output=True, text=True, check=False
    ).stdout.split()
    here = []
    for pid in found:
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            if os.readlink(f"/proc/{pid}/cwd") == str(folder):
                here.append(int(pid))
    return here


def eventually(true: Callable[[], bool], timeout: float = 30) -> bool:
    """Wait until something is true."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
