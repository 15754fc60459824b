"""Hostile and broken input of every kind: one clear line, or a recipe that says what was given.

Never a traceback; no value is split, changed or run by Bash. The same examples each time; FUZZ=20
tries twenty times as many, others each time, and says how to repeat the one that fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import matrix
import pytest
from conftest import make
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sm_local import settings as setting
from sm_local.__main__ import shown
from sm_local.errors import SmLocalError
from sm_local.plan import STAMP, Plan
from sm_local.request import shapes
from sm_local.script import Bash
from sm_local.verbs import planning
from sm_local.verbs import run as verb
from test_recipes import FUNCTIONS
from toolkit import Tree

TIMES = int(os.environ.get("FUZZ", "1"))


def fuzz(examples: int):
    """Return the settings of a test: no database, no deadline, the same examples in CI."""
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        print_blob=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.function_scoped_fixture,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )


# What is tried

PAYLOADS = [
    "$(touch canary)", "`touch canary`", "; touch canary;", "| touch canary", "&& touch canary &",
    "'; touch canary; '", '"; touch canary; "', "\n touch canary\n", "\\$(touch canary)",
    "${x:-$(touch canary)}", "$((a[$(touch canary)]))", "x'\"$(touch canary)\"'", "<(touch canary)",
    "*", "?", "~", "{a,b}", "!!", "#", "-", "--rm", "--privileged", "=", "a=b", " ", "", "\t", "\r",
    "\\", "\\\\", "\\'", "'", '"', "$", "$$", "$'\\n'", "%s%n", "\x1b[31m", "\x7f", "\x85",
    "\u2028", "é",
    "\U0001f600", "\ud800", "\udcff", "../../etc", "/", "//", "a b", "null", "true", "1e3",
    "<<: *a", "&a", "!!python/object/apply:os.system [touch canary]", "{{x}}", "<<cookiecutter.x>>",
]  # fmt: skip
TEXT = st.one_of(
    st.sampled_from(PAYLOADS),
    st.text(max_size=12),
    st.lists(st.sampled_from(PAYLOADS), max_size=4).map("".join),
    st.text(st.characters(), max_size=6),  # halves of characters too
)
WORD = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,10}", fullmatch=True)
NAMED = st.dictionaries(st.one_of(WORD, TEXT), TEXT, max_size=3)
ODD = st.one_of(TEXT, st.none(), st.booleans(), st.integers(), st.floats(), st.lists(TEXT))


def tree(name: str, depth: int = 3) -> st.SearchStrategy:
    """Return what makes values of one of the API's shapes, most of them almost right."""
    shape = shapes.SHAPES[name]
    kind = shapes.type_of(name)
    if not depth:
        return ODD
    if "members" in shape:
        members = {key: tree(one, depth - 1) for key, one in shape["members"].items()}
        chosen = st.lists(st.sampled_from(sorted(members)), max_size=3, unique=True)
        return chosen.flatmap(
            lambda keys: st.fixed_dictionaries({key: members[key] for key in keys})
        )
    if kind == "list":
        return st.lists(tree(shape["member"], depth - 1), max_size=3)
    if kind == "map":
        return NAMED
    if "enum" in shape:
        return st.one_of(st.sampled_from(shape["enum"]), TEXT)
    numbers = st.integers(-1, 5) | st.sampled_from([86_400, 1 << 31, 1 << 63])
    return {"integer": numbers, "float": numbers, "boolean": st.booleans()}.get(kind, TEXT | WORD)


