"""Hyperparameters: a flat map of strings, from hyperparameters.json and from HP= on the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

from ..errors import SmLocalError
from . import shapes
from .nodes import read_text, short

PATH = Path("opt/ml/input/config/hyperparameters.json")


class Number(str):
    """A JSON number as its source text: 1.10, which is 1.1 as a value."""


class Pairs(list):
    """A JSON object as its (key, value) pairs, in which a key may stand twice."""


def split(text: str) -> dict[str, str]:
    """Split `epochs=3 name='two words'` as a shell would."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SmLocalError(
            f"HP: a quote is never closed in {text!r}; write HP=\"epochs=3 name='two words'\""
        ) from error
    for word in words:
        if "=" not in word:
            raise SmLocalError(f"HP: {word!r} has no value; write HP='{word}=…'")
        if word.startswith("="):
            raise SmLocalError(f"HP: {word!r} has no name; write HP='NAME{word}'")
    values = dict(word.split("=", 1) for word in words)
    for name, value in values.items():
        for problem in misfits(name, value):
            raise SmLocalError(f"HP: {problem}")
    return values


def misfits(name: str, value: str) -> Iterator[str]:
    """Yield what the API says against a hyperparameter, and what no JSON file can say."""
    for what, text, shape in (
        ("the name", name, "HyperParameterKey"),
        ("the value", value, "HyperParameterValue"),
    ):
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            yield f"{short(name)!r}: {what} is not Unicode text; write it in UTF-8"
        yield from (
            f"{short(name)!r}: {what} {problem}"
            for problem in shapes.misfits(shape, text, repr(short(text)))
        )


def too_many(values: Collection, where: str) -> str:
    """Say that there are more hyperparameters than the API takes; '' if there are not."""
    most = shapes.SHAPES["HyperParameters"]["max"]
    return (
        f"{len(values)} hyperparameters{where}; the API takes at most {most}"
        if len(values) > most
        else ""
    )


def read(root: Path) -> dict[str, str]:
    """Read hyperparameters.json, a flat object of strings as the API's map is. No file means none."""
    path = root / PATH
    if not os.path.lexists(path):
        return {}
    text = read_text(path, PATH)
    try:
        pairs = json.loads(text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number)
    except json.JSONDecodeError as error:
        raise SmLocalError(f"{PATH}:{json_problem(text, error)}") from error
    except RecursionError as error:
        raise SmLocalError(f'{PATH}: is nested too deeply; write {{"epochs": "20"}}') from error
    if not isinstance(pairs, Pairs):
        raise SmLocalError(f'{PATH}: is not an object; write {{"epochs": "20"}}')
    lines = lines_of_keys(text)
    problems = [f"{PATH}:{lines[place]}: {problem}" for place, problem in problems_of(pairs)]
    if problems:
        raise SmLocalError("\n".join(problems))
    return dict(pairs)


def json_problem(text: str, error: json.JSONDecodeError) -> str:
    """Say in plain words what json.loads met, with its line."""
    before = text[: error.pos].rstrip()
    if before.endswith(",") and text[error.pos :].lstrip()[:1] in ("}", "]"):
        return f"{text.count(chr(10), 0, len(before)) + 1}: trailing comma; remove it"
    if error.msg.startswith("Illegal trailing comma"):  # Python >= 3.13, which points at the comma
        return f"{error.lineno}: trailing comma; remove it"
    return f"{error.lineno}: {error.msg[:1].lower()}{error.msg[1:]}"


def lines_of_keys(text: str) -> list[int]:
    """Return the lines on which the keys of the outer object stand, in their order."""
    lines, depth = [], 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"(\s*:)?|[{}]', text):
        if token[1] and depth == 1:
            lines.append(text.count("\n", 0, token.start()) + 1)
        depth += {"{": 1, "}": -1}.get(token[0], 0)
    return lines


def problems_of(pairs: Pairs) -> list[tuple[int, str]]:
    """Return (place, what is wrong) for all that CreateTrainingJob would not take (API:HyperParameters)."""
    problems, seen = [], set()
    for place, (key, value) in enumerate(pairs):
        if key in seen:
            problems.append((place, f"{key!r} stands here twice; remove one"))
        elif isinstance(value, Number) or not isinstance(value, str):
            problems.append(
                (
                    place,
                    f"{key!r} is {as_json(value)}; SageMaker passes strings, write {json.dumps(as_json(value))}",
                )
            )
        else:
            problems += [(place, problem) for problem in misfits(key, value)]
        seen.add(key)
    return problems + ([(100, too_many(pairs, ""))] if too_many(pairs, "") else [])


def as_json(value: object) -> str:
    """Return a value as JSON, its numbers as they were written."""
    if isinstance(value, Pairs):
        return "{" + ", ".join(f"{json.dumps(key)}: {as_json(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(as_json, value))}]"
    return str(value) if isinstance(value, Number) else json.dumps(value)
