"""Attack jobs, many times and at many moments, and print what was lost, left and said.

The table is Markdown; benchmarks/README.md says what its columns mean. Exit status 1 if a number
in it is not 0.

usage: python benchmarks/faults.py [--tries N] [--engines a,b] [--rows WORD,WORD] [--quick]
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from arena import ENGINES, Arena  # noqa: E402
from attacks import ROWS, Row, can  # noqa: E402
from trial import END, MIDDLE, Result, Trial  # noqa: E402

SETTLED = (MIDDLE, END)  # the moments of the short form
HEAD = (
    "| fault | engine | tries | lost | left | wrong | swept | the next verb |\n" + "|---" * 8 + "|"
)


def main(words: list[str] | None = None) -> int:
    """Try what was asked for; print a row as soon as it is known."""
    options = arguments().parse_args(words)
    rows = [row for row in ROWS if wanted(row, options.rows)]
    if options.moments:
        rows = [at(row, options.moments) for row in rows if at(row, options.moments).moments]
    if options.quick:
        rows = [short(row) for row in rows]
    bad = 0
    with Arena(options.base) as arena:
        print(HEAD, flush=True)
        for name in options.engines.split(","):
            engine = arena.engine(name)
            for row in rows:
                if name in row.engines:
                    bad += not attempt(arena, engine, row, options.tries)
    return 1 if bad else 0


def arguments() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=20, help="tries a row (default: 20)")
    parser.add_argument(
        "--engines",
        default="docker,docker-user,sandbox,sandbox-user",
        help=f"some of {','.join(ENGINES)} (default: all but podman); -user: an unprivileged user",
    )
    parser.add_argument("--rows", default="", help="only rows with one of these words, by commas")
    parser.add_argument(
        "--moments", default="", help="only moments with this word: before, packing"
    )
    parser.add_argument("--quick", action="store_true", help="only the short form's rows")
    parser.add_argument(
        "--base", default="", help="the image to build from (default: found or made)"
    )
    return parser


def wanted(row: Row, words: str) -> bool:
    """Return whether a row has one of some words in its name."""
    return not words or any(word in row.name for word in words.split(","))


def at(row: Row, word: str) -> Row:
    """Return a row at some of its moments only."""
    return replace(row, moments=tuple(one for one in row.moments if word in one))


def short(row: Row) -> Row:
    """Return a row's short form: on few engines, at moments that are quickly reached."""
    moments = tuple(one for one in row.moments if one in SETTLED)
    return replace(row, engines=row.quick, moments=moments)


def attempt(arena: Arena, engine, row: Row, tries: int) -> bool:
    """Try a row, print it, and return whether all is well."""
    if reason := can(row, engine, os.geteuid() == 0):
        print(f"| {row.name} | {engine.name} | 0 | | | | | not tried: {reason} |", flush=True)
        return True
    results = []
    for number in range(tries):
        progress(f"{row.name}, {engine.name}: {number + 1} of {tries}")
        name = f"{re.sub(r'[^a-zA-Z0-9]+', '-', row.name)}-{engine.name}-{number}"
        where = arena.mortal(engine) if row.mortal else engine
        results.append(tried(arena, where, name, row, number))
    progress("")
    print(line(row, engine.name, results), flush=True)
    return not any(result.failed for result in results)


def tried(arena: Arena, engine, name: str, row: Row, number: int) -> Result:
    """Return one try's result; say where a failed one's folder is."""
    begin = time.monotonic()
    trial = Trial(arena, engine, name, row, number)
    try:
        result = trial.run()
    except Exception as error:  # what happens to one try must not end the table
        traceback.print_exc()
        result = trial.result
        result.wrong.append(f"the try itself failed: {error!r}")
    if result.failed:
        progress("")
        what = [f"lost {one}" for one in result.lost] + [f"left {one}" for one in result.left]
        text = "; ".join([*what, *result.wrong][:4])
        seconds = time.monotonic() - begin
        print(f"  {name} ({seconds:.0f} s): {text}\n    {trial.project.parent}", file=sys.stderr)
    return result


def line(row: Row, engine: str, results: list[Result]) -> str:
    """Return a row of the table: tries in which something was lost, left or wrong."""
    counts = [sum(bool(getattr(one, key)) for one in results) for key in ("lost", "left", "wrong")]
    swept = sum(bool(one.swept) for one in results)
    words = collections.Counter(result.word for result in results).most_common()
    said = "; ".join(f"{word} (×{count})" for word, count in words[:4])
    numbers = " | ".join(str(count) if not count else f"**{count}**" for count in counts)
    said = said.replace("|", "\\|")
    missed = sum(one.missed for one in results)
    tries = f"{len(results)}{f' ({missed} met nothing)' * bool(missed)}"
    return f"| {row.name} | {engine} | {tries} | {numbers} | {swept} | {said} |"


def progress(text: str) -> None:
    """Show progress on a terminal; a log gets only the table."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nfaults: interrupted; what was started is removed")
