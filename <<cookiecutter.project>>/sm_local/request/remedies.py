"""What to write instead of a value of the wrong type."""

from __future__ import annotations

import json
import re
from typing import Any

from .nodes import kind, short, shown
from .shapes import SHAPES, type_of

WANTED = {"integer": "an integer", "float": "a number", "boolean": "true or false"}
BOOLEANS = {
    "true": "true",
    "yes": "true",
    "on": "true",
    "false": "false",
    "no": "false",
    "off": "false",
}


# What a file of another tool leaves open: the tags that wrappings.py and python.py give such nodes.
PYTHON, STATES, PIPELINE = "!!python", "!!states", "!!pipeline"
LEFT_OPEN = {
    PYTHON: "which only the Python program around it knows",
    STATES: "which Step Functions fills in",
    PIPELINE: "which the pipeline fills in",
}


def wrong_type(name: str, node: Any, source: str) -> str:
    """Return what a node is, what the API wants, and what to write; `source` is the whole text."""
    wanted = type_of(name)
    if node.tag in LEFT_OPEN:
        text = short(node.value)
        return f"is {text}, {LEFT_OPEN[node.tag]}; write its value, or remove it"
    written = _remedy(name, node, source)
    wants = f"is {shown(node)}; the API wants {WANTED.get(wanted, f'a {wanted}')}"
    return f"{wants}; {written}" if written else wants


def _remedy(name: str, node: Any, source: str) -> str:
    """Return what to write; '' where nobody can tell."""
    wanted, is_scalar = type_of(name), node.id == "scalar"
    if kind(node) == node.tag and (not is_scalar or node.tag.startswith("!")):
        return f"remove the tag {node.tag.replace('tag:yaml.org,2002:', '!!')}"
    if kind(node) == "null" and wanted != "string":
        return "fill it in or remove the line"
    if wanted == "map":
        return "write 'key: value' lines below it"
    if wanted == "list":
        strings = is_scalar and type_of(SHAPES[name]["member"]) == "string"
        return f"write [{_quoted(node.value)}]" if strings else "start each item with '- '"
    if is_scalar:
        return _as_scalar(wanted, node.value)
    return _as_json(node, source) if wanted == "string" else ""


def _as_scalar(wanted: str, text: str) -> str:
    """Return how to write a scalar as a string, a boolean or a number."""
    if wanted == "string":
        return f"write {_quoted(text)}"
    number = re.fullmatch(r"([+-]?[0-9]+)(\.0*)?", text)
    plain = BOOLEANS.get(text.lower()) if wanted == "boolean" else number and number[1]
    return f"write {plain}" if plain else ""


def _as_json(node: Any, source: str) -> str:
    """Return how to write a collection as a string: its own text in quotes, if that is JSON."""
    text = re.sub(r"\s*\n\s*|\t", " ", source[node.start_mark.index : node.end_mark.index])
    try:
        json.loads(text)
    except ValueError:
        return "write it as JSON in quotes"
    if source.lstrip().startswith("{"):  # a JSON file, which has no single quotes
        return f"write {_quoted(text)}"
    escaped = text.replace("'", "''")
    return f"write '{escaped}'" if text.isprintable() else "write it as JSON in quotes"


def _quoted(text: str) -> str:
    """Return a string as YAML and JSON both read it."""
    return json.dumps(text, ensure_ascii=not text.isprintable())
