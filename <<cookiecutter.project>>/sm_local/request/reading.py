"""Read a CreateTrainingJob request and check it.

nodes.py reads the text, shapes.py knows what the API says of one value, rules.py what several say of each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import SmLocalError
from .nodes import compose, kind, line_number, pairs, read_text, short, shown
from .rules import broken_rules
from .shapes import (
    MAY_BE_LEFT_OUT,
    OPEN_ENUMS,
    READ_ONLY,
    REQUEST,
    SHAPES,
    misfits,
    type_of,
    unknown_key,
)

WANTED = {"integer": "an integer", "float": "a number", "boolean": "true or false"}
INSTANCE_TYPE = re.compile(r"[\w.-]+", re.ASCII)
BOOLEANS = {
    "true": "true",
    "yes": "true",
    "on": "true",
    "false": "false",
    "no": "false",
    "off": "false",
}


@dataclass(frozen=True)
class Request:
    """A request that passed: plain values in the order of the file, and a line for each thing worth saying."""

    body: dict
    notes: tuple[str, ...]
    file: str = field(default="", compare=False)
    lines: dict[str, int] = field(
        default_factory=dict, compare=False
    )  # of every value, by its path

    def where(self, path: str) -> str:
        """Return the file and line of a value, or of what it would stand in."""
        return f"{self.file}:{line_of(self.lines, path)}" if self.lines else self.file


class Finding(NamedTuple):
    """Something to say about one line of the file."""

    line: int
    text: str
    sort: str = "problem"  # problem, note, or unknown: a problem unless AWS itself printed the file


def read(path: Path) -> Request:
    """Read a CreateTrainingJob request (YAML or JSON) of which any part may be left out, or what Describe prints.

    Raises SmLocalError with one line for each problem.
    """
    text = read_text(path)
    root, construct = compose(path, text)
    reading = Reading(text, construct)
    body = reading.value(REQUEST, root, "", root.start_mark.line + 1) if root else {}
    for where, what in broken_rules(body or {}):
        reading.add(line_of(reading.lines, where), where, what)
    harmless = {"note", "unknown"} if reading.dropped else {"note"}
    findings = sorted(reading.findings, key=lambda finding: finding.line)
    problems = [f"{path}:{line}: {what}" for line, what, sort in findings if sort not in harmless]
    if problems:
        raise SmLocalError("\n".join(problems))
    notes = (
        *dropped(path, reading.dropped),
        *(f"{path}:{line}: {what}" for line, what, _ in findings),
    )
    return Request(body, notes, str(path), reading.lines)


def line_of(lines: dict[str, int], path: str) -> int:
    """Return the line of a value, or of what it would stand in."""
    while path not in lines:
        path = path.rpartition(".")[0]
    return lines[path]


def dropped(path: Path, keys: list[str]) -> Iterator[str]:
    """Say in one line which keys of describe-training-job's answer were dropped."""
    if keys:
        more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
        yield f"{path}: left out what only DescribeTrainingJob has: {', '.join(keys[:3])}{more}"


