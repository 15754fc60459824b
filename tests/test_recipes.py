"""Recipes: the option matrix through shellcheck, and values of every kind into the container.

The values arrive byte for byte.
"""

import csv
import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import matrix
import pytest
from conftest import TEMPLATE, clean_environment, last_job, make, script
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plans import planned, settled
from sm_local.errors import SmLocalError
from sm_local.kinds import job as jobs
from sm_local.verbs import planning, pull
from sm_local.verbs import run as verb

LIB = TEMPLATE / "sm_local/lib"


def combinations() -> list[tuple[str, str, str]]:
    """Return each job on each kind of engine, each option on those where it matters."""
    engines = ("docker", "desktop", "podman", "sandbox")
    gpus = ("docker", "docker-with-gpu", "podman", "sandbox")
    return [
        *itertools.product(engines, matrix.JOBS, ["defaults"]),
        *itertools.product(gpus, ["plain"], matrix.OPTIONS),
        *itertools.product(["docker-with-gpu"], ["two-hosts"], matrix.OPTIONS),
        ("docker", "from-s3", "manifests"),
        ("docker", "from-s3", "slices"),
        ("sandbox", "shards", "slices"),
        ("docker-cdi", "two-hosts", "split-gpus"),
        ("docker-cdi", "plain", "some-gpus"),
        ("rootless", "plain", "defaults"),
    ]


# What an engine refuses is said in the tests of its plans; here it is only counted.
REFUSED = {
    *(f"desktop/{job}/defaults" for job in ("from-s3", "groups", "pipe", "shards")),
    *(f"podman/plain/{option}" for option in ("credentials", "role")),
    *(f"sandbox/plain/{option}" for option in ("credentials", "limits", "role", "some-limits")),
    "docker-with-gpu/two-hosts/pdb",
    "sandbox/arguments/defaults",
    "sandbox/two-hosts/defaults",
}


@pytest.fixture(scope="module")
def recipes(tmp_path_factory) -> dict[str, str]:
    """Return the matrix's recipes by name: verb/engine/job/option."""
    folder, bare = tmp_path_factory.mktemp("matrix"), tmp_path_factory.mktemp("bare")
    texts, refused = {}, set()
    matrix.furnish(folder)
    with pytest.MonkeyPatch.context() as patch:
        for engine, job, option in combinations():
            patch.chdir(bare if job == "no-channels" else folder)
            name = f"{engine}/{job}/{option}"
            try:
                plain = (job, option) == ("plain", "defaults")
                for what in ("train", "shell", *(["debug"] if plain else [])):
                    texts[f"{what}/{name}"] = matrix.write(what, engine, job, option)
            except SmLocalError:
                refused.add(name)
    assert refused == REFUSED
    return {**texts, **other_recipes()}


def other_recipes() -> dict[str, str]:
    """Return the recipes that are not about a job."""
    recipes = {f"build/{engine}": matrix.write("build", engine) for engine in matrix.ENGINES}
    for name, facts in matrix.ENGINES.items():
        for region in ("", "us-west-2", "cn-north-1") if facts.has_images else ():
            recipe = pull.pull(matrix.SETTINGS, planning.engine_of(facts), region)
            recipes[f"pull-dlc/{name}/{region}"] = recipe.text()
    return recipes


