"""Read YAML or JSON as nodes, which still have the line and source text that values have lost.

A message can then say 1.10 where the value is 1.1, and 2024-01-01 where it is a date.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from ..errors import SmLocalError

YAML_TAGS = {
    "str": "string",
    "int": "integer",
    "float": "float",
    "bool": "boolean",
    "null": "null",
    "map": "map",
    "seq": "list",
}
TITLES = ("TrainingJobName", "ProcessingJobName")
YAML_ERRORS = {
    r"found character '\t' that cannot start any token": (
        "a tab where only spaces are allowed; indent with spaces"
    ),
}


def read_text(path: Path, name: object = "") -> str:
    """Return the text of a file; a message calls it `name`. Raises SmLocalError."""
    name = name or path
    try:
        if what := _what_it_is(path.stat().st_mode):
            raise SmLocalError(f"{name}: is {what}; make it a file")
        data = path.read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        problem = f"{name}:{line}: byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"
        raise SmLocalError(problem) from error
    except OSError as error:
        raise SmLocalError(f"{name}: {_no_file(path, error)}") from error


def _what_it_is(mode: int) -> str:
    """Return what is neither a file nor a folder: to read it may wait, or never end."""
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    devices = {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return {**kinds, **devices}.get(stat.S_IFMT(mode), "")


def _no_file(path: Path, error: OSError) -> str:
    """Return why a file could not be read, and what to do."""
    if not isinstance(error, FileNotFoundError):
        return f"cannot be read ({error.strerror}); make it a file that you may read"
    if path.is_symlink():
        to = os.readlink(path)
        return f"is a link to {to}, which is not there; correct the link or remove it"
    return "no such file; make one, an empty file is a request too"


def compose(name: Path, text: str) -> tuple[Any, Any, str]:
    """Return a text's root node, None if it is empty; what makes a scalar node a value; its source.

    The source is the text as YAML takes it, which the nodes' positions refer to. Raises
    SmLocalError.
    """
    from ruamel.yaml import YAML  # 25 ms that verbs without a request need not spend
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="safe", pure=True, plug_ins=[])  # YAML 1.2, as AWS CLI v2 reads it
    yaml.composer.warn_double_anchors = False
    source, json_error = _from_json(text)
    try:
        documents = [root for root in yaml.compose_all(source) if kind(root) != "null"]
    except (YAMLError, RecursionError) as error:
        raise SmLocalError(f"{name}:{_syntax_error(text, json_error or error)}") from error
    except (ValueError, OverflowError) as error:  # of chr()
        raise SmLocalError(f"{name}:{_beyond_unicode(text)}") from error
    if len(documents) > 1:
        raise SmLocalError(f"{name}:{line_number(documents[1])}: {_several(documents)}")
    return documents[0] if documents else None, yaml.constructor.construct_object, source


def _several(documents: list[Any]) -> str:
    """Return what to do with a file of several documents."""
    said = "a second document starts here; keep one request in a file"
    titles = [f"{title(root)} (line {line_number(root)})" for root in documents if title(root)]
    return f"{said}: {' or '.join(titles)}" if titles else said


def _beyond_unicode(text: str) -> str:
    before = re.split(r"\\U(?!00(?:0|10))", text)[0]
    line = before.count("\n") + 1
    return f"{line}: \\U names a character beyond the last one, \\U0010FFFF; correct it"


def _from_json(text: str) -> tuple[str, Exception | None]:
    """Return a JSON text as YAML takes it, or the error in a text that only looks like JSON.

    YAML 1.2 reads all of JSON except for tabs, which are only between tokens; what it takes for
    line breaks; a line break between a key and its colon; and keys of more than 1024 characters,
    counting escapes.
    """
    if not text.lstrip().startswith("{"):
        return text, None
    try:
        json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return text, error
    except ValueError:  # more digits than Python converts
        pass
    text = re.sub("[\x7f-\x9f\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)
    text = re.sub(r'"([ \r]*\n\s*):', r'":\1', text.replace("\t", " "))
    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|.)", _unescaped, text), None


def _unescaped(escape: re.Match) -> str:
    """Return one of JSON's escapes as the character itself where that is a letter or the like."""
    return chr(int(escape[1], 16)) if escape[1] and chr(int(escape[1], 16)).isalnum() else escape[0]


def _syntax_error(text: str, error: Exception) -> str:
    """Return the line and, in one line, the text of what a parser refused."""
    facts = vars(error)
    line = facts.get("lineno") or _line_of_yaml_error(text, facts)
    problem = facts.get("problem") or facts.get("reason") or facts.get("msg") or "nested too deeply"
    source = "".join(text.split("\n")[line - 1 : line]).strip()
    where = f"check {short(source)!r}" if source else "check the end of the file"
    said = f"{problem[:1].lower()}{' '.join(problem[1:].split())}; {where}"
    return f"{line}: {YAML_ERRORS.get(problem, said)}"


def _line_of_yaml_error(text: str, facts: dict[str, Any]) -> int:
    """Return the line of an error; for a quote that is never closed, the line where it opens."""
    scanning = str(facts.get("context")).startswith("while scanning")
    mark = (facts.get("context_mark") if scanning else None) or facts.get("problem_mark")
    return (mark.line if mark else text.count("\n", 0, facts.get("position", 0))) + 1


def kind(node: Any) -> str:
    """Return a node's type in the API's words, or its tag where the API has no word for it."""
    return YAML_TAGS.get(node.tag.replace("tag:yaml.org,2002:", ""), node.tag)


def line_number(node: Any) -> int:
    """Return the line on which a node starts."""
    return node.start_mark.line + 1


def pairs(node: Any, seen: set[int]) -> list[tuple[Any, Any, bool]]:
    """Return a mapping's entries as (key, value, is merged), its own before those of `<<`.

    Each mapping is merged once: it may merge itself.
    """
    seen.add(id(node))
    own, merged = [], []
    for key, item in node.value:
        sources = item.value if item.id == "sequence" else [item]
        if key.tag == "tag:yaml.org,2002:merge" and all(
            source.id == "mapping" for source in sources
        ):
            merged += [
                (k, v, True)
                for source in sources
                if id(source) not in seen
                for k, v, _ in pairs(source, seen)
            ]
        else:
            own.append((key, item, False))
    return own + merged


def entries(node: Any) -> dict[str, Any]:
    """Return a mapping's values by their keys, {} for any other node."""
    if node is None or node.id != "mapping":
        return {}
    return {key.value: item for key, item, _ in reversed(pairs(node, set())) if key.id == "scalar"}


def items(node: Any) -> list[Any]:
    """Return a sequence's nodes, [] for any other node."""
    return node.value if node is not None and node.id == "sequence" else []


def word(node: Any) -> str:
    """Return a scalar's text, '' for any other node."""
    return node.value if node is not None and node.id == "scalar" else ""


def title(node: Any) -> str:
    """Return what a document or a request is called; '' where it has no name."""
    top = entries(node)
    own = next((word(top[key]) for key in TITLES if key in top), "")
    if "kind" not in top:
        return own
    return f"{word(top['kind'])} {word(entries(top.get('metadata')).get('name'))}".strip()


def short(text: str) -> str:
    """Return a text, or the start of a long one."""
    return text if len(text) <= 60 else f"{text[:59]}…"


def shown(node: Any) -> str:
    """Return a node as a message names it, by its source text where it has one."""
    if node.id != "scalar":
        return f"a {kind(node).replace('tag:yaml.org,2002:', '!!')}"
    plain = kind(node) != "string" and node.value.isprintable()
    return (short(node.value) if plain else repr(short(node.value))) or "empty"
