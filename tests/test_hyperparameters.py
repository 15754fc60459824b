"""hyperparameters.json and HP=: what becomes the map of strings, and how the rest is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sm_local.errors import SmLocalError
from sm_local.request import hyperparameters

FILE = "opt/ml/input/config/hyperparameters.json"
SHAPE = """write HP="epochs=3 name='two words'\""""
LONG_NAME, LONG_VALUE = (
    "the name has 257 characters; the API wants at most 256",
    "the value has 2501 characters; the API wants at most 2500",
)


def write(root: Path, text: str | bytes) -> None:
    """Write hyperparameters.json."""
    path = root / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def refused(function, *arguments) -> str:
    """Return the error with which something is refused."""
    with pytest.raises(SmLocalError) as error:
        function(*arguments)
    return str(error.value)


# HP=


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("", {}, id="nothing"),
        pytest.param("  \n ", {}, id="blanks"),
        pytest.param("epochs=3", {"epochs": "3"}, id="one"),
        pytest.param("epochs=3 lr=0.1\nb=c", {"epochs": "3", "lr": "0.1", "b": "c"}, id="several"),
        pytest.param('a=1 b="x y"', {"a": "1", "b": "x y"}, id="double-quotes"),
        pytest.param("a='x \"y\"' b=x\\ y", {"a": 'x "y"', "b": "x y"}, id="other-quotes"),
        pytest.param("a= b=''", {"a": "", "b": ""}, id="empty-values"),
        pytest.param("a=b=c d==", {"a": "b=c", "d": "="}, id="equals-in-the-value"),
        pytest.param(
            "a=$HOME b=`x` c=* d=~",
            {"a": "$HOME", "b": "`x`", "c": "*", "d": "~"},
            id="nothing-is-expanded",
        ),
        pytest.param("a=1 # b=2", "HP: '#' has no value; write HP='#=…'", id="no-comments"),
        pytest.param(
            "a=007 b=true c=1e-3 d=None",
            {"a": "007", "b": "true", "c": "1e-3", "d": "None"},
            id="as-typed",
        ),
        pytest.param(
            "a='[1, 2]' b='{\"c\": null}'",
            {"a": "[1, 2]", "b": '{"c": null}'},
            id="json-stays-text",
        ),
        pytest.param("größe=Ω", {"größe": "Ω"}, id="letters"),
        pytest.param("a=1 a=2", {"a": "2"}, id="the-last-of-two-wins"),
        pytest.param(
            f"{'k' * 256}={'v' * 2500}", {"k" * 256: "v" * 2500}, id="as-long-as-the-API-takes"
        ),
        pytest.param(
            "--epochs 3 --lr=0.1 --flag",
            "HP: '--epochs' has dashes; write HP='epochs=3 lr=0.1 flag'",
            id="arguments",
        ),
        pytest.param("--epochs=3", "HP: '--epochs=3' has dashes; write HP='epochs=3'", id="dashes"),
        pytest.param(
            "epochs=3, lr=0.05",
            "HP: blanks separate hyperparameters, not commas; write HP='epochs=3 lr=0.05'",
            id="commas",
        ),
        pytest.param("a='3,' b=1,2", {"a": "3,", "b": "1,2"}, id="commas-that-are-meant"),
        pytest.param("a", "HP: 'a' has no value; write HP='a=…'", id="no-value"),
        pytest.param(
            "a=1 'b c' d=2", "HP: 'b c' has no value; write HP='b c=…'", id="no-value-in-quotes"
        ),
        pytest.param("a=x y", "HP: 'y' has no value; write HP='y=…'", id="forgotten-quotes"),
        pytest.param("=a", "HP: '=a' has no name; write HP='NAME=a'", id="no-name"),
        pytest.param(
            "=a=b", "HP: '=a=b' has no name; write HP='NAME=a=b'", id="no-name-but-two-signs"
        ),
        pytest.param("=", "HP: '=' has no name; write HP='NAME='", id="neither"),
        pytest.param("a='b", f'HP: a quote is never closed in "a=\'b"; {SHAPE}', id="open-quote"),
        pytest.param(f"{'k' * 257}=1", f"HP: '{'k' * 59}…': {LONG_NAME}", id="long-name"),
        pytest.param(f"a={'v' * 2501}", f"HP: 'a': {LONG_VALUE}", id="long-value"),
        pytest.param(
            "a='x\ny'", r"HP: 'a': the value is 'x\ny'; it may not have a newline", id="newline"
        ),
        pytest.param(
            "a=\udcff", "HP: 'a': the value is not Unicode text; write it in UTF-8", id="not-utf-8"
        ),
    ],
)
def test_the_command_line_is_split_as_a_shell_would(text, values):
    assert (
        refused(hyperparameters.split, text)
        if isinstance(values, str)
        else hyperparameters.split(text)
    ) == values


