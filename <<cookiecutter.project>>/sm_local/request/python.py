"""Read a request out of Python: a dict pasted from a notebook, or a call of boto3.

Python is parsed, never run. The nodes are those of nodes.py, with Python's lines.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .nodes import YAML_TAGS
from .remedies import PYTHON
from .shapes import Kind

TAGS = {api: f"tag:yaml.org,2002:{name}" for name, api in YAML_TAGS.items()}
# The first line that is no comment: a dict, an assignment, a call or an import.
# Each blank or commented line is matched in one way only: `\s*\n` would try all ways.
PROGRAM = re.compile(r"(?:[^\S\n]*(?:#.*)?\n)*\s*(?:\{|(?:import|from)\s|[A-Za-z_][\w.]*\s*[=(])")
CONSTANTS = {"true": True, "false": False, "null": None}  # JSON's, pasted into Python


@dataclass(frozen=True)
class Mark:
    """Where a node starts or ends, as ruamel.yaml counts: lines from 0, characters from 0."""

    line: int
    index: int


def read(text: str, job: Kind) -> list[tuple[str, Any]]:
    """Return the requests in a text of Python, each with its name; [] if it is no Python."""
    if not PROGRAM.match(text):
        return []
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = [one for statement in tree.body for one in _requests(statement, text, job)]
    nodes = _Nodes(text)
    return [(name, nodes.mapping(start, fields)) for name, start, fields in found]


Fields = list[tuple[ast.expr, ast.expr]]


def _requests(statement: ast.stmt, text: str, job: Kind) -> Iterator[tuple[str, ast.expr, Fields]]:
    """Yield the request that one statement holds."""
    value = getattr(statement, "value", None)
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    name = ast.unparse(targets[0]) if targets[0] else ""
    if isinstance(value, ast.Call) and _calls(value, job):
        yield from _of_call(value)
    elif isinstance(value, ast.Dict) and (name or _is_python(value, text)):
        fields = _fields(value)
        keys = {key.value for key, _ in fields if isinstance(key, ast.Constant)}
        if not name or keys & job.all_keys:
            yield name, value, fields


def _calls(call: ast.Call, job: Kind) -> bool:
    """Return whether a call is of create_training_job or the like."""
    wanted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", f"Create{job.noun}").lower()
    return ast.unparse(call.func).rpartition(".")[2] == wanted


def _of_call(call: ast.Call) -> Iterator[tuple[str, ast.expr, Fields]]:
    """Yield a call's keywords as one request; `**name` alone is the dict of that name."""
    fields: Fields = []
    for keyword in call.keywords:
        if keyword.arg:
            key = ast.copy_location(ast.Constant(keyword.arg), keyword)
            fields.append((key, keyword.value))
        elif isinstance(keyword.value, ast.Dict):
            fields += _fields(keyword.value)
    if fields:
        yield ast.unparse(call.func), call, fields


def _fields(value: ast.Dict) -> Fields:
    """Return a dict's entries; `**name` stands for itself."""
    return [(key or item, item) for key, item in zip(value.keys, value.values)]


def _is_python(value: ast.Dict, text: str) -> bool:
    """Return whether a bare dict can only be Python's: YAML reads much of it too, and wrongly."""
    keys = [key for key in value.keys if key]
    if not keys or not all(isinstance(key, ast.Constant) for key in keys):
        return False
    single = (ast.get_source_segment(text, keys[0]) or "").startswith("'")
    return single or any(
        isinstance(node, (ast.Call, ast.JoinedStr, ast.Attribute, ast.Tuple))
        or (isinstance(node, ast.Constant) and isinstance(node.value, (bool, type(None))))
        for node in ast.walk(value)
    )


class _Nodes:
    """Makes nodes of one text."""

    def __init__(self, text: str) -> None:
        """Find where lines start."""
        from ruamel.yaml import nodes  # as in nodes.compose

        self.kinds = nodes
        self.lines = text.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))

    def node(self, tree: ast.expr) -> Any:
        """Return the node of an expression; what is no literal keeps its text and a tag."""
        if isinstance(tree, ast.Dict):
            return self.mapping(tree, _fields(tree))
        if isinstance(tree, (ast.List, ast.Tuple)):
            found = [self.node(item) for item in tree.elts]
            return self.kinds.SequenceNode(TAGS["list"], found, *self._marks(tree))
        try:
            value = CONSTANTS[tree.id] if isinstance(tree, ast.Name) else ast.literal_eval(tree)
        except (ValueError, KeyError, TypeError):  # a TypeError of {{…}}: a set of dicts
            return self.kinds.ScalarNode(PYTHON, ast.unparse(tree), *self._marks(tree))
        return self.kinds.ScalarNode(*_scalar(value), *self._marks(tree))

    def mapping(self, start: ast.expr, fields: Fields) -> Any:
        """Return the node of a dict, or of a call's keywords."""
        found = [(self.node(key), self.node(item)) for key, item in fields]
        return self.kinds.MappingNode(TAGS["map"], found, *self._marks(start))

    def _marks(self, tree: ast.expr) -> tuple[Mark, Mark]:
        """Return where an expression starts and ends."""
        last = tree.end_lineno or tree.lineno
        return self._mark(tree.lineno, tree.col_offset), self._mark(last, tree.end_col_offset or 0)

    def _mark(self, line: int, column: int) -> Mark:
        """Return a place; Python counts its columns in bytes."""
        before = self.lines[line - 1].encode()[:column].decode()
        return Mark(line - 1, self.starts[line - 1] + len(before))


def _scalar(value: object) -> tuple[str, str]:
    """Return the tag and text of a literal as YAML has them."""
    if value is None or isinstance(value, bool):
        return TAGS["null" if value is None else "boolean"], json.dumps(value)
    names = {str: "string", int: "integer", float: "float"}
    name = names.get(type(value))
    return (TAGS[name], str(value)) if name else (PYTHON, repr(value))
