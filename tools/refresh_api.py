#!/usr/bin/env python3
"""Make sm_local/request/api.json anew from a botocore wheel.

usage: refresh_api.py [WHEEL]    without WHEEL: the newest one, by `pip download`

The old file stays as it is when anything fails.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import wheels

API = (
    Path(__file__).resolve().parent.parent
    / "<<cookiecutter.project>>"
    / "sm_local"
    / "request"
    / "api.json"
)
ROOTS = ("CreateTrainingJobRequest", "DescribeTrainingJobResponse")
KEPT = ("type", "required", "min", "max", "pattern", "enum")
MODEL = re.compile(r"botocore/data/sagemaker/([0-9-]+)/service-2\.json\.gz")
VERSION = re.compile(r"botocore-([^/]+)\.dist-info/METADATA")


def children(shape: dict) -> dict[str, str]:
    """Return the shapes that a shape is made of: role or member name → shape name."""
    parts = {role: shape[role] for role in ("member", "key", "value") if role in shape}
    return {name: part["shape"] for name, part in {**parts, **shape.get("members", {})}.items()}


def slim(shape: dict) -> dict:
    """Return a shape without its documentation, references as plain names."""
    kept = {key: shape[key] for key in KEPT if key in shape}
    return (
        {**kept, "members": children(shape)} if "members" in shape else {**kept, **children(shape)}
    )


def cut(shapes: dict, roots: tuple[str, ...] = ROOTS) -> dict[str, dict]:
    """Return the slim shapes that the roots are made of, sorted by name."""
    found: dict[str, dict] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = slim(shapes[name])
            waiting += children(shapes[name]).values()
    return dict(sorted(found.items()))


def render(version: str, model: dict) -> str:
    """Return api.json's text: one shape a line, so that a refresh reads well as a diff."""
    shapes = cut(model["shapes"])
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(shape)}" for name, shape in shapes.items())
    head = f'"botocore": "{version}",\n"apiVersion": "{model["metadata"]["apiVersion"]}"'
    return f'{{\n{head},\n"shapes": {{\n{lines}\n}}\n}}\n'


def unpack(wheel: Path) -> tuple[str, dict]:
    """Return a botocore wheel's version and its newest SageMaker model."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        version = next(found[1] for found in map(VERSION.fullmatch, names) if found)
        newest = max(name for name in names if MODEL.fullmatch(name))
        return version, json.loads(gzip.decompress(archive.read(newest)))


def main(arguments: list[str]) -> int:
    """Refresh api.json from the wheel named, or from the newest."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as folder:
            version, model = unpack(
                Path(arguments[0]) if arguments else wheels.download("botocore", folder)
            )
        text = render(version, model)
        wheels.replace(API, text)
    except (OSError, zipfile.BadZipFile, StopIteration, KeyError, ValueError) as error:
        source = arguments[0] if arguments else "pip download"
        print(
            f"refresh_api: no model from {source} ({error!r}); api.json is as it was",
            file=sys.stderr,
        )
        return 1
    print(f"{API.name}: {len(json.loads(text)['shapes'])} shapes from botocore {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
