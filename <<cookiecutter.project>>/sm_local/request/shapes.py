"""What the API's own model says of a value. The template's tools/refresh_api.py cuts api.json from botocore."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

API = json.loads(Path(__file__).with_name("api.json").read_text(encoding="utf-8"))
SHAPES = API["shapes"]
REQUEST, DESCRIBE = "CreateTrainingJobRequest", "DescribeTrainingJobResponse"

# What describe-training-job prints and a request may not have. The model of the request has the Selected… pair, but
# says of it "read-only and isn't accepted"; ResponseMetadata is what boto3 adds.
READ_ONLY = {
    *(SHAPES[DESCRIBE]["members"].keys() - SHAPES[REQUEST]["members"].keys()),
    *(
        "ResourceConfig.SelectedInstanceType",
        "ResourceConfig.SelectedInstanceCount",
        "ResponseMetadata",
    ),
}
# Required by the API, yet not demanded here: what opt/ml or a default stands for, and where in AWS data lies, which a
# job on this machine never asks. All else that is required is demanded as soon as its structure is given.
MAY_BE_LEFT_OUT = {
    REQUEST: set(SHAPES[REQUEST]["required"]),
    "AlgorithmSpecification": {"TrainingInputMode"},
    "Channel": {"DataSource"},
    "CheckpointConfig": {"S3Uri"},
    "DebugHookConfig": {"S3OutputPath"},
    "FileSystemDataSource": {
        "FileSystemId",
        "FileSystemAccessMode",
        "FileSystemType",
        "DirectoryPath",
    },
    "OutputDataConfig": {"S3OutputPath"},
    "S3DataSource": {"S3DataType", "S3Uri"},
    "TensorBoardOutputConfig": {"S3OutputPath"},
}
# New instance types come monthly: one that api.json does not know gets a note, not an error.
OPEN_ENUMS = {"TrainingInstanceType", "ProcessingInstanceType"}

BEYOND = {
    "integer": 1 << 31,
    "long": 1 << 63,
}  # what the smithy model of these types takes ends here
SAME_TYPE = {"long": "integer", "double": "float", "structure": "map"}
COUNTED = {
    "string": ("character", "characters"),
    "list": ("item", "items"),
    "map": ("entry", "entries"),
}
# The patterns are Java's. \w is \p{L}, \p{N} and the underscore, which the patterns that have these allow as well.
JAVA = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r" \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
    r"\p{Alnum}": "a-zA-Z0-9",
}


def type_of(name: str) -> str:
    """Return a shape's type; those that look the same in a file are the same here."""
    return SAME_TYPE.get(SHAPES[name]["type"], SHAPES[name]["type"])


def misfits(name: str, value: Any, source: str = "") -> Iterator[str]:
    """Yield what a shape's range, length, enum and pattern say against a value of the right type."""
    shape, units = SHAPES[name], COUNTED.get(type_of(name))
    size = len(value) if units else value
    has = f"has {size} {units[size != 1]}" if units else f"is {source}"
    if size < shape.get("min", size):
        yield f"{has}; the API wants at least {shape['min']}"
    elif size > shape.get("max", size):
        yield f"{has}; the API wants at most {shape['max']}"
    elif type_of(name) == "integer" and not -BEYOND[shape["type"]] <= value < BEYOND[shape["type"]]:
        yield f"{has}; the API wants an integer of {BEYOND[shape['type']].bit_length()} bits"
    elif isinstance(value, str):
        yield from (f"is {source}; {text}" for text in misspelt(shape, value))


def misspelt(shape: dict, value: str) -> Iterator[str]:
    """Yield what a string shape's enum and pattern say against a value."""
    pattern = shape.get("pattern", r"[\S\s]*")
    if "\0" in value:
        yield "it may not have a NUL character, which no process can be given"
    elif value not in shape.get("enum", [value]):
        yield alternatives(value, shape["enum"])
    elif not matches(pattern, value):
        yield "it may not have a newline" if pattern in (".*", ".+") else f"it must match {pattern}"


def alternatives(value: str, enum: list[str]) -> str:
    """Name all of a short enum, or what in a long one is nearest."""
    if len(enum) <= 8:
        return "the API wants " + " or ".join([", ".join(enum[:-1]), enum[-1]][len(enum) == 1 :])
    near = ", ".join(difflib.get_close_matches(value, enum, 3))
    return f"this copy of the API (botocore {API['botocore']}) does not know it" + (
        f", but {near}" if near else ""
    )


def matches(pattern: str, value: str) -> bool:
    """Tell whether a value is all of a pattern; one that Python cannot read matches everything."""
    try:
        return bool(
            re.fullmatch(
                re.sub(r"\\p\{\w+\}", lambda found: JAVA.get(found[0], found[0]), pattern), value
            )
        )
    except re.error:
        return True


def unknown_key(name: str, key: str) -> str:
    """Say that a structure has no such key, and where it belongs or which one is nearest."""
    if key in SHAPES[REQUEST]["members"]:
        return "is not a key of the API here; it belongs at the top"
    if home := find_below(name, key):
        return f"is not a key of the API here; it belongs in {home}"
    lower = {member.lower(): member for member in SHAPES[name]["members"]}
    near = difflib.get_close_matches(key.lower(), lower, 1)
    return "is not a key of the API; " + (
        f"did you mean {lower[near[0]]}?" if near else "remove it"
    )


def find_below(name: str, key: str) -> str:
    """Return the path from a structure to the nearest one below it that has a key, '' if none has."""
    structures = SHAPES[name].get("members", {})
    direct = [
        member for member, shape in structures.items() if key in SHAPES[shape].get("members", ())
    ]
    deeper = (
        f"{member}.{path}"
        for member, shape in structures.items()
        if (path := find_below(shape, key))
    )
    return direct[0] if direct else next(deeper, "")