# Fields in which text is free: what is put there mostly gets through.
FREE = {
    "HyperParameters": st.dictionaries(st.one_of(WORD, TEXT), TEXT, max_size=3),
    "Environment": st.dictionaries(st.from_regex(r"[a-zA-Z_]\w{0,5}", fullmatch=True), TEXT),
    "AlgorithmSpecification": st.fixed_dictionaries(
        {},
        optional={
            "ContainerEntrypoint": st.lists(TEXT, min_size=1, max_size=3),
            "ContainerArguments": st.lists(TEXT, min_size=1, max_size=3),
            "TrainingImage": WORD | TEXT,
        },
    ),
    "CheckpointConfig": st.fixed_dictionaries({"LocalPath": TEXT.map("/opt/{}".format)}),
    "TensorBoardOutputConfig": st.fixed_dictionaries({"LocalPath": TEXT.map("/opt/t{}".format)}),
    "InputDataConfig": st.lists(
        st.builds(
            matrix.s3,
            WORD,
            TEXT.map("s3://b/{}".format),
            st.sampled_from(["S3Prefix", "ManifestFile"]),
            st.sampled_from(["File", "FastFile", "Pipe"]),
        ),
        max_size=2,
        unique_by=lambda one: one["ChannelName"],
    ),
    "TrainingJobName": WORD | TEXT,
}
REQUESTS = st.builds(
    lambda base, free, odd: {**matrix.request(base), **free, **odd},
    st.sampled_from(sorted(matrix.JOBS)),
    st.fixed_dictionaries({}, optional=FREE),
    st.one_of(st.just({}), st.just({}), tree(shapes.TRAINING)),
)
ENGINES = st.sampled_from(["docker", "podman", "sandbox", "desktop"])


def written(body: dict, as_yaml: bool) -> str:
    """Return a request as JSON, or as YAML of the block kind; both escape what they must."""
    if not as_yaml:
        return json.dumps(body)
    return "".join(f"{json.dumps(key)}: {json.dumps(item)}\n" for key, item in body.items())


# How it is judged


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """Work in a project that has channels and nothing else."""
    matrix.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_lines(error: SmLocalError) -> None:
    """What is refused is refused in lines that a terminal shows as they are."""
    lines = shown(error)
    assert all(line.strip() and line.isprintable() for line in lines), lines
    assert all(len(line) < 1000 for line in lines), lines


def planned(engine: str, values: dict[str, str], command: dict[str, str]) -> Plan | None:
    """Return the plan of the project here; None if it is refused, as it should be."""
    facts = planning.engine_of(matrix.ENGINES[engine])
    try:
        return planning.make_plan("training", values, command, facts)
    except SmLocalError as error:
        assert_lines(error)
        return None


def check(engine: str, plan: Plan) -> None:
    """The recipe is Bash, and in it every word arrives that the plan has; nothing else runs."""
    where = planning.engine_of(matrix.ENGINES[engine])
    text = verb.run("train", plan, where).text().encode("utf-8", "surrogateescape")
    calls = arriving(text)
    assert not list(Path().glob("**/canary")), text
    configs = [call[1:] for call in calls if call[0] == "write_config"]
    wanted = [[*item] for one in plan.containers for item in one.files.items()]
    assert configs == [[at(word) for word in pair] for pair in wanted]
    starts = [call[1:] for call in calls if call[0] == "start_job"]
    assert len(starts) == len(plan.containers)
    for words, container in zip(starts, plan.containers):
        lines = where.run(plan, container)
        plain = [at(word) for line in lines for word in line if not isinstance(word, Bash)]
        assert is_within(plain, words), (plain, words)
        values = {**container.variables, **container.environment}
        assert {at(f"{key}={value}") for key, value in values.items()} <= {*words}
        tail = [*container.entrypoint[engine != "sandbox" :], *container.command]
        if engine == "sandbox" and not container.entrypoint:  # container/train, by its path here
            tail = []
        assert not tail or words[-len(tail) :] == [at(word) for word in tail]


def at(word: str) -> str:
    """Return a word as the stubs see it: they stamp jobs with -S."""
    return word.replace(STAMP, "-S")


def is_within(some: list[str], all_: list[str]) -> bool:
    """Return whether words are in a list, in their order."""
    rest = iter(all_)
    return all(word in rest for word in some)