def test_every_recipe_passes_shellcheck(recipes, tmp_path):
    """No exclusions; with what they source. Those that differ in values alone are checked once."""
    files = {}
    for name, text in recipes.items():
        shape = tuple(line.split()[0] for line in text.splitlines() if line.strip())
        shape = (*shape, *sources(text))
        files.setdefault(shape, re.sub(r"\W", "-", name) + ".sh")
        (tmp_path / files[shape]).write_text(text)
    (tmp_path / "sm_local").symlink_to(TEMPLATE / "sm_local")
    assert len(files) > 50
    done = subprocess.run(
        ["xargs", "-0", "-P", "4", "-n", "8", "shellcheck", "--norc", "-x", "--format=gcc"],
        input="\0".join(files.values()),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout + done.stderr == ""


# What a recipe sources

COMMENT = re.compile(r"(^|\s)#.*", re.MULTILINE)
DEFINED = re.compile(r"^(\w+)\(\)", re.MULTILINE)
BEFORE = r"(?:^|[;&|({!)`]|\b(?:then|do|else|if|elif|until|while|trap)\s+'?)\s*"


def functions_of(library: str) -> set[str]:
    """Return the names of the functions that a library defines."""
    return set(DEFINED.findall((LIB / f"{library}.sh").read_text()))


FUNCTIONS = {path.stem: functions_of(path.stem) for path in sorted(LIB.glob("*.sh"))}
CALL = re.compile(
    rf"{BEFORE}({'|'.join(sorted(set().union(*FUNCTIONS.values())))})(?=[\s;)'\"]|$)", re.MULTILINE
)


def calls(text: str) -> set[str]:
    """Return the library's functions that a text calls."""
    return set(CALL.findall(COMMENT.sub("", text)))


CALLED = {name: calls((LIB / f"{name}.sh").read_text()) for name in FUNCTIONS}


def sources(text: str) -> list[str]:
    """Return the libraries that a recipe sources."""
    return re.findall(r"^source sm_local/lib/(\w+)\.sh$", text, re.MULTILINE)


def main_of(text: str) -> str:
    """Return what a recipe's main() does."""
    return text.split("main() {\n")[1].split("\n}\n")[0]


def reached(text: str) -> set[str]:
    """Return the library's functions that main() may come to call, at first or second hand."""
    bodies = {}
    for library in sources(text):
        plain = COMMENT.sub("", (LIB / f"{library}.sh").read_text())
        for part in re.split(r"^(?=\w+\(\))", plain, flags=re.MULTILINE)[1:]:
            bodies[part.split("(")[0]] = part.partition("()")[2]
    found: set[str] = set()
    new = calls(main_of(text))
    while new:
        found |= new
        new = set().union(*(calls(bodies.get(name, "")) for name in new)) - found
    return found


def test_every_function_that_a_recipe_calls_is_in_what_it_sources(recipes):
    for name, text in recipes.items():
        defined = set().union(*(FUNCTIONS[library] for library in sources(text)))
        assert reached(text) - defined == set(), name


def test_no_recipe_sources_a_library_for_nothing(recipes):
    """But an engine's own file: a shell that overlays no channel calls nothing of Docker's.

    And environment, which has no functions."""
    kept = {"environment", *(facts.name for facts in matrix.ENGINES.values())}
    for name, text in recipes.items():
        here = sources(text)
        for library in {*here} - kept:
            others = [CALLED[other] for other in here if other != library]
            assert FUNCTIONS[library] & set().union(calls(main_of(text)), *others), (name, library)


def test_no_two_libraries_of_a_recipe_define_the_same_function(recipes):
    for name, text in recipes.items():
        names = [function for library in sources(text) for function in FUNCTIONS[library]]
        assert len(names) == len(set(names)), name


def test_a_plain_recipe_is_about_a_screen(recipes):
    assert len(main_of(recipes["train/docker/plain/defaults"]).splitlines()) <= 50


def test_no_recipe_evaluates_text_or_lets_docker_make_folders(recipes):
    texts = {path.name: path.read_text() for path in LIB.glob("*.sh")}
    for name, text in {**recipes, **texts}.items():
        plain = COMMENT.sub("", text)
        assert not re.search(r"\beval\b|--env-file|docker run .*(-v|--volume)\b", plain), name


def test_recipes_say_nothing_of_where_they_were_written(recipes):
    for name, text in recipes.items():
        assert str(TEMPLATE.parent) not in text and str(Path.home()) + "/" not in text, name


# Values

FAKE_DOCKER = """#!/bin/sh
# keeps what it was called with, a NUL behind each word, and runs nothing
case $1 in
  run) [ "$2" = --rm ] || exit 0
       printf '%s\\0' "$@" > "$KEEP/argv"
       while [ "$1" != --cidfile ]; do shift; done
       echo 0123456789ab > "$2" ;;
esac
"""
# ruamel makes one newline of \r\n, as YAML says
TEXT = st.text(st.characters(exclude_characters="\0\r", exclude_categories=("Cs",)), max_size=40)
LINE = st.text(
    st.characters(exclude_characters="\0\n\r\x85\u2028\u2029", exclude_categories=("Cs", "Cc")),
    max_size=40,
)
NAME = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,30}", fullmatch=True).filter(
    lambda name: not name.startswith(("AWS_", "TRAINING_", "DMLC_", "NVIDIA_"))
)
FOLDER = """a 'b" $HOME `c` \\d, e=f;*?~"""
HOSTILE = [
    "",
    " ",
    "$HOME `id` $(id) ${x}",
    "'",
    '"',
    'it\'s "quoted"',
    "a\nb\n",
    "\\",
    "\\n",
    "=",
    "a=b=c",
    "*",
    "~",
    "!!",
    "#",
    "--flag",
    "%s",
    "\t",
    "é😀",
    "${job}",
]