class Reading:
    """One reading of one file: makes nodes plain values and gathers what is wrong with them.

    A value of the wrong type becomes None, which nothing right ever is, so that rules can tell it from a missing one.
    """

    def __init__(self, text: str, construct: Any) -> None:
        """Start with nothing found."""
        self.text, self.construct = text, construct
        self.findings: list[Finding] = []
        self.lines: dict[str, int] = {}
        self.dropped: list[str] = []

    def add(self, line: int, path: str, text: str, sort: str = "problem") -> None:
        """Note what is wrong with the value at a path."""
        self.findings.append(Finding(line, f"{path or 'the request'} {text}", sort))

    def value(self, name: str, node: Any, path: str, line: int) -> Any:
        """Return a node as the plain value of a shape."""
        self.lines[path] = line
        wanted = type_of(name)
        if kind(node) == wanted or (kind(node), wanted) == ("integer", "float"):
            makers = {"list": self.list_value, "map": self.map_value}
            return makers.get(wanted, self.scalar_value)(name, node, path, line)
        return self.add(line, path, wrong_type(name, node, self.text))

    def scalar_value(self, name: str, node: Any, path: str, line: int) -> Any:
        """Return a scalar, also one that is not allowed."""
        try:
            value = self.construct(node)
        except (ValueError, LookupError):  # `!!int two`, or more digits than Python converts
            return self.add(line, path, wrong_type(name, node, self.text))
        if isinstance(value, str):  # JSON writes a character beyond 16 bits as two
            value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        for text in misfits(name, value, shown(node)):
            self.add(
                line,
                path,
                text,
                "note" if name in OPEN_ENUMS and INSTANCE_TYPE.fullmatch(value) else "problem",
            )
        return value

    def list_value(self, name: str, node: Any, path: str, line: int) -> list:
        """Return a list; what is beyond the API's limit is counted, not read."""
        for text in misfits(name, node.value):
            self.add(line, path, text)
        items = enumerate(node.value[: SHAPES[name].get("max")])
        return [
            self.value(SHAPES[name]["member"], item, f"{path}[{i}]", line_number(item))
            for i, item in items
        ]

    def map_value(self, name: str, node: Any, path: str, line: int) -> dict:
        """Return a structure, or a map from strings."""
        if "members" in SHAPES[name]:
            return self.structure_value(name, node, path, line)
        value = {}
        for key, item, place in self.entries(node, path):
            word = self.value(SHAPES[name]["key"], key, f"{place} (the key)", line_number(key))
            value[word] = self.value(SHAPES[name]["value"], item, place, line_number(key))
        for text in misfits(name, value):
            self.add(line, path, text)
        return value

    def structure_value(self, name: str, node: Any, path: str, line: int) -> dict:
        """Return a structure's members, without unknown keys and those that only Describe has."""
        members, value = SHAPES[name]["members"], {}
        for key, item, place in self.entries(node, path):
            if place in READ_ONLY:
                self.dropped.append(place)
            elif key.value in members:
                value[key.value] = self.value(members[key.value], item, place, line_number(key))
            else:
                self.add(line_number(key), place, unknown_key(name, key.value), "unknown")
        for key in SHAPES[name].get("required", []):
            if key not in value and key not in MAY_BE_LEFT_OUT.get(name, ()):
                self.add(line, join(path, key), "is missing; add it, the API demands it here")
        return value

    def entries(self, node: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
        """Yield the key, value and path of a mapping's entries, each key once; note keys that stand there twice."""
        seen: dict[str, int] = {}
        for key, item, is_merged in pairs(node, set()):
            if key.id != "scalar":
                self.add(line_number(key), path, f"has {shown(key)} as a key; write a string")
            elif key.value not in seen:
                seen[key.value] = line_number(key)
                yield key, item, join(path, key.value)
            elif not is_merged:
                text = f"stands here twice, first on line {seen[key.value]}; remove one"
                self.add(line_number(key), join(path, key.value), text)


def join(path: str, key: str) -> str:
    """Return the path of a key."""
    name = short(key) if key.isprintable() and key and " " not in key else repr(short(key))
    return f"{path}.{name}" if path else name


def wrong_type(name: str, node: Any, text: str) -> str:
    """Say what a node is, what the API wants, and what to write."""
    wanted = type_of(name)
    written = remedy(name, node, text)
    return f"is {shown(node)}; the API wants {WANTED.get(wanted, f'a {wanted}')}" + (
        f"; {written}" if written else ""
    )


def remedy(name: str, node: Any, text: str) -> str:
    """Return what to write instead of a node of the wrong type, '' where that is not plain."""
    wanted, is_scalar = type_of(name), node.id == "scalar"
    if kind(node) == node.tag and (not is_scalar or node.tag.startswith("!")):
        return f"remove the tag {node.tag.replace('tag:yaml.org,2002:', '!!')}"
    if kind(node) == "null" and wanted != "string":
        return "fill it in or remove the line"
    if wanted == "map":
        return "write 'key: value' lines below it"
    if wanted == "list":
        strings = is_scalar and type_of(SHAPES[name]["member"]) == "string"
        return f"write [{quoted(node.value)}]" if strings else "start each item with '- '"
    return (
        as_scalar(wanted, node.value)
        if is_scalar
        else as_json(node, text)
        if wanted == "string"
        else ""
    )


def as_scalar(wanted: str, source: str) -> str:
    """Return how to write a scalar as a string, a boolean or a number."""
    if wanted == "string":
        return f"write {quoted(source)}"
    number = re.fullmatch(r"([+-]?[0-9]+)(\.0*)?", source)
    plain = BOOLEANS.get(source.lower()) if wanted == "boolean" else number and number[1]
    return f"write {plain}" if plain else ""


def as_json(node: Any, text: str) -> str:
    """Return how to write a collection as a string: as it stands, where that is JSON."""
    source = re.sub(r"\s*\n\s*|\t", " ", text[node.start_mark.index : node.end_mark.index])
    try:
        json.loads(source)
    except ValueError:
        return "write it as JSON in quotes"
    return (
        "write '{}'".format(source.replace("'", "''"))
        if source.isprintable()
        else "write it as JSON in quotes"
    )


def quoted(text: str) -> str:
    """Return a string as YAML and JSON both read it."""
    return json.dumps(text, ensure_ascii=not text.isprintable())