STUBS = "".join(
    f'{name}() {{ printf "%s\\0" {name} "$#" "$@"; }}\n'
    for name in sorted(set().union(*FUNCTIONS.values()))
)
VARIABLES = (
    "at=AT dir=DIR job=JOB name=NAME stamp=-S built=BUILT recipe=RECIPE view=VIEW here=HERE\n"
    "switch= mounts=() limits=() sandbox=() credentials=() objects=() gpus=() terminal=()\n"
    "running=()\n"
)


def arriving(recipe: bytes) -> list[list[str]]:
    """Return the calls that a recipe makes, with stubs in the place of the library."""
    head, _, rest = recipe.partition(b"\nmain() {\n")
    assert b"source sm_local" in head
    text = b"set -u\n" + (STUBS + VARIABLES).encode() + b"main() {\n" + rest
    done = subprocess.run(
        ["bash", "--norc", "-s"], input=text, capture_output=True, timeout=60, check=False
    )
    assert not done.stderr, (done.stderr, recipe)
    words = done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
    calls = []
    while words:
        count = 2 + int(words[1])
        calls.append([words[0], *words[2:count]])
        words = words[count:]
    return calls


# The tests: requests


@fuzz(600)
@given(body=REQUESTS, as_yaml=st.booleans(), engine=ENGINES)
@example(body={"HyperParameters": {"\ud800": "1"}}, as_yaml=False, engine="docker")
@example(body={"Environment": {"A": "\udcff"}}, as_yaml=False, engine="docker")
def test_a_request_is_refused_or_arrives(place, body, as_yaml, engine):
    Path("job.yaml").write_text(written(body, as_yaml))
    plan = planned(engine, matrix.SETTINGS, {})
    if plan:
        check(engine, plan)


BROKEN = st.one_of(
    st.text(max_size=80),
    st.text("{}[]:,-&*!|>'\"%@`#?<~ \n\tabN01.", max_size=60),
    REQUESTS.map(json.dumps).flatmap(
        lambda text: st.integers(0, len(text)).map(lambda cut: text[:cut] + text[cut + 3 :])
    ),
    st.tuples(st.sampled_from(PAYLOADS), REQUESTS).map(lambda two: two[0] + json.dumps(two[1])),
    REQUESTS.map(repr),  # Python's, from a notebook
    REQUESTS.map(lambda body: f"client.create_training_job(**{body!r})"),
)


@fuzz(300)
@given(data=st.one_of(st.binary(max_size=40), BROKEN.map(lambda t: t.encode(errors="replace"))))
def test_any_file_is_refused_or_is_a_request(place, data):
    Path("job.yaml").write_bytes(data)
    plan = planned("docker", matrix.SETTINGS, {})
    if plan:
        check("docker", plan)


# Settings, and what is typed

LINES = st.one_of(
    st.tuples(st.sampled_from(sorted(setting.RULES)), TEXT).map("=".join),
    st.tuples(st.sampled_from(sorted(setting.RULES)), st.text(max_size=8)).map(" = ".join),
    st.builds("DOCKER_ARGS={}".format, TEXT.map(lambda text: f"--env 'A={text}'")),
    TEXT,
)


@fuzz(250)
@given(lines=st.lists(LINES, max_size=3), engine=ENGINES)
def test_settings_are_refused_or_arrive(place, lines, engine):
    Path("job.yaml").write_text("{}")
    path = Path("settings.env")
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        values = setting.read(Path(), {})
    except SmLocalError as error:
        assert_lines(error)
        return
    plan = planned(engine, {**values, "IMAGE": "churn:latest", "DLC": values["DLC"] or "a:1"}, {})
    if plan:
        check(engine, plan)


TYPED = st.one_of(
    TEXT,
    st.tuples(WORD, TEXT).map("=".join),
    st.tuples(WORD, TEXT).map(lambda two: f"{two[0]}='{two[1]}'"),
)


@fuzz(250)
@given(words=st.lists(TYPED, max_size=3).map(" ".join))
def test_hyperparameters_are_refused_or_arrive(place, words):
    Path("job.yaml").write_text("{}")
    plan = planned("docker", matrix.SETTINGS, {"HP": words})
    if plan:
        check("docker", plan)