BUILT = "sha256:" + 8 * "0123abcd"


class Workplace:
    """A project in a folder with a name of all sorts, and a docker that only listens."""

    def __init__(self, top: Path):
        self.top, self.root = top, top / FOLDER
        shutil.copytree(TEMPLATE / "opt", self.root / "opt")
        (self.root / "code").mkdir()
        (self.root / "recipes").mkdir()
        (self.root / "recipes/.built-docker").write_text(f"{BUILT} churn:latest\n")
        self.library = self.root / "sm_local"
        self.library.symlink_to(TEMPLATE / "sm_local")
        (top / "docker").write_text(FAKE_DOCKER)
        (top / "docker").chmod(0o755)

    def write(self, request: dict, **values: str) -> str:
        """Return a request's recipe."""
        (self.root / "job.json").write_text(json.dumps(request))
        job = jobs.load(self.root, settled(**values), {"JOB": "job.json"})
        facts = matrix.ENGINES["docker"]
        return verb.run("train", planned(job, facts), planning.engine_of(facts)).text()

    def run(self, text: str) -> tuple[list[str], Path]:
        """Run a recipe; return what docker was called with, and the job's folder."""
        (self.root / "recipe.sh").write_text(text)
        done = subprocess.run(
            ["bash", "recipe.sh"],
            cwd=self.root,
            env=clean_environment(PATH=f"{self.top}:{os.environ['PATH']}", KEEP=str(self.top)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        argv = (self.top / "argv").read_bytes().decode()[:-1].split("\0")
        folders = (self.root / "output").glob("[!.]*")
        return argv, max(folders, key=lambda one: one.stat().st_mtime_ns)

    def __call__(self, request: dict, **values: str) -> tuple[list[str], Path]:
        """Run a request's recipe; return the same."""
        return self.run(self.write(request, **values))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("w"))


def after(argv: list[str], option: str) -> list[str]:
    """Return the words behind every occurrence of an option."""
    return [word for flag, word in itertools.pairwise(argv) if flag == option]


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    environment=st.dictionaries(NAME, TEXT, max_size=4),
    hyperparameters=st.dictionaries(LINE.filter(bool), LINE, max_size=4),
    entrypoint=st.lists(LINE, min_size=1, max_size=3).filter(lambda words: words[0]),
    arguments=st.lists(LINE, min_size=1, max_size=3),
)
@example(
    environment={f"E{n}": value for n, value in enumerate(HOSTILE)},
    hyperparameters={value: value for value in HOSTILE if value and "\n" not in value},
    entrypoint=["$sh"],
    arguments=[value for value in HOSTILE if "\n" not in value],
)
def test_values_reach_docker_as_they_are(
    workplace, environment, hyperparameters, entrypoint, arguments
):
    argv, folder = workplace(
        {
            "Environment": environment,
            "HyperParameters": hyperparameters,
            "AlgorithmSpecification": {
                "ContainerEntrypoint": entrypoint,
                "ContainerArguments": arguments,
            },
        }
    )
    given_ = dict(word.split("=", 1) for word in after(argv, "--env"))
    assert {name: given_.get(name) for name in environment} == environment
    assert after(argv, "--entrypoint") == entrypoint[:1]
    assert argv[argv.index(BUILT) + 1 :] == [*entrypoint[1:], *arguments]
    assert json.loads((folder / "config/hyperparameters.json").read_text()) == hyperparameters


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(words=st.lists(LINE, max_size=4))
@example(words=[value for value in HOSTILE if "\n" not in value])
def test_docker_args_are_split_as_a_shell_would(workplace, words):
    import shlex

    given_ = [part for word in words for part in ("--env", word)]
    argv, _ = workplace({}, DOCKER_ARGS=shlex.join(["--label", "begin", *given_, "--label", "end"]))
    begin = len(argv) - argv[::-1].index("begin")
    assert argv[begin : argv.index("end", begin) - 1] == given_


