"""Every file of lib/ and libexec/: clean standing alone, documented, with short functions."""

import re
import subprocess

import pytest
from conftest import TEMPLATE
from library import SM_LOCAL

LIB = sorted((SM_LOCAL / "lib").glob("*.sh"))
SCRIPTS = [*LIB, *sorted((SM_LOCAL / "libexec").glob("*.sh")), TEMPLATE / "container/train"]
FUNCTION = re.compile(r"^(\w+)\(\) \{(.*)$")
each_script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
each_lib = pytest.mark.parametrize("path", LIB, ids=lambda path: path.name)


def functions(text: str) -> dict[str, tuple[str, int]]:
    """Return each function with the line above it and the number of its lines."""
    lines = text.split("\n")
    return {
        match[1]: (
            lines[number - 1],
            1 if match[2].endswith("}") else lines[number:].index("}") + 1,
        )
        for number, match in enumerate(map(FUNCTION.match, lines))
        if match
    }


def test_shellcheck_has_nothing_to_say_of_any_file_alone():
    done = subprocess.run(
        ["shellcheck", "--norc", "--external-sources", "--format=gcc", *SCRIPTS],
        cwd=TEMPLATE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout + done.stderr == ""


@each_script
def test_lines_have_at_most_100_columns(path):
    lines = enumerate(path.read_text().split("\n"), 1)
    assert [number for number, line in lines if len(line) > 100] == []


@each_script
def test_functions_have_at_most_25_lines(path):
    found = functions(path.read_text())
    assert {name: length for name, (_, length) in found.items() if length > 25} == {}


@each_lib
def test_every_file_says_what_it_reads_and_sets(path):
    head = path.read_text().partition("\n\n")[0]
    assert head.startswith("# shellcheck shell=bash\n# ")
    assert re.search(r"^# (.*\. )?(Reads|Sets|Adds) ", head, re.MULTILINE)


@each_lib
def test_every_function_says_what_it_does(path):
    """In the comment above it, whose first line begins with its name."""
    text = path.read_text()
    assert [
        name
        for name, (above, _) in functions(text).items()
        if not above.startswith("# ") or not re.search(rf"^# {name}\b.*: ", text, re.MULTILINE)
    ] == []


def test_every_function_has_a_caller():
    texts = [path.read_text() for path in [*SCRIPTS, *SM_LOCAL.rglob("*.py")]]
    code = "\n".join(re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE) for text in texts)
    names = [name for path in LIB for name in functions(path.read_text())]
    assert [
        name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])(?!\(\) \{{)", code)
    ] == []


# What the functions read that a recipe's traps call, in job.sh and the engines' files.
READ_BY_TRAPS = {"job", "dir", "engine", "running", "stops", "ending", "stop_grace"} | {
    "interrupt_grace"
}
NO_JOB = {"pull.sh"}  # where no job runs


@each_lib
def test_no_function_hides_what_a_trap_reads(path):
    """A trap sees the local variables of the function in which its signal comes."""
    if path.name in NO_JOB:
        return
    code = re.sub(r"\s#.*|'[^']*'|\"[^\"]*\"", " ", path.read_text())
    found = [re.findall(r"(?<!\S)\w+(?=[=\s]|$)", one) for one in re.findall(r"\blocal (.*)", code)]
    assert {name for names in found for name in names} & READ_BY_TRAPS == set()