# hyperparameters.json


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("{}", {}, id="empty"),
        pytest.param('{"epochs": "20", "lr": "0.1"}', {"epochs": "20", "lr": "0.1"}, id="strings"),
        pytest.param(
            '\n {"b": "",\r\n\t"a": "x\\ty" }\n\n', {"b": "", "a": "x\ty"}, id="blanks-and-escapes"
        ),
        pytest.param('{"größe": "Ω \\u00e9"}', {"größe": "Ω é"}, id="letters"),
        pytest.param('\ufeff{"a": "1"}', {"a": "1"}, id="byte-order-mark"),
        pytest.param(
            '{"a": "[1, 2]", "b": "\\"x\\"", "c": "true"}',
            {"a": "[1, 2]", "b": '"x"', "c": "true"},
            id="what-the-SDK-encodes-stays-as-it-is",
        ),
        pytest.param(
            json.dumps({"k" * 256: "v" * 2500}),
            {"k" * 256: "v" * 2500},
            id="as-long-as-the-API-takes",
        ),
        pytest.param(
            json.dumps({str(n): "" for n in range(100)}),
            {str(n): "" for n in range(100)},
            id="as-many-as-the-API-takes",
        ),
    ],
)
def test_a_flat_object_of_strings_is_read_as_it_is(tmp_path, text, values):
    write(tmp_path, text)
    read = hyperparameters.read(tmp_path).body
    assert (read, list(read)) == (values, list(values))


def test_no_file_means_none(tmp_path):
    assert hyperparameters.read(tmp_path).body == {}


@pytest.mark.parametrize("value", ["20", "-0.10", "1e-05", "1E5", "true", "false"])
def test_a_number_or_boolean_becomes_its_json_as_the_sdk_sends_it(tmp_path, value):
    write(tmp_path, f'{{"a": {value}, "b": "x"}}')
    read = hyperparameters.read(tmp_path)
    assert read.body == {"a": value, "b": "x"} and json.loads(read.body["a"]) == json.loads(value)
    assert read.notes == (f"{FILE}: a is a string in the job: SageMaker's SDK sends strings",)


def test_numbers_are_said_once(tmp_path):
    write(tmp_path, '{"a": 1, "b": 2, "c": true, "d": 4, "e": "5"}')
    assert hyperparameters.read(tmp_path).notes == (
        f"{FILE}: a, b, c and 1 more are strings in the job: SageMaker's SDK sends strings",
    )


