"""Time commands in interleaved rounds (A B C, then C B A, …) and take ratios within a round.

Machines drift by more than the differences that are measured here; ratios within a round
cancel that. Standard library only.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Protocol

QUIET = 0.1  # share of the machine that other processes may use
PATIENCE = 1.0  # seconds to wait for that


@dataclass(frozen=True)
class Case:
    """A command to time.

    `prepare` is called before each run. `parts` gets a run's start and end and returns what the
    run consisted of. Neither is on the clock. When `mark` is printed first is a part of its own.
    """

    name: str
    command: list[str]
    folder: Path
    environment: Mapping[str, str]
    prepare: Callable[[], None] = lambda: None
    parts: Callable[[float, float], dict[str, float]] = lambda start, end: {}
    mark: str = ""

    def run(self) -> dict[str, float]:
        """Run once; return the seconds of the run and its parts. A failure ends the benchmark."""
        self.prepare()
        wait_until_quiet()
        epoch, start = time.time(), time.perf_counter()
        status, said, marked = self._watch(start)
        seconds = time.perf_counter() - start
        if status:
            raise SystemExit(
                f"bench: {self.name} failed with {status}: "
                f"{' '.join(self.command)[:400]}\n" + said.decode(errors="replace")[-3000:]
            )
        first = {first_line(self.name): marked} if self.mark else {}
        return {self.name: seconds, **first, **self.parts(epoch, epoch + seconds)}

    def _watch(self, start: float) -> tuple[int, bytes, float]:
        """Return the exit status, what was said, and when `mark` was, in seconds."""
        said, marked = b"", 0.0
        with subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as child:
            assert child.stdout
            while more := os.read(child.stdout.fileno(), 1 << 16):
                said += more
                if not marked and self.mark.encode() in said:
                    marked = time.perf_counter() - start
        return child.returncode, said, marked


def first_line(name: str) -> str:
    """Return what a case's part is called."""
    return f"{name}: first line"


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, over what, its ratio, its budget and the seconds."""

    what: str
    over: str
    ratio: str
    budget: str = ""
    note: str = ""


@dataclass(frozen=True)
class Times:
    """The seconds of every case, round by round."""

    seconds: dict[str, list[float]]

    def typical(self, name: str) -> float:
        """Return a case's median seconds."""
        return median(self.seconds[name])

    def row(self, name: str, base: str, limit: float | None = None) -> Row:
        """Return the row of one case over another: median and middle half of the rounds' ratios."""
        ratios = [one / other for one, other in zip(self.seconds[name], self.seconds[base])]
        low, middle, high = quantiles(ratios, method="inclusive") if len(ratios) > 1 else ratios * 3
        return Row(
            name,
            base,
            f"{middle:.3g} [{low:.3g}–{high:.3g}]",
            verdict(middle, limit),
            f"{self.typical(name):.3f} s over {self.typical(base):.3f} s",
        )


def verdict(value: float, limit: float | None, unit: str = "") -> str:
    """Return the budget and whether a value, rounded as shown, keeps it."""
    return (
        ""
        if limit is None
        else f"≤ {limit:g}{unit}: {'kept' if float(f'{value:.3g}') <= limit else '**over**'}"
    )


class Timed(Protocol):
    """What interleave() can run: a Case, or what is like one."""

    @property
    def name(self) -> str:
        """Return what it is called."""

    def run(self) -> dict[str, float]:
        """Run once; return the seconds of the run and its parts."""


def interleave(
    cases: Sequence[Timed], rounds: int, say: Callable[[str], None] = lambda _: None
) -> Times:
    """Run all cases rounds + 1 times, every second round backwards, and drop the first round."""
    seconds: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        say(f"round {number} of {rounds}")
        for case in cases[:: -1 if number % 2 else 1]:
            for name, taken in case.run().items():
                seconds.setdefault(name, []).append(taken)
    return Times({name: taken[1:] for name, taken in seconds.items()})


def wait_until_quiet() -> None:
    """Wait until the machine is nearly idle for 0.25 s, at most PATIENCE seconds (Linux only)."""
    deadline = time.monotonic() + PATIENCE
    while Path("/proc/stat").exists() and time.monotonic() < deadline:
        before = cpu_ticks()
        time.sleep(0.25)
        ticks = [now - then for now, then in zip(cpu_ticks(), before)]
        busy = sum(ticks) - ticks[3] - ticks[4]  # neither idle nor waiting for a disk
        if busy <= QUIET * sum(ticks):
            return


def cpu_ticks() -> list[int]:
    """Return /proc/stat's ticks: user, nice, system, idle, iowait, irq, softirq, steal."""
    return [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
