"""Hyperparameters: a flat map of strings, from hyperparameters.json and from HP= on the command line."""
from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from .errors import SmLocalError

PATH = Path("opt/ml/input/config/hyperparameters.json")


class Pairs(list):
    """A JSON object as its (key, value) pairs, in which a key may stand twice."""


def split(text: str) -> dict[str, str]:
    """Split `epochs=3 name='two words'` as a shell would."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SmLocalError(f"HP: a quote is never closed in {text!r}; write HP=\"epochs=3 name='two words'\"") from error
    for word in words:
        if "=" not in word:
            raise SmLocalError(f"HP: {word!r} has no value; write HP='{word}=…'")
        if word.startswith("="):
            raise SmLocalError(f"HP: {word!r} has no name; write HP='NAME{word}'")
    values = dict(word.split("=", 1) for word in words)
    for name, value in values.items():
        if too_long(name, value):
            raise SmLocalError(f"HP: {too_long(name, value)}")
    return values


def too_long(name: str, value: str) -> str:
    """Say that a hyperparameter is longer than the API takes; '' if it is not."""
    return f"{name[:40]!r} is too long; a name has at most 256 characters, a value 2500" if len(name) > 256 or len(value) > 2500 else ""


def read(root: Path) -> dict[str, str]:
    """Read hyperparameters.json, a flat object of strings as the API's map is. No file means none."""
    path = root / PATH
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
        pairs = json.loads(text, object_pairs_hook=Pairs)
    except json.JSONDecodeError as error:
        raise SmLocalError(f"{PATH}:{json_problem(text, error)}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise SmLocalError(f"{PATH}: cannot be read ({error})") from error
    if not isinstance(pairs, Pairs):
        raise SmLocalError(f"{PATH}: is not an object; write {{\"epochs\": \"20\"}}")
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
        elif not isinstance(value, str):
            problems.append((place, f"{key!r} is {as_json(value)}; SageMaker passes strings, write {json.dumps(as_json(value))}"))
        elif too_long(key, value):
            problems.append((place, too_long(key, value)))
        seen.add(key)
    if len(pairs) > 100:
        problems.append((100, f"{len(pairs)} hyperparameters; the API takes at most 100"))
    return problems


def as_json(value: object) -> str:
    """Return a value as JSON."""
    return json.dumps(plain(value))


def plain(value: object) -> object:
    """Return a value with dicts for the Pairs in it."""
    if isinstance(value, Pairs):
        return {key: plain(item) for key, item in value}
    return [plain(item) for item in value] if isinstance(value, list) else value