@pytest.mark.parametrize(
    ("value", "shown", "string"),
    [
        pytest.param("null", "null", '"null"', id="null"),
        pytest.param("[]", "a list", '"[]"', id="empty-list"),
        pytest.param("{}", "a map", '"{}"', id="empty-object"),
        pytest.param('[1,"b"]', "a list", r'"[1,\"b\"]"', id="list"),
        pytest.param('{"b":1}', "a map", r'"{\"b\":1}"', id="object"),
        pytest.param(
            '{"b":{"c":[{"d":{}}]}}',
            "a map",
            r'"{\"b\":{\"c\":[{\"d\":{}}]}}"',
            id="nested",
        ),
    ],
)
def test_another_type_is_refused_with_the_string_that_sagemaker_makes_of_it(
    tmp_path, value, shown, string
):
    write(tmp_path, f'{{"a": {value}}}')
    assert (
        refused(hyperparameters.read, tmp_path)
        == f"{FILE}:1: a is {shown}; the API wants a string; write {string}"
    )
    (tmp_path / FILE).write_text(f'{{"a": {string}}}')
    assert hyperparameters.read(tmp_path).body == {"a": value}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param('{\n  "a": "1",\n}', ":2: trailing comma; remove it", id="trailing-comma"),
        pytest.param(
            '{"a": "1",}', ":1: trailing comma; remove it", id="trailing-comma-on-one-line"
        ),
        pytest.param(
            '{\n"a": "1",\n\n\n }\n',
            ":2: trailing comma; remove it",
            id="trailing-comma-and-empty-lines",
        ),
        pytest.param(
            '{\r\n  "a": "1",\r\n}\r\n', ":2: trailing comma; remove it", id="trailing-comma-CRLF"
        ),
        pytest.param(
            '{"a":\n["1",\n]}', ":2: trailing comma; remove it", id="trailing-comma-in-a-list"
        ),
        pytest.param(
            '{\n"a": ,\n"b": "1"}', ":2: expecting value", id="a-missing-value-is-no-trailing-comma"
        ),
        pytest.param('\n{"a": }', ":2: expecting value", id="a-missing-last-value"),
        pytest.param(
            '{"a": "1",\n\'b\': "2"}',
            ":2: expecting property name enclosed in double quotes",
            id="single-quotes-behind-a-comma",
        ),
        pytest.param(
            '{"a": "1",\n',
            ":2: expecting property name enclosed in double quotes",
            id="cut-off-behind-a-comma",
        ),
        pytest.param(
            '\n{"a": "1",}',
            ":2: trailing comma; remove it",
            id="trailing-comma-behind-an-empty-line",
        ),
        pytest.param('{\n"a": "1"\n"b": "2"}', ":3: expecting ',' delimiter", id="missing-comma"),
        pytest.param('{"a": 20x}', ":1: expecting ',' delimiter", id="no-JSON"),
        pytest.param(
            "{'a': '1'}",
            ":1: expecting property name enclosed in double quotes",
            id="single-quotes",
        ),
        pytest.param('{"a": "1"}\n{}', ":2: extra data", id="two-objects"),
        pytest.param("", ":1: expecting value", id="empty-file"),
        pytest.param("[]", ': is not an object; write {"epochs": "20"}', id="empty-list"),
        pytest.param(
            '[["a", "1"]]', ': is not an object; write {"epochs": "20"}', id="list-of-pairs"
        ),
        pytest.param(
            '[{"a": "1"}]', ': is not an object; write {"epochs": "20"}', id="list-of-objects"
        ),
        pytest.param('"a"', ': is not an object; write {"epochs": "20"}', id="string"),
        pytest.param("null", ': is not an object; write {"epochs": "20"}', id="null"),
        pytest.param(
            '{"a": "1",\n "b": "2",\n "a": "1"}',
            ":3: a is here twice, first on line 1; remove one",
            id="twice",
        ),
        pytest.param(
            '{"a": "1",\n "\\u0061": "1"}',
            ":2: a is here twice, first on line 1; remove one",
            id="twice-though-written-otherwise",
        ),
        pytest.param(
            f'{{"a": "",\n "{"k" * 257}": ""}}',
            f":2: {'k' * 59}… (the key) {LONG_NAME[9:]}",
            id="long-name",
        ),
        pytest.param(f'{{"a": "{"v" * 2501}"}}', f":1: a {LONG_VALUE[10:]}", id="long-value"),
        pytest.param(
            r'{"a": "x\ny"}',
            r":1: a is 'x\ny'; it may not have a newline",
            id="newline",
        ),
        pytest.param(
            r'{"a": "x\u0000y"}',
            r":1: a is 'x\x00y'; it may not have a NUL character, which no process can be given",
            id="nul",
        ),
        pytest.param(
            r'{"a": "\ud800"}',
            ":1: a is not Unicode text; write it in UTF-8",
            id="half-a-character",
        ),
        pytest.param(
            '{"a": [1.10, {"b": 1e5}]}',
            """:1: a is a list; the API wants a string; write "[1.10, {\\"b\\": 1e5}]\"""",
            id="numbers-inside",
        ),
        pytest.param(
            "{" + ",\n".join(f'"{n}": ""' for n in range(101)) + "}",
            ":1: the file has 101 entries; the API wants at most 100",
            id="one-too-many",
        ),
        pytest.param(
            "{" + ",\n".join(f'"{n}": ""' for n in range(102)) + "}",
            ":1: the file has 102 entries; the API wants at most 100",
            id="too-many",
        ),
    ],
)
def test_what_the_api_would_not_take_is_refused(tmp_path, text, problem):
    write(tmp_path, text)
    assert refused(hyperparameters.read, tmp_path) == f"{FILE}{problem}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param('{"b": "a",\n"a": null}', 2, id="a-value-of-that-name-before"),
        pytest.param('{"b": "\\"a\\": {[",\n"a": null}', 2, id="quotes-and-brackets-in-a-value"),
        pytest.param('\n{"a": null}', 2, id="behind-an-empty-line"),
        pytest.param('{"b": "[", "c": "}",\n"a": null}', 2, id="brackets-in-values"),
        pytest.param('{\n"a"\n:\nnull}', 2, id="the-colon-elsewhere"),
    ],
)
def test_the_line_is_the_keys(tmp_path, text, line):
    write(tmp_path, text)
    assert (
        refused(hyperparameters.read, tmp_path)
        == f'{FILE}:{line}: a is null; the API wants a string; write "null"'
    )


