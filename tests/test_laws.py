"""The laws of the house: who imports whom, who quotes, who reads a setting, how long is too long.

Each is read off the source, so that a change that breaks one is named before anybody reviews it.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator

import pytest
from conftest import REPO, TEMPLATE
from sm_local import settings
from test_recipes import COMMENT, FUNCTIONS, calls, main_of, recipes  # noqa: F401  (a fixture)

PACKAGE = TEMPLATE / "sm_local"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).replace(".__init__", ""): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if ".venv" not in path.parts
}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
ENGINES = {"docker", "podman", "sandbox"}


def part(module: str) -> str:
    """Return the part of the house that a module belongs to."""
    return module.partition(".")[0]


def absolute(module: str, node: ast.ImportFrom) -> Iterator[str]:
    """Yield the modules of ours that a relative import names."""
    package = MODULES[module].name == "__init__.py"
    steps = module.split(".") if module != "__init__" else []
    base = steps[: len(steps) - node.level + package]
    start = [*base, *(node.module.split(".") if node.module else [])]
    for alias in node.names:
        longer = ".".join([*start, alias.name])
        yield longer if longer in MODULES else ".".join(start) or "__init__"


def imports(module: str) -> set[str]:
    """Return the modules of ours that a module imports."""
    found: set[str] = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom) and node.level:
            found |= set(absolute(module, node))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names if isinstance(node, ast.Import)]
            assert not [name for name in names if str(name).startswith("sm_local")], module
    return found


# Imports go one way

BASE = {"errors", "plan"}
MAY_IMPORT = {
    "__init__": set(),
    "errors": set(),
    "plan": set(),
    "script": BASE,
    "machine": {"errors"},
    "progress": {"errors"},
    "settings": {"errors", "request"},  # whose nodes know what is written in YAML
    "images": {"errors", "settings"},
    "request": {"errors", "request"},
    "libexec": {"libexec", "errors", "s3"},
    "debug": set(),  # runs in the job
    "kinds": {*BASE, "settings", "images", "request", "libexec", "kinds"},
    "watch": {"errors", "request", "watch"},
    "pdb": set(),  # a job's own Python runs it
    "features": {*BASE, "settings", "machine", "features"},
    "engines": {*BASE, "script", "machine", "engines"},
    "s3": {*BASE, "settings", "machine", "images", "request", "libexec", "kinds", "progress", "s3"},
}
INNER = {*MAY_IMPORT, "verbs"}
MAY_IMPORT["verbs"] = INNER - {"__init__"}
MAY_IMPORT["__main__"] = INNER - {"__init__"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    allowed = MAY_IMPORT[part(module)]
    assert {name for name in imports(module) if part(name) not in allowed} == set()


def test_there_is_no_circle_of_imports():
    left = {module: imports(module) - {module} for module in MODULES}
    while free := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in free}
    # a package's __init__ knows its parts, and they know what they have in common
    assert left.keys() == set()


@pytest.mark.parametrize("module", ["libexec.objects", "libexec.pipe"])
def test_what_recipes_run_imports_nothing_but_its_like(module):
    texts = re.findall(r"^\s*(?:from|import) (\S+)", MODULES[module].read_text(), re.MULTILINE)
    assert not [name for name in texts if name.startswith((".", "sm_local"))] or {
        part(name) for name in imports(module)
    } <= {"libexec"}


# Nobody but the engines knows which engine it is


def compares_an_engine(node: ast.AST) -> bool:
    """Return whether a node compares something with an engine's name, or an engine's name."""
    if not isinstance(node, (ast.Compare, ast.MatchValue)):
        return False
    inside = list(ast.walk(node))
    named = any(isinstance(one, ast.Constant) and one.value in ENGINES for one in inside)
    facts = [
        ast.unparse(one.value).rpartition(".")[2]
        for one in inside
        if isinstance(one, ast.Attribute) and one.attr == "name"
    ]
    return named or bool({"facts", "engine"} & set(facts))


@pytest.mark.parametrize("module", [name for name in MODULES if part(name) != "engines"])
def test_no_one_else_asks_for_an_engine_s_name(module):
    if module == "machine":  # it finds them
        return
    found = [node for node in ast.walk(TREES[module]) if compares_an_engine(node)]
    assert [ast.unparse(node) for node in found] == []


# One module writes Bash


def called(node: ast.AST) -> str:
    """Return the last name of what a node calls."""
    if not isinstance(node, ast.Call):
        return ""
    return ast.unparse(node.func).rpartition(".")[2]


def joins(node: ast.AST) -> bool:
    """Return whether a node joins strings."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, (ast.Add, ast.Mod))
    return isinstance(node, ast.JoinedStr) or called(node) in ("format", "join")


@pytest.mark.parametrize("module", [name for name in MODULES if part(name) == "verbs"])
def test_verbs_join_no_strings_into_bash(module):
    written = [node for node in ast.walk(TREES[module]) if called(node) in ("bash", "Bash")]
    found = [node for one in written for word in one.args for node in ast.walk(word) if joins(node)]
    assert [ast.unparse(node) for node in found] == []


@pytest.mark.parametrize("module", [name for name in MODULES if part(name) == "engines"])
def test_engines_have_bash_of_constants_alone(module):
    written = [node for node in ast.walk(TREES[module]) if called(node) == "Bash"]
    found = [node for one in written for word in one.args for node in ast.walk(word) if joins(node)]
    assert [ast.unparse(node) for node in found] == []


@pytest.mark.parametrize("module", [name for name in MODULES if part(name) in ("engines", "verbs")])
def test_no_string_with_a_dollar_has_a_value_put_in(module):
    """Such a string is Bash, whatever it is handed to."""
    found = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.JoinedStr)]
    texts = [
        word.value
        for node in found
        for word in node.values
        if isinstance(word, ast.Constant) and "$" in word.value
    ]
    assert texts == []