FILE = Path("opt/ml/input/config/hyperparameters.json")
FILES_OF_HYPERPARAMETERS = st.one_of(
    NAMED.map(json.dumps),
    st.dictionaries(WORD, ODD, max_size=3).map(json.dumps),
    st.tuples(NAMED.map(json.dumps), st.integers(0, 40)).map(lambda two: two[0][: two[1]]),
    TEXT,
)


@fuzz(150)
@given(text=FILES_OF_HYPERPARAMETERS)
@example(text='{"\\ud800": "1"}')
@example(text='{"a": "\\ud800"}')
def test_a_file_of_hyperparameters_is_refused_or_arrives(place, text):
    Path("job.yaml").write_text("{}")
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_bytes(text.encode("utf-8", "surrogatepass"))
    plan = planned("docker", matrix.SETTINGS, {})
    if plan:
        check("docker", plan)


@fuzz(60)
@given(key=st.sampled_from(sorted(setting.RULES)), value=TEXT)
def test_typed_settings_are_refused_or_arrive(place, key, value):
    Path("job.yaml").write_text("{}")
    Path("settings.env").unlink(missing_ok=True)
    try:
        values = planning.read_settings({key: value})
    except SmLocalError as error:
        assert_lines(error)
        return
    plan = planned("docker", {**values, "IMAGE": "churn:latest", "DLC": "a:1"}, {key: value})
    if plan:
        check("docker", plan)


CHANNELS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@fuzz(100)
@given(name=st.one_of(WORD, CHANNELS, TEXT.filter(lambda t: t and "/" not in t)), engine=ENGINES)
def test_folders_of_channels_are_refused_or_arrive(place, name, engine):
    Path("job.yaml").write_text("{}")
    try:
        folder = Path("opt/ml/input/data") / name
        folder.mkdir()
    except (OSError, ValueError):
        return  # no file system here takes such a name
    try:
        if plan := planned(engine, matrix.SETTINGS, {}):
            check(engine, plan)
    finally:
        folder.rmdir()


# By the user's door

FOLDERS = [
    "with blank", "it's", 'say "hi"', "$(touch canary)", "`touch canary`", "a;touch canary", "a,b",
    "back\\slash", "tab\there", "-dash", "größe", "*", "[a]", "~", "=x", "percent%s", "{a,b}",
    "a:b", "a#b", "$HOME", "$$", "a&b", "a|b", "a<b", "(x)", "!x", "caret^",
]  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.linux
def test_a_project_of_any_name_has_a_recipe(project, tmp_path, name):
    moved = project.rename(tmp_path / name)
    done = make(moved, "recipe", "ENGINE=sandbox")
    assert "Traceback" not in done.stdout
    assert done.returncode == 0, done.stdout
    checked = subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=False)
    assert checked.returncode == 0
    listed = make(moved, "jobs", "JSON=1")
    assert json.loads(listed.stdout) == []
    assert not list(tmp_path.rglob("canary"))


JOB_NAMES = [
    "$(touch canary)", "a b.yaml", "it's.yaml", "-n", "--help", "/dev/null", "nowhere/x.yaml", "..",
    "*.yaml", "~", "", "\t", "job.yaml ", "opt", "é.yaml",
]  # fmt: skip


@pytest.mark.parametrize("name", JOB_NAMES)
@pytest.mark.linux
def test_any_job_file_is_refused_or_read(project, name):
    done = make(project, "recipe", "ENGINE=sandbox", f"JOB={name}")
    assert "Traceback" not in done.stdout
    if done.returncode:
        said = [line for line in done.stdout.splitlines() if not line.startswith("make: ")]
        assert said and all(line.startswith("sm-local: ") for line in said), done.stdout
    assert not list(project.rglob("canary"))


