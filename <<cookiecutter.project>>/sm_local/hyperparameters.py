"""Hyperparameters: a flat map of strings, from hyperparameters.json and from HP= on the command line."""
from __future__ import annotations

import json
import shlex
from pathlib import Path

from .errors import SmLocalError

PATH = Path("opt/ml/input/config/hyperparameters.json")


def split(text: str) -> dict[str, str]:
    """Split `epochs=3 name='two words'` as a shell would."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SmLocalError(f"HP: a quote is never closed in {text!r}; write HP=\"epochs=3 name='two words'\"") from error
    for word in words:
        if "=" not in word.lstrip("="):
            raise SmLocalError(f"HP: {word!r} has no value; write HP='{word.strip('=')}=…'")
    return dict(word.split("=", 1) for word in words)


def read(root: Path) -> dict[str, str]:
    """Read hyperparameters.json, a flat object of strings as the API's map is. No file means none."""
    path = root / PATH
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        pairs = json.loads(text, object_pairs_hook=list)
    except json.JSONDecodeError as error:
        raise SmLocalError(f"{PATH}:{json_problem(text, error)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SmLocalError(f"{PATH}: cannot be read ({error})") from error
    if not isinstance(pairs, list) or text.lstrip()[:1] != "{":
        raise SmLocalError(f"{PATH}: is not an object; write {{\"epochs\": \"20\"}}")
    problems = [f"{PATH}:{line_of(text, key)}: {problem}" for key, problem in problems_of(pairs)]
    if problems:
        raise SmLocalError("\n".join(problems))
    return dict(pairs)


def json_problem(text: str, error: json.JSONDecodeError) -> str:
    """Say in plain words what json.loads met, with its line."""
    before = text[: error.pos].rstrip()
    if before.endswith(",") and text[error.pos :].lstrip()[:1] in ("}", "]") or text[error.pos : error.pos + 1] == ",":
        return f"{text.count(chr(10), 0, len(before)) + 1}: trailing comma; remove it"
    return f"{error.lineno}: {error.msg[:1].lower()}{error.msg[1:]}"


def line_of(text: str, key: str) -> int:
    """Return the line on which a key stands."""
    place = text.find(json.dumps(key))
    return text.count("\n", 0, max(place, 0)) + 1


def problems_of(pairs: list) -> list[tuple[str, str]]:
    """Return (key, what is wrong) for all that CreateTrainingJob would not take (API:HyperParameters)."""
    problems, seen = [], set()
    for key, value in pairs:
        if key in seen:
            problems.append((key, f"{key!r} stands here twice; remove one"))
        elif not isinstance(value, str):
            problems.append((key, f"{key!r} is {as_json(value)}; SageMaker passes strings, write {json.dumps(as_json(value))}"))
        elif len(key) > 256 or len(value) > 2500:
            problems.append((key, f"{key[:40]!r} is too long; a name has at most 256 characters, a value 2500"))
        seen.add(key)
    if len(pairs) > 100:
        problems.append((pairs[100][0], f"{len(pairs)} hyperparameters; the API takes at most 100"))
    return problems


def as_json(value: object) -> str:
    """Return a value as it stands in JSON; objects come as lists of pairs."""
    if isinstance(value, list) and value and all(isinstance(item, tuple) for item in value):
        value = dict(value)
    return json.dumps(value)
