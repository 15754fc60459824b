"""Read a request and check it.

nodes.py and python.py read the text, wrappings.py finds the request in it, shapes.py knows what the
API says of one value, rules.py what several say about each other, remedies.py what to write
instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import SmLocalError
from . import python
from .nodes import compose, kind, line_number, pairs, read_text, short, shown
from .remedies import wrong_type
from .rules import broken_rules
from .s3_uri import from_https
from .shapes import (
    KINDS,
    MAY_BE_LEFT_OUT,
    OPEN_ENUMS,
    SHAPES,
    TRAINING,
    Kind,
    misfits,
    type_of,
    unknown_key,
)
from .wrappings import Wrapping, choose, unwrap

INSTANCE_TYPE = re.compile(r"[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Request:
    """A request that passed: its plain values in the file's order, and what is worth a note."""

    body: dict
    notes: tuple[str, ...]
    file: str = field(default="", compare=False)
    lines: dict[str, int] = field(default_factory=dict, compare=False)  # of values, by their paths

    def where(self, path: str) -> str:
        """Return the file and line of a value, or of what it would belong to."""
        return f"{self.file}:{_line_of(self.lines, path)}" if self.lines else self.file


class Finding(NamedTuple):
    """Something to say about one line of the file."""

    line: int
    text: str
    sort: str = "problem"  # or note, or unknown: no problem if AWS itself printed the file


def read(path: Path, root: str = TRAINING) -> Request:
    """Read a request (YAML or JSON), any part of which may be left out, or what Describe prints.

    `root` is the shape of the whole file. Raises SmLocalError with one line for each problem.
    """
    return parse(path, read_text(path), root)


def parse(name: Path, text: str, root: str) -> Request:
    """Check a text against a shape; `name` is the file's in messages. Raises SmLocalError."""
    node, construct, source, said = _compose(name, text, KINDS.get(root))
    reading = Reading(source, construct, root)
    body = reading.value(root, node, "", line_number(node)) if node else {}
    for where, what in broken_rules(body or {}, root):
        reading.add(_line_of(reading.lines, where), where, what)
    harmless = {"note", "unknown"} if reading.dropped else {"note"}
    findings = sorted(reading.findings, key=lambda finding: finding.line)
    problems = [f"{name}:{line}: {what}" for line, what, sort in findings if sort not in harmless]
    if problems:
        raise SmLocalError("\n".join(problems))
    notes = [f"{name}:{line}: {what}" for line, what, _ in findings]
    said += _dropped(name, root, reading.dropped)
    said += _unset(name, reading.unset)
    said += _encoded(name, reading.encoded)
    return Request(body, (*said, *notes), str(name), reading.lines)


def _compose(name: Path, text: str, job: Kind | None) -> tuple[Any, Any, str, list[str]]:
    """Return the request's node as nodes.compose does, and a line for each wrapping around it."""
    found = python.read(text, job) if job else []
    node, construct, source = compose(name, "" if found else text)
    said: list[str] = []
    if found:
        where = f"{name}: this is Python"
        path, node = choose(where, Wrapping("Python", found))
        source, said = text, [f"{where}; {path or 'its dict'} is read as the request"]
    if node and job:
        node, more = unwrap(name, node, job)
        said += more
    return node, construct, source, said


def _line_of(lines: dict[str, int], path: str) -> int:
    while path not in lines:
        path = path.rpartition(".")[0]
    return lines[path]


def _dropped(name: Path, root: str, keys: list[str]) -> Iterator[str]:
    """Yield one line for all keys of Describe's answer that were dropped."""
    if keys:
        operation = KINDS[root].describe.removesuffix("Response")
        yield f"{name}: left out what only {operation} has: {_first(keys)}"


def _unset(name: Path, keys: list[str]) -> Iterator[str]:
    """Yield one line for all keys whose value is null, which other tools write for "not set"."""
    if keys:
        yield f"{name}: left out what is null: {_first(keys)}"


def _first(keys: list[str]) -> str:
    """Return the first of some keys, and how many more there are."""
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{', '.join(keys[:3])}{more}"


def _encoded(name: Path, keys: list[str]) -> Iterator[str]:
    """Yield one line for all hyperparameters that became strings."""
    if keys:
        what = "is a string" if len(keys) == 1 else "are strings"
        yield f"{name}: {_first(keys)} {what} in the job: SageMaker's SDK sends strings"


