"""Hyperparameters: a map of strings, from hyperparameters.json and from HP= on the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NoReturn

from ..errors import SmLocalError
from . import reading, shapes
from .nodes import read_text, short

PATH = Path("opt/ml/input/config/hyperparameters.json")
EXAMPLE = 'write {"epochs": "20"}'


def split(text: str) -> dict[str, str]:
    """Split `epochs=3 name='two words'` as a shell would."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SmLocalError(
            f"HP: a quote is never closed in {text!r}; write HP=\"epochs=3 name='two words'\""
        ) from error
    for word in words:
        if word.startswith("--"):
            raise SmLocalError(f"HP: {word!r} has dashes; write HP={_without_dashes(words)}")
        if "=" not in word:
            raise SmLocalError(f"HP: {word!r} has no value; write HP='{word}=…'")
        if word.startswith("="):
            raise SmLocalError(f"HP: {word!r} has no name; write HP='NAME{word}'")
    if any(word.endswith(",") and re.search(re.escape(word[-2:]) + r"\s", text) for word in words):
        plain = re.sub(r",(\s)", r"\1", text)
        raise SmLocalError(f"HP: blanks separate hyperparameters, not commas; write HP='{plain}'")
    values = dict(word.split("=", 1) for word in words)
    for name, value in values.items():
        for problem in _misfits(name, value):
            raise SmLocalError(f"HP: {problem}")
    return values


def _without_dashes(words: list[str]) -> str:
    """Return arguments such as --epochs 3 as HP takes them."""
    plain = re.sub(r"(^| )--([\w-]+)(?:=| (?!--))", r"\1\2=", " ".join(words))
    return repr(re.sub(r"(^| )--", r"\1", plain))


def _misfits(name: str, value: str) -> Iterator[str]:
    """Yield what the API says against a hyperparameter, and what no JSON file can hold."""
    for what, text, shape in (
        ("the name", name, "HyperParameterKey"),
        ("the value", value, "HyperParameterValue"),
    ):
        if any("\ud800" <= character <= "\udfff" for character in text):
            yield f"{short(name)!r}: {what} is not Unicode text; write it in UTF-8"
        for problem in shapes.misfits(shape, text, repr(short(text))):
            yield f"{short(name)!r}: {what} {problem}"


def too_many(values: Collection, where: str) -> str:
    """Return that there are more hyperparameters than the API takes; '' if there are not."""
    most = shapes.SHAPES["HyperParameters"]["max"]
    if len(values) <= most:
        return ""
    return f"{len(values)} hyperparameters{where}; the API takes at most {most}"


def read(root: Path) -> reading.Request:
    """Read hyperparameters.json, an object of strings, numbers and booleans. No file means none.

    The API's map has strings; the SDK's framework estimators send JSON, such as 20 and true
    (sagemaker-python-sdk, Framework._json_encode_hyperparameters), and so does this.
    """
    path = root / PATH
    if not os.path.lexists(path):
        return reading.Request({}, ())
    text = read_text(path, PATH)
    _check_json(text)
    return reading.parse(PATH, text, "HyperParameters")


def _check_json(text: str) -> None:
    """Refuse what is no JSON object: the request's reader would take YAML too."""
    try:
        value = json.loads(text, parse_int=str, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise SmLocalError(f"{PATH}:{json_problem(text, error)}") from error
    except RecursionError as error:
        raise SmLocalError(f"{PATH}: is nested too deeply; {EXAMPLE}") from error
    if not isinstance(value, dict):
        raise SmLocalError(f"{PATH}: is not an object; {EXAMPLE}")


def _refuse_constant(text: str) -> NoReturn:
    """Refuse NaN and Infinity: Python's json reads them, JSON has none."""
    raise SmLocalError(f'{PATH}: {text} is not JSON; SageMaker passes strings, write "{text}"')


def json_problem(text: str, error: json.JSONDecodeError) -> str:
    """Return in plain words what json.loads met, with its line."""
    before = text[: error.pos].rstrip()
    if before.endswith(",") and text[error.pos :].lstrip()[:1] in ("}", "]"):
        return f"{text.count(chr(10), 0, len(before)) + 1}: trailing comma; remove it"
    if error.msg.startswith("Illegal trailing comma"):  # Python >= 3.13, which points at the comma
        return f"{error.lineno}: trailing comma; remove it"
    return f"{error.lineno}: {error.msg[:1].lower()}{error.msg[1:]}"