@pytest.mark.parametrize(
    "module", [name for name in MODULES if part(name) in ("plan", "kinds", "features")]
)
def test_kinds_and_features_have_no_bash(module):
    assert [node for node in ast.walk(TREES[module]) if called(node) == "Bash"] == []


def test_only_one_module_quotes():
    quoting = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if called(node) == "quote" and ast.unparse(node).startswith(("quote", "shlex"))
    }
    # __main__, layout: HP=…, JOB=… in hints for people
    assert quoting - {"script", "__main__", "kinds.layout"} == set()


# A setting is read in one place

READ_TWICE = {
    "ENGINE": "by a job, and by the doctor, who must not fail where it cannot be used",
    "GPU": "by the feature, and by the doctor, who compares it with the machine",
    "IMAGE": "by a job, by `make build`, which makes it, and by conform, which looks into it",
    "DLC": "by a job, and by `make pull-dlc`, which fetches it",
    "REGION": "by a job, and by `make pull-dlc`, whose registry may be a region's",
    "PLATFORM": "by the feature, by `make build` and by `make pull-dlc`",
}
VALUES = {"settings", "values", "given"}


def settings_read(module: str) -> set[str]:
    """Return the settings that a module reads, by a subscript or by get()."""
    found = set()
    for node in ast.walk(TREES[module]):
        key: ast.AST | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            key, values = node.slice, node.value
        elif called(node) == "get" and isinstance(node.func, ast.Attribute) and node.args:
            key, values = node.args[0], node.func.value
        if isinstance(key, ast.Constant) and ast.unparse(values).rpartition(".")[2] in VALUES:
            found.add(key.value)
    return found & settings.RULES.keys()


@pytest.mark.parametrize("key", settings.RULES)
def test_a_setting_is_read_in_one_place(key):
    readers = [name for name in MODULES if name != "settings" and key in settings_read(name)]
    if key in READ_TWICE:
        assert len(readers) > 1, "this is no exception any more"
    else:
        assert len(readers) == 1, readers


# One module prints errors and exits

# programs of their own
ALONE = {"libexec.pipe", "libexec.objects", "libexec.credentials", "libexec.preload"}
ALONE |= {"debug.sitecustomize", "libexec.terminal"}
# how far `make data` is, in the words of a recipe; how a run ended that was watched
SAYING = {"s3.wording", "verbs.watch"}


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"__main__"} - ALONE))
def test_only_main_prints_errors_and_exits(module):
    calls_ = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    exits = [node for node in calls_ if called(node) in {"exit", "_exit", "SystemExit"}]
    errors = [
        node
        for node in calls_
        if called(node) in {"print", "write"} and "sm-local:" in ast.unparse(node)
    ]
    errors = [] if module in SAYING else errors
    assert [ast.unparse(node) for node in exits + errors] == []


# Nothing is too long

TRACKED = subprocess.run(
    ["git", "ls-files", "-z", "*.py", "*.sh"], cwd=REPO, capture_output=True, text=True, check=True
).stdout.split("\0")[:-1]
VERBATIM = ("tests/recipes/", "tests/requests/")  # as tools print them


@pytest.mark.parametrize("name", [name for name in TRACKED if not name.startswith(VERBATIM)])
def test_lines_have_at_most_100_columns(name):
    lines = enumerate((REPO / name).read_text().splitlines(), 1)
    assert [number for number, line in lines if len(line) > 100] == []


CONTAINER = {
    path.name: ast.parse(path.read_text()) for path in sorted((TEMPLATE / "container").glob("*.py"))
}


def lengths() -> dict[str, int]:
    """Return the lines of each function that people get, its docstring included."""
    return {
        f"{name}.{node.name}:{node.lineno}": node.end_lineno - node.lineno + 1
        for name, tree in [*TREES.items(), *CONTAINER.items()]
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_no_function_is_longer_than_25_lines():
    assert {name: lines for name, lines in lengths().items() if lines > 25} == {}


def test_most_functions_are_short():
    found = sorted(lengths().values())
    assert statistics.median(found) <= 8
    assert statistics.quantiles(found, n=10)[-1] <= 18


SCRIPTS = sorted([*(PACKAGE / "lib").glob("*.sh"), *(PACKAGE / "libexec").glob("*.sh")])


def bash_functions(text: str) -> dict[str, int]:
    """Return the lines of each function of a script."""
    lines, found = text.splitlines(), {}
    for number, line in enumerate(lines):
        if name := re.match(r"(\w+)\(\) ", line):
            whole = re.search(r" [({] .*[)}](\s+#.*)?$", line)
            ends = (n for n, one in enumerate(lines[number:], 1) if re.match(r"[)}]", one))
            found[name[1]] = 1 if whole else next(ends)
    assert list(found) == re.findall(r"^(\w+)\(\)", text, re.MULTILINE)
    return found


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_bash_function_is_longer_than_25_lines(path):
    found = bash_functions(path.read_text())
    assert {name: lines for name, lines in found.items() if lines > 25} == {}


# Nothing is left over


def test_every_function_of_the_library_has_a_caller(recipes):  # noqa: F811
    texts = [re.sub(r"^\w+\(\)", "", path.read_text(), flags=re.MULTILINE) for path in SCRIPTS]
    texts += map(main_of, recipes.values())
    # a word anywhere: sidecar and without_sidecars are told what to call
    used = set().union(*(re.findall(r"\w+", COMMENT.sub("", text)) for text in texts))
    assert set().union(*FUNCTIONS.values()) - used == set()
