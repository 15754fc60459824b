"""Time commands in interleaved rounds A B C, C B A, …; quote ratios within a round, for machines drift by more than we measure.

Standard library only.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

QUIET, PATIENCE = (
    0.1,
    1.0,
)  # share of the machine that others may use, and the seconds to wait until they do


@dataclass(frozen=True)
class Case:
    """A command, what to do before each of its runs, and what its run consisted of (its start and end given), outside the clock."""

    name: str
    command: list[str]
    folder: Path
    environment: Mapping[str, str]
    prepare: Callable[[], None] = lambda: None
    parts: Callable[[float, float], dict[str, float]] = lambda start, end: {}

    def run(self) -> dict[str, float]:
        """Run once; return its seconds and those of its parts. A command that fails ends the benchmark."""
        self.prepare()
        wait_until_quiet()
        epoch, start = time.time(), time.perf_counter()
        done = subprocess.run(
            self.command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(
                f"bench: {self.name} failed with {done.returncode}: "
                f"{' '.join(self.command)[:400]}\n" + done.stdout.decode(errors="replace")[-3000:]
            )
        return {self.name: seconds, **self.parts(epoch, epoch + seconds)}


@dataclass(frozen=True)
class Row:
    """A line of the result: one thing over another, its budget, and what the seconds were."""

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
        """Return the line for one case over another, divided round by round: the median and the middle half."""
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
    """Return a budget and whether a value, as it is shown, keeps it."""
    return (
        ""
        if limit is None
        else f"≤ {limit:g}{unit}: {'kept' if float(f'{value:.3g}') <= limit else '**over**'}"
    )


def interleave(
    cases: list[Case], rounds: int, say: Callable[[str], None] = lambda _: None
) -> Times:
    """Run all cases in turn, rounds + 1 times, every second round backwards, and drop the first round."""
    seconds: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        say(f"round {number} of {rounds}")
        for case in cases[:: -1 if number % 2 else 1]:
            for name, taken in case.run().items():
                seconds.setdefault(name, []).append(taken)
    return Times({name: taken[1:] for name, taken in seconds.items()})


def wait_until_quiet() -> None:
    """Wait for a quarter of a second in which the machine does nearly nothing, at most PATIENCE seconds (Linux; else not at all)."""
    deadline = time.monotonic() + PATIENCE
    while Path("/proc/stat").exists() and time.monotonic() < deadline:
        before = cpu_ticks()
        time.sleep(0.25)
        ticks = [now - then for now, then in zip(cpu_ticks(), before)]
        if sum(ticks) - ticks[3] - ticks[4] <= QUIET * sum(
            ticks
        ):  # all that is not idle and not waiting for a disk
            return


def cpu_ticks() -> list[int]:
    """Return the machine's CPU time so far: user, nice, system, idle, iowait, irq, softirq, steal."""
    return [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