@pytest.mark.parametrize(
    "typed", ["HP=\x1b[31mred", "JOB=\x1b]0;title\x07", "SHM=\x7f", "HP=\u202eabc"]
)
@pytest.mark.linux
def test_no_value_moves_the_terminal_s_cursor(project, typed):
    done = make(project, "recipe", "ENGINE=sandbox", typed)
    assert done.returncode == 2
    assert [one for one in done.stdout if not one.isprintable() and one != "\n"] == []


FILES = [
    "it's",
    "a b",
    "$(touch canary)",
    "-rf",
    "--x",
    "é",
    "a\nb",
    "x\ntotal[$(>canary)]",
    "\\",
    '"',
    "*",
    "=",
    "\udcff",
]


@pytest.mark.linux
def test_files_of_any_name_are_kept_and_packed(project):
    """In code/, in a channel and in the model, in the sandbox, which runs everywhere."""
    for folder in ("code", "opt/ml/input/data/training"):
        for name in FILES:
            (project / folder / name).write_text(name.encode("utf-8", "replace").decode())
    (project / "code/train.py").write_text(
        "import os, shutil\nfor name in os.listdir(b'/opt/ml/input/data/training'):\n"
        "    shutil.copy(b'/opt/ml/input/data/training/' + name, b'/opt/ml/model/' + name)\n"
    )
    done = make(project, "train", "ENGINE=sandbox")
    assert done.returncode == 0, done.stdout
    model = (project / "opt/ml/model").resolve()
    assert {*FILES, "train.csv"} == {path.name for path in model.iterdir()}
    with tarfile.open(model.parent / "model.tar.gz") as archive:
        assert {*FILES, "train.csv"} == {*archive.getnames()}
    assert not list(project.rglob("canary"))


# The program that starts the script in an image of one's own


@fuzz(60)
@given(values=NAMED)
@example(values={"\ud800": "1"})
@example(values={"a": "\udcff"})
def test_train_refuses_hyperparameters_or_hands_them_on(tmp_path, values):
    tree = Tree(tmp_path / "ml")
    tree.code("import json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))")
    (tree.root / "input/config/hyperparameters.json").write_text(json.dumps(values))
    done = tree.run()
    assert "Traceback" not in done.err and not list(tmp_path.rglob("canary")), done
    if done.status:
        said = done.err.splitlines()
        assert said and all(line.startswith("train: ") for line in said), done
        assert tree.failure()
        return
    arguments, environment = json.loads(done.out)
    plain = {name: text for name, text in values.items() if not decodes(text)}
    wanted = {f"SM_HP_{name.upper()}": text for name, text in plain.items()}
    own = {name for name in environment if name.startswith("SM_HP_")}
    assert wanted.keys() <= own and {*wanted.values()} <= {environment[name] for name in own}
    assert {*plain.values()} <= {*arguments}


def decodes(text: str) -> bool:
    """Return whether a value is JSON, which `train` reads as such."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ("no devices", 0),
        ("{}", 0),
        ("[1]", 0),
        ('[{"nc_count": "x"}]', 0),
        ("\\377", 0),
        ('[{"nc_count": 2}, {}]', 2),
    ],
)
def test_what_neuron_ls_prints_is_a_number_or_nothing(tmp_path, said, count):
    tool = tmp_path / "neuron-ls"
    tool.write_text(f"#!/bin/sh\nprintf '{said}'\n")
    tool.chmod(0o755)
    tree = Tree(tmp_path / "ml")
    tree.code("import os\nprint(os.environ['SM_NUM_NEURONS'])")
    done = tree.run(PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (done.status, done.out) == (0, f"{count}\n"), done.err


# What is listed for programs


def test_jobs_of_any_name_are_json(project):
    for name in ['a"b', "back\\slash", "tab\there", "it's", "é"]:
        (project / "output" / name).mkdir()
        (project / "output" / name / "status").write_text("Completed 1\n")
    found = json.loads(make(project, "jobs", "JSON=1").stdout)
    assert {one["job"] for one in found} == {'a"b', "back\\slash", "tab\there", "it's", "é"}
    assert all(one["folder"] == f"output/{one['job']}" for one in found)