class Reading:
    """One reading of one file: turns nodes into plain values and collects what is wrong with them.

    A value of the wrong type becomes None, which nothing right ever is: rules can tell it from a
    missing one.
    """

    def __init__(self, source: str, construct: Any, root: str) -> None:
        """Start with nothing found; `source` is the text that the nodes' positions are in."""
        self.source, self.construct, self.root = source, construct, root
        self.whole = "the request" if root in KINDS else "the file"
        self.read_only = KINDS[root].read_only if root in KINDS else set()
        self.findings: list[Finding] = []
        self.lines: dict[str, int] = {}
        self.dropped: list[str] = []
        self.unset: list[str] = []
        self.addresses = False  # has an https address of S3 been noted?
        self.encoded: list[str] = []

    def add(self, line: int, path: str, text: str, sort: str = "problem") -> None:
        """Note what is wrong with the value at a path."""
        self.findings.append(Finding(line, f"{path or self.whole} {text}", sort))

    def value(self, name: str, node: Any, path: str, line: int) -> Any:
        """Return a node as the plain value of a shape."""
        self.lines[path] = line
        self._encode(name, node, path)
        wanted = type_of(name)
        if kind(node) == wanted or (kind(node), wanted) == ("integer", "float"):
            makers = {"list": self._list, "map": self._map}
            return makers.get(wanted, self._scalar)(name, node, path, line)
        return self.add(line, path, wrong_type(name, node, self.source))

    def _encode(self, name: str, node: Any, path: str) -> None:
        """Make a number or boolean of hyperparameters.json a string: its JSON, as the SDK does."""
        in_file = (self.root, name) == ("HyperParameters", "HyperParameterValue")
        if in_file and kind(node) in ("integer", "float", "boolean"):
            node.tag = "tag:yaml.org,2002:str"
            self.encoded.append(path)

    def _scalar(self, name: str, node: Any, path: str, line: int) -> Any:
        """Return a scalar, even one that is not allowed."""
        try:
            value = self.construct(node)
            if isinstance(value, str):  # JSON writes a character beyond 16 bits as two
                value = value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            return self.add(line, path, "is not Unicode text; write it in UTF-8")
        except (ValueError, LookupError):  # `!!int two`, or more digits than Python converts
            return self.add(line, path, wrong_type(name, node, self.source))
        if name == "S3Uri" and (uri := from_https(value)):
            self._note_address(line, path, uri)
            return uri
        for text in misfits(name, value, shown(node)):
            is_new = name in OPEN_ENUMS and INSTANCE_TYPE.fullmatch(value)
            self.add(line, path, text, "note" if is_new else "problem")
        return value

    def _note_address(self, line: int, path: str, uri: str) -> None:
        """Note how an https address of S3 is read, once in a file."""
        if not self.addresses:
            self.add(line, path, f"is read as {uri}, and so is every https address of S3", "note")
        self.addresses = True

    def _list(self, name: str, node: Any, path: str, line: int) -> list:
        """Return a list; what is beyond the API's limit is counted but not read."""
        for text in misfits(name, node.value):
            self.add(line, path, text)
        member, items = SHAPES[name]["member"], node.value[: SHAPES[name].get("max")]
        return [
            self.value(member, item, f"{path}[{i}]", line_number(item))
            for i, item in enumerate(items)
        ]

    def _map(self, name: str, node: Any, path: str, line: int) -> dict:
        """Return a structure, or a map from strings."""
        if "members" in SHAPES[name]:
            return self._structure(name, node, path, line)
        value = {}
        for key, item, place in self._entries(node, path):
            word = self.value(SHAPES[name]["key"], key, f"{place} (the key)", line_number(key))
            value[word] = self.value(SHAPES[name]["value"], item, place, line_number(key))
        for text in misfits(name, value):
            self.add(line, path, text)
        return value

    def _structure(self, name: str, node: Any, path: str, line: int) -> dict:
        """Return a structure's members, without unknown keys and those that only Describe has."""
        members, value = SHAPES[name]["members"], {}
        for key, item, place in self._entries(node, path):
            if place in self.read_only:
                self.dropped.append(place)
            elif kind(item) == "null" and item.value == "null":
                self.unset.append(place)
            elif key.value in members:
                value[key.value] = self.value(members[key.value], item, place, line_number(key))
            else:
                what = unknown_key(name, key.value, self.root)
                self.add(line_number(key), place, what, "unknown")
        for key in SHAPES[name].get("required", []):
            if key not in value and key not in MAY_BE_LEFT_OUT.get(name, ()):
                self.add(line, _join(path, key), "is missing; add it, the API demands it here")
        return value

    def _entries(self, node: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
        """Yield a mapping's keys, each once, with their values and paths; note duplicates."""
        seen: dict[str, int] = {}
        for key, item, is_merged in pairs(node, set()):
            if key.id != "scalar":
                self.add(line_number(key), path, f"has {shown(key)} as a key; write a string")
            elif key.value not in seen:
                seen[key.value] = line_number(key)
                yield key, item, _join(path, key.value)
            elif not is_merged:
                text = f"is here twice, first on line {seen[key.value]}; remove one"
                self.add(line_number(key), _join(path, key.value), text)


def _join(path: str, key: str) -> str:
    """Return the path of a key."""
    name = short(key) if key.isprintable() and key and " " not in key else repr(short(key))
    return f"{path}.{name}" if path else name
