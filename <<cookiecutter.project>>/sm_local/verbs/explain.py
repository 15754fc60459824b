"""EXPLAIN=1: a recipe line by line, with the rule that each line comes from and its source.

It is read off the recipe, so that what is explained is what runs.
"""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..script import WIDTH
from . import reasons
from .reasons import OURS, Rule

LIBRARY = Path(__file__).parent.parent / "lib"
INDENT = "      # "
ARRAY = re.compile(r"(named|options|starts)=\(")  # of FAST=1: what follows is a container's
Reason = tuple[str, Rule]  # what is explained, and why it is so


def write(given: dict[str, str]) -> str:
    """Return the recipe on stdin with its reasons."""
    return explain(sys.stdin.read())


def explain(text: str) -> str:
    """Return a recipe's main() with a rule and its source below each line. Not to be run."""
    said: dict[Rule, str] = {}
    lines = ["# " + line for line in textwrap.wrap(reasons.SOURCES, WIDTH - 2)]
    lines += ["", *headline(text)]
    for row, found in explained(text):
        lines.append(row)
        for what, rule in dict.fromkeys(found):
            lines += comment(what, rule, said.setdefault(rule, ""))
            said[rule] = said[rule] or what
    return "\n".join(lines) + "\n"


def headline(text: str) -> list[str]:
    """Return the lines that say what runs where."""
    lines = text.split("\n")[2:]
    return lines[: next(at for at, line in enumerate(lines) if not line.startswith("# "))]


def comment(what: str, rule: Rule, before: str) -> list[str]:
    """Return a reason as comments, in short where its rule was said before, of `before`."""
    text = f"{what}: {rule.text} [{rule.source}]"
    if before:
        text = f"{what}: as {'above' if before == what else before}"
    return textwrap.wrap(
        text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT + "  ", break_on_hyphens=False
    )


def explained(text: str) -> Iterator[tuple[str, list[Reason]]]:
    """Yield each row of main() with what is to say of it."""
    comments, image = comments_of(re.findall(r"^source (\S+)", text, re.MULTILINE)), ""
    for command in commands(text.split("main() {\n")[1].split("\n}\n")[0]):
        words = [shlex.split(row.rstrip("\\")) for row in command]
        image = next((word[6:] for word in words[0] if word.startswith("image=")), image)
        reader = Reader(image, comments)
        for row, some in zip(command, words):
            yield row, list(reader.read(some))


def commands(body: str) -> Iterator[list[str]]:
    """Yield the commands of a body, a list of rows each; a value with newlines is in one row."""
    rows: list[str] = []
    row = ""
    for line in body.split("\n"):
        row = f"{row}\n{line}" if row else line
        if is_whole(row):
            rows.append(row)
            if not row.endswith("\\"):
                yield rows
                rows = []
            row = ""


def is_whole(row: str) -> bool:
    """Return whether all quotes of a row are closed."""
    try:
        shlex.split(row.rstrip("\\"))
    except ValueError:
        return False
    return True


def comments_of(files: list[str]) -> dict[str, Rule]:
    """Return what files of lib/ say of each of their functions: the comment's first sentence."""
    found = {}
    for name in (file.rpartition("/")[2] for file in files):
        text = (LIBRARY / name).read_text(encoding="utf-8")
        for block in re.findall(r"((?:^# .*\n)+)(?=^\w+\(\) )", text, re.MULTILINE):
            words = " ".join(line[2:] for line in block.splitlines())
            if match := re.match(r"(\w+)\b.*?: (.*?)\.(?= |$)", words):
                found[match[1]] = Rule(match[2], f"{OURS}, lib/{name}")
    return found


@dataclass
class Reader:
    """One command, row by row: which words of it are explained by what."""

    image: str  # what the recipe calls its image
    comments: dict[str, Rule]
    part: str = ""  # how far the command is: function, options, more, program
    seen: list[str] = field(default_factory=list)

    def read(self, words: list[str]) -> Iterator[Reason]:
        """Yield what is to say of a row's words."""
        if not self.seen and words:
            if ARRAY.match(words[0]):
                self.part, words[0] = "options", ARRAY.sub("", words[0])
            else:
                yield from self.begin(words)
        self.seen += words
        if self.part in ("options", "more", "program"):
            yield from self.of_container(words)

    def begin(self, words: list[str]) -> Iterator[Reason]:
        """Yield what is to say of the first row."""
        name, *rest = words
        if name == "start_job" or "run" in words[:3]:
            self.part = "options"
        if name == "write_config":
            yield rest[0], reasons.FILES[rest[0]]
        elif name in ("cow", "bind", "show_code"):
            yield self.mounted(name, rest)
        elif name in reasons.CALLS:
            yield name, reasons.CALLS[name]
        else:
            yield from self.ours(words)

    def ours(self, words: list[str]) -> Iterator[Reason]:
        """Yield assignments and functions of the library."""
        for word in words:
            name = re.split(r"[=;(]", word)[0]
            if name in reasons.ASSIGNED and "=" in word:
                yield name, reasons.ASSIGNED[name]
            elif name in self.comments:
                yield name, self.comments[name]
                return

    def mounted(self, name: str, rest: list[str]) -> Reason:
        """Return why a folder is mounted."""
        if name == "show_code":
            return rest[0], reasons.place(rest[0], "", "")
        how = "cow" if name == "cow" else "".join(rest[2:])
        return rest[1], reasons.place(rest[1], rest[0], how)

    def of_container(self, words: list[str]) -> Iterator[Reason]:
        """Yield what is to say of the options, the image and the program of a container."""
        for at, word in enumerate(words):
            if self.part == "program":
                yield from self.program(words[at:])
                return
            if word in ("$built", self.image):
                yield word, reasons.IMAGE
                self.part = "program"
            elif word == "--entrypoint":
                yield word, reasons.SHELL if "${terminal[@]}" in self.seen else reasons.ENTRYPOINT
            elif self.part == "more":
                yield from [(word, reasons.DOCKER_ARGS)] if word.startswith("-") else []
            else:
                yield from self.option(word, [*words, ""][at + 1])

    def option(self, word: str, value: str) -> Iterator[Reason]:
        """Yield what is to say of one word among the options."""
        name, equals, _ = value.partition("=")
        if word == "--env":
            yield name, reasons.variable(name, bool(equals))
        elif word in reasons.OPTIONS:
            yield word, reasons.OPTIONS[word]
        elif "/container/train" in word:
            yield "container/train", reasons.PROGRAM
        elif word.startswith("looked-up:"):
            yield word, reasons.COMPANY
        elif "env" in self.seen and re.match(r"\w+=", word):
            yield word.partition("=")[0], reasons.variable(word.partition("=")[0])
        if word == "${mounts[@]}":
            self.part = "more"

    def program(self, words: list[str]) -> Iterator[Reason]:
        """Yield what is to say of what follows the image."""
        self.part = "end"
        if "${terminal[@]}" in self.seen:
            return
        if "--entrypoint" in self.seen or words != ["train"]:
            yield words[0], reasons.ARGUMENTS
        else:
            yield "train", reasons.TRAIN
