"""What the API's own model says of a value.

The template's tools/refresh_api.py cuts api.json from botocore.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

API = json.loads(Path(__file__).with_name("api.json").read_text(encoding="utf-8"))
SHAPES = API["shapes"]


@dataclass(frozen=True)
class Kind:
    """A kind of job: the shapes of its request and of what Describe prints of it."""

    request: str
    describe: str
    not_accepted: tuple[str, ...]  # in the request's model, which says "read-only" of them

    @property
    def noun(self) -> str:
        """Return what the API calls such a job: TrainingJob, ProcessingJob."""
        return self.request.removeprefix("Create").removesuffix("Request")

    @property
    def all_keys(self) -> set[str]:
        """Return the keys that a request or what Describe prints has at its top."""
        return {*SHAPES[self.request]["members"], *SHAPES[self.describe]["members"]}

    @property
    def read_only(self) -> set[str]:
        """Return what only Describe has; ResponseMetadata is what boto3 adds."""
        described, requested = SHAPES[self.describe]["members"], SHAPES[self.request]["members"]
        return {*(described.keys() - requested.keys()), *self.not_accepted, "ResponseMetadata"}


TRAINING, PROCESSING = "CreateTrainingJobRequest", "CreateProcessingJobRequest"
KINDS = {
    TRAINING: Kind(
        TRAINING,
        "DescribeTrainingJobResponse",
        ("ResourceConfig.SelectedInstanceType", "ResourceConfig.SelectedInstanceCount"),
    ),
    PROCESSING: Kind(
        PROCESSING,
        "DescribeProcessingJobResponse",
        (
            "ProcessingResources.ClusterConfig.SelectedInstanceType",
            "ProcessingResources.ClusterConfig.SelectedInstanceCount",
        ),
    ),
}
# Required by the API but not here: what opt/ml or a default provides, and where in AWS data lies,
# which a job on this machine never asks. All else that is required is demanded as soon as the
# structure it belongs to is given.
MAY_BE_LEFT_OUT = {
    **{kind.request: set(SHAPES[kind.request]["required"]) for kind in KINDS.values()},
    "AppSpecification": {"ImageUri"},
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
    "ProcessingClusterConfig": {"VolumeSizeInGB"},
    "ProcessingResources": {"ClusterConfig"},
    "ProcessingS3Input": {"S3Uri", "S3DataType"},
    "ProcessingS3Output": {"S3Uri", "S3UploadMode"},
    "S3DataSource": {"S3DataType", "S3Uri"},
    "TensorBoardOutputConfig": {"S3OutputPath"},
}
# New instance types come monthly: one that api.json does not know gets a note, not an error.
OPEN_ENUMS = {"TrainingInstanceType", "ProcessingInstanceType"}

BEYOND = {"integer": 1 << 31, "long": 1 << 63}  # where Smithy's types of these names end
SAME_TYPE = {"long": "integer", "double": "float", "structure": "map"}
COUNTED = {
    "string": ("character", "characters"),
    "list": ("item", "items"),
    "map": ("entry", "entries"),
}
# The patterns are Java's. \w is \p{L}, \p{N} and the underscore, which the patterns that have
# these allow as well. Java reads two halves of a character as the one that they make.
JAVA = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r" \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
    r"\p{Alnum}": "a-zA-Z0-9",
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF",
}
JAVA_ONLY = re.compile("|".join(map(re.escape, JAVA)))


def type_of(name: str) -> str:
    """Return a shape's type, the same for those that look the same in a file."""
    return SAME_TYPE.get(SHAPES[name]["type"], SHAPES[name]["type"])


def misfits(name: str, value: Any, source: str = "") -> Iterator[str]:
    """Yield what a shape's limits, enum and pattern say against a value of the right type."""
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
        yield from (f"is {source}; {text}" for text in _misspelt(shape, value))


def _misspelt(shape: dict, value: str) -> Iterator[str]:
    """Yield what a string shape's enum and pattern say against a value."""
    pattern = shape.get("pattern", r"[\S\s]*")
    if "\0" in value:
        yield "it may not have a NUL character, which no process can be given"
    elif value not in shape.get("enum", [value]):
        yield _alternatives(value, shape["enum"])
    elif not _matches(pattern, value):
        yield "it may not have a newline" if pattern in (".*", ".+") else f"it must match {pattern}"


def _alternatives(value: str, enum: list[str]) -> str:
    """Return all of a short enum, or what in a long one is nearest."""
    if len(enum) <= 8:
        return "the API wants " + " or ".join(filter(None, [", ".join(enum[:-1]), enum[-1]]))
    near = ", ".join(difflib.get_close_matches(value, enum, 3))
    return f"this copy of the API (botocore {API['botocore']}) does not know it" + (
        f", but {near}" if near else ""
    )


def _matches(pattern: str, value: str) -> bool:
    """Return whether all of a value matches; a pattern that Python cannot read takes everything."""
    try:
        return bool(re.fullmatch(translated(pattern), value))
    except re.error:
        return True


def translated(pattern: str) -> str:
    """Return a pattern of Java's as Python's."""
    return JAVA_ONLY.sub(lambda found: JAVA[found[0]], pattern)


def unknown_key(name: str, key: str, root: str) -> str:
    """Return that a structure has no such key, and where it belongs or which one is nearest."""
    if key in SHAPES[root]["members"]:
        return "is not a key of the API here; it belongs at the top"
    if home := _find_below(name, key):
        return f"is not a key of the API here; it belongs in {home}"
    lower = {member.lower(): member for member in SHAPES[name]["members"]}
    near = difflib.get_close_matches(key.lower(), lower, 1)
    return "is not a key of the API; " + (
        f"did you mean {lower[near[0]]}?" if near else "remove it"
    )


def _find_below(name: str, key: str) -> str:
    """Return the path to the nearest structure below that has a key, '' if none has."""
    structures = SHAPES[name].get("members", {})
    direct = [
        member for member, shape in structures.items() if key in SHAPES[shape].get("members", ())
    ]
    deeper = (
        f"{member}.{path}"
        for member, shape in structures.items()
        if (path := _find_below(shape, key))
    )
    return direct[0] if direct else next(deeper, "")