@pytest.mark.parametrize("mode", ["ro", "rw", "cow"])
def test_a_mount_of_a_folder_with_any_name_is_one_field(workplace, mode):
    argv, folder = workplace({}, CHANNELS=mode)
    mounts = [next(csv.reader([word])) for word in after(argv, "--mount")]
    sources = {
        dict(field.partition("=")[::2] for field in mount)["target"]: mount for mount in mounts
    }
    training = sources["/opt/ml/input/data/training"]
    root = folder.parent.parent
    if mode == "cow":
        (options,) = [field for field in training if field.startswith("volume-opt=o=")]
        assert re.sub(r"\\(.)", r"\1", options).startswith(
            f"volume-opt=o=lowerdir={root}/opt/ml/input/data/training,"
        )
    else:
        assert f"source={root}/opt/ml/input/data/training" in training and (
            "readonly" in training
        ) == (mode == "ro")
    assert f"source={folder}/model" in sources["/opt/ml/model"]


def full(recipe: Path) -> str:
    """Return a recipe with its library in it, as `make recipe FULL=1` prints it."""
    done = subprocess.run(
        ["sh", "sm_local/libexec/full.sh", recipe.name],
        cwd=recipe.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_full_recipe_has_its_library_in_it(recipes, tmp_path):
    (tmp_path / "sm_local").symlink_to(TEMPLATE / "sm_local")
    for name, text in recipes.items():
        (tmp_path / "recipe.sh").write_text(text)
        whole = full(tmp_path / "recipe.sh")
        assert not re.search(r"^\s*(source|\.)\s", whole, re.MULTILINE), name
        assert set(DEFINED.findall(whole)) >= reached(text) | {"main"}, name
        done = subprocess.run(["bash", "-n"], input=whole, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), name


def test_a_full_recipe_does_the_same_without_the_library(workplace):
    """The names of the job, its process and its folder are all that differs."""

    def run(text: str) -> list[str]:
        argv, folder = workplace.run(text)
        stamp = re.search(r"-\d{8}-\d{6}.*", folder.name)[0]
        return [re.sub(rf"{stamp}(-\d+(?=-algo))?|recipe=.*", "", word) for word in argv]

    sourced = workplace.write({"Environment": {"A": "it's $x"}})
    expected = run(sourced)
    whole = full(workplace.root / "recipe.sh")
    workplace.library.unlink()
    try:
        assert run(whole) == expected
    finally:
        workplace.library.symlink_to(TEMPLATE / "sm_local")


@pytest.mark.engine
def test_hostile_values_reach_a_real_container(project, built):
    place = project.parent / FOLDER.replace("*?", "")
    shutil.move(project, place)
    environment = {f"E{n}": value for n, value in enumerate(HOSTILE)}
    arguments = [value for value in HOSTILE if "\n" not in value]
    hyperparameters = {f"h{value}": value for value in arguments}
    (place / "job.yaml").write_text(
        json.dumps(
            {
                "Environment": environment,
                "HyperParameters": hyperparameters,
                "AlgorithmSpecification": {
                    "ContainerEntrypoint": ["python3", "/opt/ml/code/train.py"],
                    "ContainerArguments": arguments,
                },
            }
        )
    )
    script(
        place,
        """
import json
seen = {"argv": sys.argv[1:], "environment": dict(os.environ)}
seen["hyperparameters"] = json.load(open("/opt/ml/input/config/hyperparameters.json"))
seen["data"] = os.listdir("/opt/ml/input/data/training")
json.dump(seen, open("/opt/ml/model/seen.json", "w"))
""",
    )
    done = make(place, "train", "ENGINE=docker")
    assert done.returncode == 0, done.stdout
    seen = json.loads((last_job(place) / "model/seen.json").read_text())
    assert seen["argv"] == arguments
    assert {name: seen["environment"].get(name) for name in environment} == environment
    assert seen["hyperparameters"] == hyperparameters and seen["data"] == ["train.csv"]