def test_the_line_of_a_key_with_other_letters(tmp_path):
    write(tmp_path, '{"a": "1",\n"é": null}')
    assert (
        refused(hyperparameters.read, tmp_path)
        == f'{FILE}:2: é is null; the API wants a string; write "null"'
    )


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_only_python_takes_for_json_is_refused(tmp_path, text):
    write(tmp_path, f'{{"a": {text}}}')
    said = refused(hyperparameters.read, tmp_path)
    assert said == f'{FILE}: {text} is not JSON; SageMaker passes strings, write "{text}"'


def test_every_problem_is_named(tmp_path):
    write(tmp_path, '{"x": {"a": 1},\n"a": [],\n"a": "3",\n"b": "ok",\n"c": null}')
    assert refused(hyperparameters.read, tmp_path).splitlines() == [
        f'{FILE}:1: x is a map; the API wants a string; write "{{\\"a\\": 1}}"',
        f'{FILE}:2: a is a list; the API wants a string; write "[]"',
        f"{FILE}:3: a is here twice, first on line 2; remove one",
        f'{FILE}:5: c is null; the API wants a string; write "null"',
    ]


def test_a_trailing_comma_as_python_313_reports_it():
    text = '{\n"a": "1",\n}'
    error = json.JSONDecodeError(
        "Illegal trailing comma before end of object", text, text.index(",")
    )
    assert hyperparameters.json_problem(text, error) == "2: trailing comma; remove it"


def test_a_file_that_is_not_utf_8_is_refused(tmp_path):
    write(tmp_path, b'{"a": "\xe9"}')
    said = refused(hyperparameters.read, tmp_path)
    assert said == f"{FILE}:1: byte 0xe9 is not UTF-8; save the file as UTF-8"


def test_a_folder_in_the_files_place_is_refused(tmp_path):
    (tmp_path / FILE).mkdir(parents=True)
    assert (
        refused(hyperparameters.read, tmp_path)
        == f"{FILE}: cannot be read (Is a directory); make it a file that you may read"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a": ' + "1" * 5000 + "}", id="a-number-without-end"),
        pytest.param("[" * 100_000, id="brackets-without-end"),
    ],
)
def test_a_file_that_python_cannot_hold_is_refused(tmp_path, text):
    write(tmp_path, text)
    assert refused(hyperparameters.read, tmp_path).startswith(f"{FILE}:")


def test_a_link_that_leads_nowhere_is_refused(tmp_path):
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).symlink_to("/nowhere/x")
    assert (
        refused(hyperparameters.read, tmp_path)
        == f"{FILE}: is a link to /nowhere/x, which is not there; correct the link or remove it"
    )
