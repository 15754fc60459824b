#!/usr/bin/env python3
"""Rewrite sm_local/request/api.json from the SageMaker model of the botocore that is installed.

usage: refresh_api.py    for another version, first change the pin in pyproject.toml and `uv sync`

The old file stays as it is if anything fails.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import botocore
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader

ROOT = Path(__file__).resolve().parent.parent
API = ROOT / "<<cookiecutter.project>>" / "sm_local" / "request" / "api.json"
ROOTS = (
    "CreateTrainingJobRequest",
    "DescribeTrainingJobResponse",
    "CreateProcessingJobRequest",
    "DescribeProcessingJobResponse",
)
KEPT = ("type", "required", "min", "max", "pattern", "enum")


def model() -> dict:
    """Return botocore's newest SageMaker model. Raises BotoCoreError."""
    return Loader().load_service_model("sagemaker", "service-2")


def children(shape: dict) -> dict[str, str]:
    """Return the shapes that a shape is made of: role or member name → shape name."""
    parts = {role: shape[role] for role in ("member", "key", "value") if role in shape}
    return {name: part["shape"] for name, part in {**parts, **shape.get("members", {})}.items()}


def slim(shape: dict) -> dict:
    """Return a shape without its documentation, references as plain names."""
    kept = {key: shape[key] for key in KEPT if key in shape}
    if "members" in shape:
        return {**kept, "members": children(shape)}
    return {**kept, **children(shape)}


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


def main(arguments: list[str]) -> int:
    """Refresh api.json; return the exit status."""
    if arguments:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        text = render(botocore.__version__, model())
        API.write_text(text, encoding="utf-8")
    except (OSError, KeyError, ValueError, BotoCoreError) as error:
        print(f"refresh_api: {error!r}; {API.name} is as it was", file=sys.stderr)
        return 1
    count = len(json.loads(text)["shapes"])
    print(f"{API.name}: {count} shapes from botocore {botocore.__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
