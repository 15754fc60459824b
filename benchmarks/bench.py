"""Measure sm-local against bare `docker run`, its own floors and its peers; print a table.

The table is Markdown; benchmarks/README.md says what each row means.

usage: python benchmarks/bench.py [--rounds N] [--peers] [--only NAME]
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import signal
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # keep this folder clean; what is measured keeps its caches

import ours  # noqa: E402
import peers  # noqa: E402
from workplace import REPO, Workplace  # noqa: E402


def main() -> int:
    """Run the groups that were asked for, and print their rows as they come."""
    options = arguments().parse_args()
    groups = {**ours.GROUPS, "peers": peers.peers}
    # SIGTERM works like Ctrl-C: every `finally` runs, and nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names = options.only or [name for name in groups if name != "peers" or options.peers]
    with Workplace(options.template, options.base, progress) as place:
        print(f"{datetime.date.today()}, {machine()}; {options.rounds} rounds\n", flush=True)
        print(
            "| what | over | ratio [middle half] | budget | medians |\n|---|---|---|---|---|",
            flush=True,
        )
        for name in names:
            rows = groups[name](place, options.rounds)
            progress("")
            for row in rows:
                print(
                    f"| {row.what} | {row.over} | {row.ratio} | {row.budget} | {row.note} |",
                    flush=True,
                )
    return 0


def arguments() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rounds",
        type=int,
        default=11,
        help="rounds that count; one more is run first and dropped (default: 11)",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[*ours.GROUPS, "peers"],
        help="one group of rows; may be given again",
    )
    parser.add_argument(
        "--peers",
        action="store_true",
        help="also the SageMaker SDK's local mode v2 and v3, and sagify: 1.5 GB under build/peers",
    )
    parser.add_argument(
        "--base",
        default="",
        help="the image to build from (default: the first one that is here of a few)",
    )
    parser.add_argument(
        "--template",
        type=Path,
        default=REPO,
        help="another checkout of the template, to compare two",
    )
    return parser


def machine() -> str:
    """Return a one-line description of this machine."""
    return (
        f"{platform.system()} {platform.release().split('-')[0]} on {platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}"
    )


def progress(text: str) -> None:
    """Show progress on a terminal; a log gets only the table."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
