"""Words in, Bash out: the only module that quotes, and that knows what a recipe looks like."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from .plan import IMAGES_PATH, STAMP

WIDTH = 100  # columns, where no single word is wider
WORD = re.compile(r"""(?:[^\s'"\\]|'[^']*'|"(?:\\.|[^"\\])*"|\\.)+""", re.DOTALL)
LIBRARY = 1  # raise it when lib/ stops understanding older recipes; lib/folder.sh compares


class Bash(str):
    """A word that is Bash already, such as "$at/model". Every other word is quoted."""


# What only the running recipe knows, and the Bash in its place.
LATER = {STAMP: '"$stamp"', IMAGES_PATH: '"$python_path"'}
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
    """Return a value as one Bash word, what LATER has in the place of its marks.

    Values with quotes or `$` get double quotes: `'"'"'` is unreadable, and shellcheck flags it.
    """
    if isinstance(value, Bash):
        return value
    for mark, variable in LATER.items():
        if mark in value:
            return variable.join(quote(part) if part else "" for part in value.split(mark))
    if re.search(r"['$`]", value):
        return '"' + re.sub(r'[\\"$`]', r"\\\g<0>", value) + '"'
    return shlex.quote(value)


def glue(*words: str) -> Bash:
    """Return several words as one."""
    return Bash("".join(map(quote, words)))


def call(*words: str) -> str:
    """Return one command in one line."""
    return " ".join(map(quote, words))


def rows(words: list[str]) -> Iterator[list[str]]:
    """Yield the words of a line in as many lines as they need; a word that fits none stays."""
    row: list[str] = []
    for word in words:
        # 4: the indent of what is continued, and the backslash
        if row and is_wide(call(*row, word), 4) and not is_wide(quote(word), 4):
            yield row
            row = []
        row.append(word)
    if row:
        yield row


def is_wide(text: str, more: int = 0) -> bool:
    """Return whether a line of it, in main(), is wider than a recipe should be."""
    return any(2 + len(line) + more > WIDTH for line in text.split("\n"))


def fold(text: str, width: int) -> list[str]:
    """Return a text in lines; whole where blanks between them would not be all that is lost."""
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return lines if " ".join(lines) == text else [text]


def wrapped(line: str) -> list[str]:
    """Return a line of Bash in as many lines as it needs, cut between its words."""
    words = WORD.findall(line)
    if not is_wide(line) or " ".join(words) != line:
        return [line]
    return command("", [[Bash(word) for word in words]])


def command(first: str, lines: list[list[str]]) -> list[str]:
    """Return one command over several lines, continued by backslashes; empty ones are left out."""
    begin: list[str] = [Bash(first)] if first else []
    full = [line for line in lines if line]
    text = [call(*row) for line in [begin + full[0], *full[1:]] for row in rows(line)]
    text = [text[0], *(f"  {line}" for line in text[1:])]
    return [f"{line} \\" for line in text[:-1]] + text[-1:]


def assign(**values: str) -> str:
    """Return assignments, in one line."""
    return " ".join(f"{name}={quote(value)}" for name, value in values.items())


def assign_array(name: str, words: tuple[str, ...] | list[str]) -> str:
    """Return the assignment of an array, in one line."""
    return f"{name}=({call(*words)})"


def fill_array(name: str, lines: list[list[str]]) -> list[str]:
    """Return the assignment of an array over several lines."""
    text = command("", lines) or [""]
    text[0], text[-1] = f"{name}=({text[0]}", f"{text[-1]})" if text[1:] else f"{name}=({text[0]})"
    return text


@dataclass
class Recipe:
    """A verb's program: what main() does, and the files of lib/ that it sources."""

    verb: str
    comment: str
    libraries: tuple[str, ...]
    main: list[str] = field(default_factory=list)

    def call(self, *words: str, otherwise: str = "") -> None:
        """Add one command; every word that is not Bash already is quoted."""
        self.command("", [list(words)], otherwise)

    def say(self, *words: str) -> None:
        """Add a line that is said; `say` puts blanks between its words."""
        parts = [[word] if isinstance(word, Bash) else fold(word, 90) for word in words]
        self.call("say", *(part for some in parts for part in some))

    def command(self, first: str, lines: list[list[str]], otherwise: str = "") -> None:
        """Add one command over several lines."""
        self.main += command(first, lines)
        if otherwise:
            self.main[-1] += f" || {otherwise}"

    def bash(self, *lines: str) -> None:
        """Add lines that are Bash already."""
        self.main += [row for line in lines for row in wrapped(line)]

    def text(self) -> str:
        """Return the whole file. Bash reads all of it before main() on its last line runs."""
        libraries = dict.fromkeys(("environment", *self.libraries))
        sources = "\n".join(f"source sm_local/lib/{name}.sh" for name in libraries)
        version = f"library={LIBRARY}\n" if "folder" in self.libraries else ""
        comment = "\n# ".join(fold(self.comment, WIDTH - 2))
        body = "\n".join(f"  {line}" if line else "" for line in self.main)
        return f"""#!/usr/bin/env bash
# usage: bash recipes/{self.verb}.sh    in the project's folder
# {comment}
set -euo pipefail
{version}{sources}

main() {{
{body}
}}

main "$@"
"""
