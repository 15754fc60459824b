"""One try: a job is started, something happens to it at some moment, and it is looked at."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import inquest
from arena import Arena, Engine, hand_over, script
from terminal import Terminal

BEFORE, START, MIDDLE, END, PACKING = MOMENTS = (
    "before the container",
    "at its start",
    "in the middle",
    "at its end",
    "at packing",
)
OVER = (END, PACKING)  # the job itself has ended
VERBS = ("jobs", "stop", "train")  # one of them comes next
# A shell that outlives what is done to its children, and writes down how they ended.
SHELL = """trap : INT HUP TERM QUIT
{ "$@" 2>&3; } 3>&2 2> /dev/null
echo "$?" > ../exit"""
PATIENCE = 40  # seconds for what must come to an end


@dataclass(frozen=True)
class End:
    """An end that is right: a job's word, and the recipe's exit status."""

    word: str  # of output/JOB/status; none: there is no folder
    exits: tuple[int, ...]  # () for any but 0


@dataclass
class Result:
    """What a try showed."""

    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    word: str = ""
    missed: bool = False  # there was nothing to do it to

    @property
    def failed(self) -> bool:
        """Return whether something is not as it must be."""
        return bool(self.lost or self.wrong or self.left)


class Trial:
    """A project in which one job runs, and the means to get at all parts of it."""

    def __init__(self, arena: Arena, engine: Engine, name: str, row, number: int) -> None:
        """Make the project; every choice comes from the row's name and the number."""
        self.arena, self.engine, self.row, self.number = arena, engine, row, number
        self.random = random.Random(f"{row.name} {engine.name} {number}")
        self.moment = row.moments[number % len(row.moments)]
        self.project = arena.project(engine, name, row.hosts, row.body, row.blob)
        self.terminal: Terminal | None = None
        self.result = Result()
        self.changes: dict[str, str] = {}
        self.by_make = row.door == "make" or (row.door == "" and number % 2 == 0)
        self.status: int | None = None
        self.said = ""

    # The job

    def start(self) -> None:
        """Start the job on a terminal, of which a shell is the leader, or make itself."""
        command = ["make", "train", *self.engine.words]
        if not self.by_make:
            command = ["bash", "recipes/train.sh"]
        command = [*self.engine.prefix, *command]
        if not self.row.leader:
            command = ["bash", "-c", SHELL, "bash", *command]
        environment = self.arena.environment(self.engine, **self.changes)
        self.terminal = Terminal(command, self.project, environment)

    def until(self, true: Callable[[], object], seconds: float = 20) -> bool:
        """Wait until something is true, and read the terminal meanwhile."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline or self.over():
                return bool(true())
            self.listen(0.01)
        return True

    def listen(self, seconds: float) -> None:
        """Read what the terminal shows for a while."""
        with contextlib.suppress(OSError, ValueError):
            if self.terminal and self.terminal.read(seconds):
                return
        time.sleep(seconds)

    def over(self) -> bool:
        """Return whether the process that was started has ended; reap it."""
        if self.terminal and self.status is None:
            pid, status = os.waitpid(self.terminal.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code
        return self.status is not None

    @property
    def job(self) -> Path | None:
        """Return the folder of the first job; None before there is one."""
        found = inquest.jobs(self.project)
        return found[0] if found else None

    def reach(self, moment: str) -> None:
        """Let the job come to a moment of its life, and a little further."""
        slack = {BEFORE: 0.08, START: 0.4, MIDDLE: 0.2, END: 0.08, PACKING: 0.1}[moment]
        if moment != BEFORE:
            self.until(lambda: self.job)
        works = moment not in (MIDDLE, *OVER) or self.until(self.has_worked)
        if not works and not self.over():
            self.result.wrong.append("the job does not work")
        if moment in OVER:
            self.tell_to_end()
            ended = "exit-code" if moment == END else "model.tar.gz*"
            self.until(lambda: self.job and any(self.job.glob(ended)))
        deadline = time.monotonic() + self.random.uniform(0, slack)
        while time.monotonic() < deadline and not self.over():
            self.listen(0.005)

    def has_worked(self) -> bool:
        """Return whether all hosts have written something."""
        found = inquest.truths(self.project)
        return len(found) >= self.row.hosts and all(lines > 2 for *_, lines in found)

    def tell_to_end(self) -> None:
        """Let the job end by itself."""
        kept = self.project / "opt/ml/checkpoints"
        with contextlib.suppress(OSError):
            kept.mkdir(exist_ok=True)
            (kept / "end").touch()
            os.chown(kept, self.engine.user, -1)
            os.chown(kept / "end", self.engine.user, -1)

    # Its parts

    def recipe(self) -> int:
        """Return the process of the recipe, not one that it has forked; 0 if there is none."""
        found = inquest.of_project(self.project).items()
        bashes = [pid for pid, line in found if re.match(r"\S*bash .*recipes/", line)]
        return next((pid for pid in bashes if inquest.parent_of(pid) not in bashes), 0)

    def processes(self, *words: str) -> list[int]:
        """Return the project's processes in whose command line all these words are."""
        found = inquest.of_project(self.project).items()
        return [pid for pid, line in found if all(word in line for word in words)]

    def containers(self) -> list[str]:
        """Return the ids in container-id: of containers, in the sandbox of processes."""
        paths = (
            self.project.glob("output/*/container-id"),
            self.project.glob("output/*/algo-*/container-id"),
        )
        texts = [inquest.read(path).strip() for some in paths for path in sorted(some)]
        return [text for text in texts if text]

    def kill(self, *pids: int, number: int = signal.SIGKILL) -> None:
        """Send a signal to processes, each of which must be this run's."""
        containers = self.containers()
        ours = [pid for pid in pids if pid > 1 and inquest.is_ours(pid, self.project, containers)]
        self.result.missed = not ours
        for pid in ours:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    # Afterwards

    def finish(self) -> None:
        """Wait for the end, of the command and of the job, and look at both."""
        self.until(lambda: False, PATIENCE if self.moment in OVER else 8)
        self.tell_to_end()
        self.until(lambda: False, PATIENCE)
        if not self.over():
            self.result.wrong.append(f"hung for {PATIENCE} s")
        deadline = time.monotonic() + 20
        while self.goes_on() and time.monotonic() < deadline:
            self.listen(0.1)
        self.read_to_the_end()
        self.said += self.terminal.text if self.terminal else ""

    def read_to_the_end(self) -> None:
        """Read what the terminal still holds of those who have ended."""
        with contextlib.suppress(OSError, ValueError):
            before = None
            while self.terminal and self.terminal.text != before:
                before = self.terminal.text
                self.terminal.read(0.2)

    def goes_on(self) -> bool:
        """Return whether the job or its recipe still runs, whatever has become of the command."""
        return bool(self.recipe()) or inquest.runs(self.project, self.engine)

    def exit_status(self) -> int:
        """Return the exit status of make, or of the recipe."""
        written = inquest.read(self.project.parent / "exit").strip()
        return int(written) if written else self.status if self.status is not None else 124

    def judge(self) -> None:
        """Compare the job's end with what is right for the row."""
        word = inquest.status_of(self.job) if self.job else "none"
        status, right = self.exit_status(), list(self.row.right)
        if self.moment in OVER or self.result.missed:
            # make itself may die of a signal that comes when the job has ended
            of_make = (129, 130, 137, 143) if self.by_make else ()
            right.append(End("Completed", (0, *of_make, *self.row.late)))
        if self.moment in (BEFORE, START):
            right.append(End("none", ()))
        if not any(fits(end, word, status, self.by_make) for end in right):
            self.result.wrong.append(f"{self.moment}: {word}, exit status {status}")
        self.result.wrong += inquest.raw_words(self.said)
        found = inquest.lost(self.project, self.said, self.row.killed)
        self.result.lost += [one for one in found if not (self.row.deaf and "lines" in one)]

    def look_at_what_is_left(self, seconds: float = 3) -> list[str]:
        """Return what is left; what is about to go gets some seconds."""
        deadline = time.monotonic() + seconds
        while found := inquest.left(self.project, self.engine):
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        return found

    def go_on(self) -> None:
        """Call the next verb, and train again: see what they say, sweep and leave."""
        verb = VERBS[self.number % len(VERBS)]
        self.result.swept = self.look_at_what_is_left()
        self.tell_to_end()
        # `make train` may have run before there were folders to give to the user
        words = self.engine.words if verb == "train" else ()
        done = self.arena.make(self.project, self.engine, verb, *words)
        self.result.word = f"{verb}: {inquest.last_word(verb, done.stdout)}"
        if verb != "train":
            done = self.arena.make(self.project, self.engine, "train", *self.engine.words)
        if done.returncode or " Completed in " not in done.stdout:
            word = inquest.last_word("train", done.stdout)
            self.result.wrong.append(f"the next make train: {done.returncode}, {word}")
        self.result.left = self.look_at_what_is_left()
        self.result.swept = [one for one in self.result.swept if one not in self.result.left]

    def run(self) -> Result:
        """Do all of it; leave nothing but the folder of a try that failed."""
        hand_over(self.project, self.engine)
        try:
            self.row.attack(self)
            if self.terminal:
                self.finish()
            if self.row.right:
                self.judge()
            self.row.afterwards(self)
            self.go_on()
        finally:
            self.clear()
        return self.result

    def clear(self) -> None:
        """Remove what is left; keep the folder if the try failed."""
        if self.terminal:
            with contextlib.suppress(OSError):
                os.close(self.terminal.fd)
        (self.project.parent / "said").write_text(self.said)
        mounted = self.project / "output"
        if self.result.failed and os.path.ismount(mounted):
            shutil.copytree(mounted, self.project.parent / "output", symlinks=True)
        inquest.remove(self.project, self.engine)
        if not self.over() and self.terminal:
            self.kill(self.terminal.pid)
        if not self.result.failed:
            shutil.rmtree(self.project.parent, ignore_errors=True)


def fits(end: End, word: str, status: int, by_make: bool) -> bool:
    """Return whether a job ended as it may; make makes 2 of every failure, or dies of a signal."""
    if word == "empty" or end.word not in (word, "any"):
        return False
    if not end.exits:
        return status != 0
    if by_make and 0 not in end.exits:
        return status in (2, *end.exits)
    return status in end.exits


def mount_small(trial: Trial, megabytes: int) -> None:
    """Put a disk of some megabytes under output/."""
    folder = trial.project / "output"
    options = f"size={megabytes}m,mode=755,uid={trial.engine.user},gid={trial.engine.user}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "faults", folder], check=True)


def enlarge(trial: Trial) -> None:
    """Make room on that disk."""
    folder = trial.project / "output"
    subprocess.run(["mount", "-o", "remount,size=400m", folder], check=True)
    (folder / "filler").unlink(missing_ok=True)
    (trial.project / "code/train.py").write_text(script())
