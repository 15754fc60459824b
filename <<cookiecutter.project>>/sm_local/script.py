"""Words in, Bash out: the only module that quotes, and that knows what a recipe looks like."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from .plan import STAMP

LIBRARY = 1  # raise it when lib/ stops understanding older recipes; lib/folder.sh compares


class Bash(str):
    """A word that is Bash already, such as "$at/model". Every other word is quoted."""


AT, DIR, JOB, NAME = Bash('"$at"'), Bash('"$dir"'), Bash('"$job"'), Bash('"$name"')
VIEW = Bash('"$view"')


def own(path: str) -> Bash:
    """Return a path below the host's folder of the job."""
    return Bash(f'"$at/{path}"')


def host_folder(path: str) -> Bash:
    """Return the folder of one of several hosts; the job's own for ''."""
    return Bash(f'"$dir/{path}"') if path else DIR


def array(name: str) -> Bash:
    """Return all the items of an array as words."""
    return Bash(f'"${{{name}[@]}}"')


def quote(value: str) -> str:
    """Return a value as one Bash word, the time of the job's name in the place of STAMP.

    Values with quotes or `$` get double quotes: `'"'"'` is unreadable, and shellcheck flags it.
    """
    if isinstance(value, Bash):
        return value
    if STAMP in value:
        return '"$stamp"'.join(quote(part) if part else "" for part in value.split(STAMP))
    if re.search(r"['$`]", value):
        return '"' + re.sub(r'[\\"$`]', r"\\\g<0>", value) + '"'
    return shlex.quote(value)


def glue(*words: str) -> Bash:
    """Return several words as one."""
    return Bash("".join(map(quote, words)))


def call(*words: str) -> str:
    """Return one command in one line."""
    return " ".join(map(quote, words))


def command(first: str, lines: list[list[str]]) -> list[str]:
    """Return one command over several lines, continued by backslashes; empty ones are left out."""
    text = [call(*line) for line in lines if line]
    text = [" ".join(filter(None, [first, text[0]])), *(f"  {line}" for line in text[1:])]
    return [f"{line} \\" for line in text[:-1]] + text[-1:]


def assign(**values: str) -> str:
    """Return assignments, in one line."""
    return " ".join(f"{name}={quote(value)}" for name, value in values.items())


def assign_array(name: str, words: tuple[str, ...] | list[str]) -> str:
    """Return the assignment of an array, in one line."""
    return f"{name}=({call(*words)})"


def fill_array(name: str, lines: list[list[str]]) -> list[str]:
    """Return the assignment of an array over several lines."""
    *text, last = command("", lines)
    text = [f"{name}=({(text or [last])[0]}", *text[1:]]
    return [*text, f"{last})"] if lines[1:] else [f"{text[0]})"]


@dataclass
class Recipe:
    """A verb's program: what main() does, and the files of lib/ that it sources."""

    verb: str
    comment: str
    libraries: tuple[str, ...]
    main: list[str] = field(default_factory=list)

    def call(self, *words: str, otherwise: str = "") -> None:
        """Add one command; every word that is not Bash already is quoted."""
        self.main.append(call(*words) + (f" || {otherwise}" if otherwise else ""))

    def command(self, first: str, lines: list[list[str]], otherwise: str = "") -> None:
        """Add one command over several lines."""
        self.main += command(first, lines)
        if otherwise:
            self.main[-1] += f" || {otherwise}"

    def bash(self, *lines: str) -> None:
        """Add lines that are Bash already."""
        self.main += lines

    def text(self) -> str:
        """Return the whole file. Bash reads all of it before main() on its last line runs."""
        libraries = ("environment", *self.libraries)
        sources = "\n".join(f"source sm_local/lib/{name}.sh" for name in libraries)
        version = f"library={LIBRARY}\n" if "folder" in self.libraries else ""
        body = "\n".join(f"  {line}" if line else "" for line in self.main)
        return f"""#!/usr/bin/env bash
# usage: bash recipes/{self.verb}.sh    in the project's folder
# {self.comment}
set -euo pipefail
{version}{sources}

main() {{
{body}
}}

main "$@"
"""
