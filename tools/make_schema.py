#!/usr/bin/env python3
"""Rewrite the JSON Schemas of job.yaml and processing.yaml from sm_local/request/api.json.

usage: make_schema.py    after refresh_api.py, or when shapes.py changes what may be left out

Editors read them (`# yaml-language-server: $schema=…`): completion, and red lines while typing.
They say of each value what shapes.py says. What several values say about each other (rules.py) and
patterns that editors and Java read differently are left to `make`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True  # a __pycache__ in the template would be baked
PROJECT = Path(__file__).resolve().parent.parent / "<<cookiecutter.project>>"
sys.path.insert(0, str(PROJECT))

from sm_local.request import shapes  # noqa: E402

FILES = {shapes.TRAINING: "job.schema.json", shapes.PROCESSING: "processing.schema.json"}
FOLDER = PROJECT / "sm_local" / "request"
TYPES = {"float": "number", "map": "object", "list": "array", "timestamp": "string"}
LIMITS = {
    "string": ("minLength", "maxLength"),
    "list": ("minItems", "maxItems"),
    "map": ("minProperties", "maxProperties"),
    "integer": ("minimum", "maximum"),
    "float": ("minimum", "maximum"),
}
ANYTHING = r"[\S\s]*"
INSTANCE_TYPE = "^[A-Za-z0-9_.-]+$"  # new ones come monthly; reading.py takes them with a note


def schema(root: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 7, which every editor knows) of a request."""
    names = reached(root)
    kind = shapes.KINDS[root]
    body = definition(root)
    for name in sorted(name for name in kind.read_only if "." not in name):
        only = f"only {kind.describe.removesuffix('Response')} has it; it is left out"
        body["properties"][name] = {"description": only, "doNotSuggest": True}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": root.removesuffix("Request"),
        "$comment": f"made by tools/make_schema.py from botocore {shapes.API['botocore']}",
        **body,
        "definitions": {name: definition(name) for name in names if name != root},
    }


def reached(root: str) -> list[str]:
    """Return the names of the shapes that a shape is made of, sorted."""
    found, waiting = set(), [root]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            shape = shapes.SHAPES[name]
            waiting += [shape[role] for role in ("member", "key", "value") if role in shape]
            waiting += shape.get("members", {}).values()
    return sorted(found)


def reference(name: str) -> dict[str, str]:
    """Return what points to a shape's definition."""
    return {"$ref": f"#/definitions/{name}"}


def definition(name: str) -> dict[str, Any]:
    """Return one shape as JSON Schema."""
    shape, kind = shapes.SHAPES[name], shapes.type_of(name)
    text: dict[str, Any] = {"type": TYPES.get(kind, kind), **limits(name)}
    if kind == "list":
        return {**text, "items": reference(shape["member"])}
    if kind == "map":
        return {**text, **(structure(name) if "members" in shape else entries(shape))}
    if name in shapes.OPEN_ENUMS:
        return {"anyOf": [{"enum": shape["enum"]}, {"type": "string", "pattern": INSTANCE_TYPE}]}
    if "enum" in shape:
        return {**text, "enum": shape["enum"]}
    pattern = shape.get("pattern", ANYTHING)
    if pattern.strip("()") == ANYTHING or shapes.JAVA_ONLY.search(pattern):
        return text
    return {**text, "pattern": f"^(?:{pattern})$"}


def limits(name: str) -> dict[str, int]:
    """Return a shape's least and most; an integer's also those of its type."""
    shape, kind = shapes.SHAPES[name], shapes.type_of(name)
    most = shapes.BEYOND.get(shape["type"])
    ends = {"min": -most, "max": most - 1} if most else {}
    ends.update({end: shape[end] for end in ("min", "max") if end in shape})
    return {
        word: ends[end] for end, word in zip(("min", "max"), LIMITS.get(kind, ())) if end in ends
    }


def structure(name: str) -> dict[str, Any]:
    """Return the members of a structure, and which of them are demanded here."""
    shape = shapes.SHAPES[name]
    free = shapes.MAY_BE_LEFT_OUT.get(name, set())
    return {
        "properties": {key: reference(member) for key, member in shape["members"].items()},
        "required": [key for key in shape.get("required", []) if key not in free],
        "additionalProperties": False,
    }


def entries(shape: dict[str, Any]) -> dict[str, Any]:
    """Return what a map's keys and values are."""
    return {
        "propertyNames": reference(shape["key"]),
        "additionalProperties": reference(shape["value"]),
    }


def render(root: str) -> str:
    """Return a schema's text: one definition a line, so that a refresh reads well as a diff."""
    parts = schema(root)
    rows = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(one)}" for name, one in parts.pop("definitions").items()
    )
    head = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in parts.items())
    return f'{{\n{head},\n"definitions": {{\n{rows}\n}}\n}}\n'


def main(arguments: list[str]) -> int:
    """Rewrite both schemas; return the exit status."""
    if arguments:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    for root, name in FILES.items():
        (FOLDER / name).write_text(render(root), encoding="utf-8")
        print(f"{name}: {len(reached(root))} shapes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
