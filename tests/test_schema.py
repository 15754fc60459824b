"""Editors judge job.yaml by a JSON Schema, and say what `make` would say."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest
import test_api
from conftest import REPO, TEMPLATE
from jsonschema import Draft7Validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from sm_local.errors import SmLocalError
from sm_local.request import reading, rules, shapes

FILES = {shapes.TRAINING: "job.schema.json", shapes.PROCESSING: "processing.schema.json"}
SCHEMAS = {
    root: json.loads((TEMPLATE / "sm_local/request" / name).read_text())
    for root, name in FILES.items()
}
# What `make` refuses and a schema cannot: JSON has one sort of number; a NUL; patterns of Java's.
BEYOND_A_SCHEMA = ("is 2.0;", "is 1e3;", "NUL character", r"must match ([\p{L}")


def errors(text: str, root: str = shapes.TRAINING) -> list[str]:
    """Return what the schema says of a file."""
    value = YAML(typ="safe", pure=True).load(text)
    found = Draft7Validator(SCHEMAS[root]).iter_errors({} if value is None else value)
    return [error.message for error in found]


def loads(text: str) -> bool:
    """Return whether a text is YAML of plain values: else an editor has said so already."""
    try:
        YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, OverflowError, RecursionError):
        return False
    return True


def lines_of_rules(text: str, root: str) -> set[str]:
    """Return the paths that break a rule about several values, which a schema does not know."""
    value = YAML(typ="safe", pure=True).load(text)
    try:
        return {where for where, _ in rules.broken_rules(value, root)}
    except (AttributeError, TypeError):  # rules see only values of the right type
        return set()


@pytest.fixture
def made():
    """Return tools/make_schema.py."""
    import sys

    sys.path.insert(0, str(REPO / "tools"))
    try:
        return importlib.import_module("make_schema")
    finally:
        sys.path.remove(str(REPO / "tools"))


@pytest.mark.parametrize("root", FILES)
def test_the_schema_is_what_the_tool_makes(root, made):
    assert (TEMPLATE / "sm_local/request" / FILES[root]).read_text() == made.render(root), (
        "build/venv/bin/python tools/make_schema.py"
    )


@pytest.mark.parametrize("root", FILES)
def test_the_schema_is_a_schema(root):
    Draft7Validator.check_schema(SCHEMAS[root])


@pytest.mark.parametrize(
    ("name", "root"), [("job.yaml", shapes.TRAINING), ("processing.yaml", shapes.PROCESSING)]
)
def test_a_baked_file_names_its_schema_and_passes(name, root, project):
    text = (project / name).read_text()
    first = text.split("\n")[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(.+)", first)
    assert found, first
    assert json.loads((project / found[1]).read_text()) == SCHEMAS[root]
    assert errors(text, root) == []


@pytest.mark.parametrize(
    ("text", "root"),
    [
        pytest.param("", shapes.TRAINING, id="empty"),
        pytest.param(test_api.FULL, shapes.TRAINING, id="full"),
        pytest.param(
            json.dumps({**YAML(typ="safe", pure=True).load(test_api.FULL), **test_api.DESCRIBED}),
            shapes.TRAINING,
            id="described",
        ),
        pytest.param(
            "ResourceConfig: {InstanceType: ml.new9.huge, InstanceCount: 1}",
            shapes.TRAINING,
            id="new-instance-type",
        ),
        pytest.param(test_api.PROCESSING, shapes.PROCESSING, id="processing"),
    ],
)
def test_what_make_takes_passes(text, root, tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(text)
    reading.read(path, root)
    assert errors(text, root) == []


BROKEN = [
    pytest.param(*case.values, id=case.id)
    for case in test_api.transcripts()
    if loads(case.values[0])
]


def test_there_are_many_broken_requests():
    assert len(BROKEN) >= 40


@pytest.mark.parametrize(("text", "lines"), BROKEN)
def test_what_make_refuses_is_red(text, lines):
    """Each line that `make` prints is the schema's too, or a rule's about several values."""
    red = errors(text)
    of_rules = lines_of_rules(text, shapes.TRAINING)
    left = [
        line
        for line in lines
        if not any(f": {where} " in line for where in of_rules)
        and not any(words in line for words in BEYOND_A_SCHEMA)
        and "is here twice" not in line  # the parser's
    ]
    assert bool(red) == bool(left), (red, left)


@pytest.mark.parametrize(
    ("text", "root", "word"),
    [
        pytest.param("TrainingJobNam: a", shapes.TRAINING, "TrainingJobNam", id="unknown-key"),
        pytest.param(
            "HyperParameters: {epochs: 20}", shapes.TRAINING, "not of type 'string'", id="type"
        ),
        pytest.param("TrainingJobName: a_b", shapes.TRAINING, "does not match", id="pattern"),
        pytest.param(
            "InputDataConfig: [{ChannelName: a, InputMode: file}]",
            shapes.TRAINING,
            "'file' is not one of ['Pipe', 'File', 'FastFile']",
            id="enum",
        ),
        pytest.param(
            "ProcessingInputs: [{S3Input: {}}]",
            shapes.PROCESSING,
            "'InputName' is a required property",
            id="missing",
        ),
        pytest.param(
            "StoppingCondition: {MaxRuntimeInSeconds: 777601}",
            shapes.PROCESSING,
            "777601 is greater than the maximum",
            id="limit",
        ),
    ],
)
def test_an_editor_says_what_is_wrong(text, root, word, tmp_path):
    assert [message for message in errors(text, root) if word in message]
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(SmLocalError):
        reading.read(Path(path), root)
