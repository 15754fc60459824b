"""The line about a run: what changed, how it ended, how long it took, what became of its metrics.

Metrics are found as SageMaker finds them, by the regular expressions of MetricDefinitions, of which
the first group is the value. Where a request has none: the last line of the log that has pairs such
as `loss=0.1` or `loss: 0.1`.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from ..errors import SmLocalError
from ..request import reading

Metrics = dict[str, str]  # name, and value as it was printed
Definitions = tuple[tuple[str, str], ...]  # name, regular expression

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
PAIR = re.compile(rf"(?<![\w.])['\"]?([A-Za-z_][\w./-]*)['\"]?(?:=| ?: )({NUMBER})(?![\w.:/])")
LONGEST = 4096  # characters of a line that are looked at


def definitions(file: str) -> Definitions:
    """Return the request's MetricDefinitions; none where it has errors, which the run tells."""
    with contextlib.suppress(SmLocalError):
        algorithm = reading.read(Path(file)).body.get("AlgorithmSpecification", {})
        found = algorithm.get("MetricDefinitions", [])
        return tuple((one["Name"], one["Regex"]) for one in found)
    return ()


def metrics(lines: list[str], wanted: Definitions) -> Metrics:
    """Return the last value of each metric in a log."""
    if not wanted:
        return pairs(lines)
    found: Metrics = {}
    for name, regex in wanted:
        with contextlib.suppress(re.error):
            search = re.compile(regex).search
            matches = [match for line in lines if (match := search(line[:LONGEST]))]
            if values := [match[1] for match in matches if match.re.groups and match[1]]:
                found[name] = values[-1]
    return found


def pairs(lines: list[str]) -> Metrics:
    """Return the pairs of the last line that has any."""
    for line in reversed(lines):
        if found := dict(PAIR.findall(line[:LONGEST])):
            return found
    return {}


def told(now: Metrics, before: Metrics) -> str:
    """Say what metrics are, and what those that have changed were."""
    return ", ".join(
        f"{name} {value}" + (f" (was {before[name]})" if before.get(name, value) != value else "")
        for name, value in now.items()
    )


def line(reason: str, status: str, seconds: float, metrics: str) -> str:
    """Return the line about a run."""
    if not status:
        return visible(f"{reason}: no job ran")
    how = "in" if status == "Completed" else "after"
    return visible(
        f"{reason}: {status} {how} {seconds:.1f} s" + (f"; {metrics}" if metrics else "")
    )


def named(files: list[str]) -> str:
    """Name what has changed, in a few words."""
    if len(files) > 3:
        return f"{files[0]}, {files[1]} and {len(files) - 2} more files"
    *first, last = files
    return f"{', '.join(first)} and {last}" if first else last


def visible(text: str) -> str:
    """Return a text without what would move the terminal's cursor: a file may have any name."""
    return "".join(one if one.isprintable() else "?" for one in text)
