"""One run: `make train` as a child, told to stop as by Ctrl-C, and the job that it made."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

OUTPUT = Path("output")
MAKES_OWN = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MAKE_TERMOUT", "MAKE_TERMERR")
# It is told which run there is, and reads to the end when whoever tells is gone, by whatever end. A
# run tells itself before it begins: whoever starts it may be killed in that moment.
GUARD = 'while read -r now; do run=$now; done; [ ! "$run" ] || kill -s INT -- "-$run"'

OPEN = ("InProgress", "Stopping")
GRACE = "10"  # seconds for a job whose recipe was killed; Make takes no value from here
BEGIN = 'echo $$ >&0; exec "$@" < /dev/null'


def environment(given: dict[str, str]) -> dict[str, str]:
    """Return what a child of make's child gets: nothing of the make around it."""
    dropped = {*MAKES_OWN, *given, *os.environ.get("SM_LOCAL_GIVEN", "").split()}
    return {key: value for key, value in os.environ.items() if key not in dropped}


class Guard:
    """A process that stops the run that is left when this one is killed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["sh", "-c", GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def forget(self) -> None:
        """Say that the run has ended."""
        with contextlib.suppress(OSError):
            print(file=self.process.stdin, flush=True)

    def close(self) -> None:
        """Let it end."""
        self.process.communicate()


class Run:
    """A child in a session of its own: what is typed in the terminal does not reach it."""

    def __init__(self, reason: str, command: list[str], variables: dict[str, str], guard: Guard):
        self.reason, self.guard = reason, guard
        self.began = time.monotonic()
        self.mark = f"{os.getpid()}-{time.time_ns()}"
        self.before = set(os.listdir(OUTPUT))
        self.is_orphaned = self.is_swept = False
        self.variables = {**variables, "SM_LOCAL_WATCH": self.mark, "STOP_GRACE": GRACE}
        self.process = self._begin(command)

    @property
    def seconds(self) -> float:
        """Return how long ago it began."""
        return time.monotonic() - self.began

    def stop(self) -> None:
        """Do what Ctrl-C does: once stops the job, twice kills it."""
        with contextlib.suppress(OSError):
            if not self.is_swept:
                os.killpg(self.process.pid, signal.SIGINT)

    def has_ended(self) -> bool:
        """Return whether the child has ended, and with it the recipe; what is left is told."""
        if self.process.poll() is None:
            return False
        if self.process.returncode == -signal.SIGKILL and self._is_left():
            if not self.is_orphaned:  # make was killed, and its recipe runs on
                self.is_orphaned = True
                self.stop()
            return False
        folder = self.folder()
        if folder and status(folder) in OPEN and not self.is_swept:
            self.is_swept = True  # its recipe was killed, and the job may run on
            self.process = self._begin(["bash", "-p", "sm_local/libexec/stop.sh", folder.name])
            return False
        self.guard.forget()
        return True

    def _begin(self, command: list[str]) -> subprocess.Popen:
        """Start a child in a session of its own."""
        return subprocess.Popen(
            ["sh", "-c", BEGIN, "sh", *command],
            stdin=self.guard.process.stdin,
            env=self.variables,
            start_new_session=True,
        )

    def _is_left(self) -> bool:
        """Return whether a process of the run lives, and is no zombie that nobody waits for."""
        states = subprocess.run(
            ["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True, check=False
        ).stdout.splitlines()
        found = [line.split() for line in states]
        return any(one[0] == str(self.process.pid) and one[1][0] != "Z" for one in found if one)

    def folder(self) -> Path | None:
        """Return the folder of the job that it made, if there is one."""
        with contextlib.suppress(OSError):
            for name in sorted(set(os.listdir(OUTPUT)) - self.before):
                if _read(OUTPUT / name / "record/watch") == self.mark:
                    return OUTPUT / name
        return None

    def is_packing(self) -> bool:
        """Return whether the job has ended, and its recipe is about to."""
        folder = self.folder()
        return bool(folder and (folder / "exit-code").exists())


def status(folder: Path | None) -> str:
    """Return how a job ended; '' where there was none."""
    return _read(folder / "status").partition(" ")[0] if folder else ""


def log(folder: Path, most: int = 1024 * 1024) -> list[str]:
    """Return the last lines of a job's log, the first host's where there are several."""
    for path in (folder / "log", folder / "algo-1/log"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            return file.read().decode(errors="replace").splitlines()
    return []


def delete(folder: Path) -> None:
    """Delete a job's folder; what another user owns in it stays."""
    for path, folders, _ in os.walk(folder):
        for name in folders:  # a job may have closed them
            closed = os.path.join(path, name)
            with contextlib.suppress(OSError):
                if not os.path.islink(closed):
                    os.chmod(closed, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _read(path: Path) -> str:
    """Return the first line of a file of ours; '' where there is none."""
    with contextlib.suppress(OSError), open(path, errors="replace") as file:
        return file.readline().strip()
    return ""
