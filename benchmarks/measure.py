"""Time commands in interleaved rounds A B C, C B A, …; quote ratios within a round, for machines drift by more than we measure.

Standard library only.
"""
from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

QUIET, PATIENCE = 0.1, 5.0  # share of the machine that others may use, and the seconds to wait until they do


@dataclass(frozen=True)
class Case:
    """A command and what to do, outside the clock, before each of its runs."""

    name: str
    command: list[str]
    folder: Path
    environment: Mapping[str, str]
    prepare: Callable[[], None] = lambda: None

    def run(self) -> float:
        """Run once; return its seconds. A command that fails ends the benchmark."""
        self.prepare()
        wait_until_quiet()
        start = time.perf_counter()
        done = subprocess.run(self.command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"bench: {self.name} failed with {done.returncode}: {' '.join(self.command)[:400]}\n"
                             + done.stdout.decode(errors="replace")[-3000:])
        return seconds


@dataclass(frozen=True)
class Spread:
    """A median and the range it comes from."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return the spread of some values."""
        return cls(median(values), min(values), max(values))

    def show(self, digits: int = 2) -> str:
        """Return `1.03 [0.98–1.10]`."""
        return f"{self.middle:.{digits}f} [{self.low:.{digits}f}–{self.high:.{digits}f}]"


@dataclass(frozen=True)
class Times:
    """The seconds of every case, round by round."""

    seconds: dict[str, list[float]]

    def ratio(self, name: str, base: str) -> Spread:
        """Return one case over another, divided round by round."""
        return Spread.of([one / other for one, other in zip(self.seconds[name], self.seconds[base])])

    def share(self, name: str, less: str, base: str) -> Spread:
        """Return (name - less) / base, round by round: what `name` adds, in parts of `base`."""
        rows = zip(self.seconds[name], self.seconds[less], self.seconds[base])
        return Spread.of([(one - other) / whole for one, other, whole in rows])

    def added(self, name: str, less: str) -> float:
        """Return the median of name - less in milliseconds."""
        return 1000 * median(one - other for one, other in zip(self.seconds[name], self.seconds[less]))

    def typical(self, name: str) -> float:
        """Return a case's median seconds."""
        return median(self.seconds[name])


def interleave(cases: list[Case], rounds: int, say: Callable[[str], None] = lambda _: None) -> Times:
    """Run all cases in turn, rounds + 1 times, every second round backwards, and drop the first round."""
    seconds: dict[str, list[float]] = {case.name: [] for case in cases}
    for number in range(rounds + 1):
        say(f"round {number} of {rounds}")
        for case in cases[:: -1 if number % 2 else 1]:
            taken = case.run()
            if number:
                seconds[case.name].append(taken)
    return Times(seconds)


def wait_until_quiet() -> None:
    """Wait for a quarter of a second in which the machine does nearly nothing, at most PATIENCE seconds (Linux; else not at all)."""
    stat = Path("/proc/stat")
    deadline = time.monotonic() + PATIENCE
    while stat.exists() and time.monotonic() < deadline:
        before = cpu_times(stat)
        time.sleep(0.25)
        busy, total = (now - then for now, then in zip(cpu_times(stat), before))
        if busy <= QUIET * total:
            return


def cpu_times(stat: Path) -> tuple[int, int]:
    """Return the machine's busy and total CPU time so far, in ticks."""
    numbers = [int(text) for text in stat.read_text().splitlines()[0].split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)
