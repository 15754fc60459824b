"""Recipes: the whole option matrix through shellcheck, and values of every kind through a recipe into the container, byte for byte."""

import csv
import itertools
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TEMPLATE, clean_environment, last_job, make, script
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sm_local import recipe
from sm_local.kinds import job as jobs
from sm_local.kinds.job import Channel, Host
from sm_local.machine import AVAILABLE, Engine, Gpu
from test_contract import JOB, SETTINGS, hosts, settled

ENGINES = {
    "docker": Engine("docker", "28.2.2", owns_files=True, arch="x86_64", cpus=8),
    "docker-with-gpu": Engine(
        "docker",
        "28.2.2",
        owns_files=True,
        cpus=8,
        gpu=Gpu(AVAILABLE, "runtime 'nvidia'", "gpus", 4),
    ),
    "docker-cdi": Engine(
        "docker", "28.2.2", owns_files=True, cpus=8, gpu=Gpu(AVAILABLE, "CDI", "cdi", 4)
    ),
    "desktop": Engine("docker", "28.2.2", desktop=True, arch="arm64", cpus=8),
    "rootless": Engine("docker", "28.2.2", cpus=8),
    "podman": Engine("podman", "5.2", cpus=8),
    "sandbox": Engine("sandbox", "6.1"),
}
PIPED = Channel(
    "stream",
    "opt/ml/input/data/stream",
    "Pipe",
    s3_uri="s3://b/p/m.jsonl",
    s3_type="AugmentedManifestFile",
    seed=3,
    compression="Gzip",
    record_wrapper="RecordIO",
    attributes=("a-ref", "b"),
    distribution="ShardedByS3Key",
)
JOBS = {
    "plain": JOB,
    "no-channels": replace(JOB, channels=()),
    "checkpoints": replace(JOB, checkpoints="/opt/ml/checkpoints"),
    "dlc": replace(JOB, image="sm-local/dlc/pytorch:2.13", source="dlc"),
    "other-image": replace(JOB, image="busybox", source="other"),
    "entrypoint": replace(
        JOB, entrypoint=("/bin/sh", "-c", "echo $HOME; it's"), arguments=("a b", "")
    ),
    "arguments": replace(JOB, arguments=("x", "$(y)")),
    "isolated": replace(JOB, isolated=True),
    "from-s3": replace(
        JOB,
        channels=(
            Channel("a", "", s3_uri="s3://b/p q/it's"),
            Channel("b", "", "FastFile", s3_uri="s3://b/p/"),
            Channel("c", "", s3_uri="s3://b/m", s3_type="ManifestFile"),
            replace(PIPED, folder=""),
        ),
    ),
    "fast-file": replace(JOB, channels=(replace(JOB.channels[0], mode="FastFile"),)),
    "pipe": replace(JOB, channels=(*JOB.channels, PIPED)),
    "two-hosts": replace(JOB, hosts=hosts(2), checkpoints="/state"),
    "groups": replace(
        JOB,
        hosts=(Host("algo-1", "a", "ml.g5.xlarge"), Host("algo-2", "b", "ml.c5.xlarge")),
        channels=(
            *JOB.channels,
            Channel("extra", "opt/ml/input/data/extra", groups=("b",)),
            replace(PIPED, groups=("a",)),
        ),
    ),
    "notes": replace(JOB, notes=("it's $x",)),
    "role": replace(JOB, request={"RoleArn": "arn:aws:iam::111122223333:role/r"}),
}
OPTIONS = {
    "defaults": {},
    "no-gpu": {"GPU": "none"},
    "some-gpus": {"GPU": "0,1"},
    "read-only": {"CHANNELS": "ro"},
    "read-write": {"CHANNELS": "rw"},
    "baked": {"CODE": "baked"},
    "mounted": {"CODE": "mount"},
    "own-network": {"NETWORK": "own"},
    "limits": {"LIMITS": "on"},
    "pack": {"PACK": "always"},
    "no-pack": {"PACK": "never"},
    "platform": {"PLATFORM": "linux/arm64"},
    "docker-args": {"DOCKER_ARGS": "--env 'A=b c' --publish 127.0.0.1:1:1"},
    "split-gpus": {"HOST_GPUS": "split"},
    "mps": {"HOST_GPUS": "mps"},
    "credentials": {"CREDENTIALS": "session"},
    "role": {"CREDENTIALS": "role"},
    "files-of-2020": {"CONFIG_FILES": "2020"},
    "manifests": {"MANIFESTS": "on"},
}


def matrix() -> dict[str, str]:
    """Return the recipes: each job on each kind of engine, each option on those where it matters."""
    chosen = [
        (engine, job, "defaults")
        for engine, job in itertools.product(("docker", "desktop", "podman", "sandbox"), JOBS)
    ]
    chosen += [
        (engine, "plain", option)
        for engine, option in itertools.product(
            ("docker", "docker-with-gpu", "podman", "sandbox"), OPTIONS
        )
    ]
    chosen += [("docker-with-gpu", "two-hosts", option) for option in OPTIONS]
    chosen += [("docker", "from-s3", "manifests")]
    chosen += [
        ("docker-cdi", "two-hosts", "split-gpus"),
        ("docker-cdi", "plain", "some-gpus"),
        ("rootless", "plain", "defaults"),
    ]
    recipes = {}
    for engine, name, option in chosen:
        job = replace(
            JOBS[name],
            settings=settled(**OPTIONS[option]),
            request={"RoleArn": "arn:aws:iam::1:role/r", "CheckpointConfig": {}},
        )
        recipes[f"train/{engine}/{name}/{option}"] = recipe.train(job, ENGINES[engine])
        recipes[f"shell/{engine}/{name}/{option}"] = recipe.shell(job, ENGINES[engine])
    for name, engine in ENGINES.items():
        recipes[f"build/{name}"] = recipe.build(settled(PLATFORM="linux/amd64"), engine)
        for region in ("", "us-west-2", "cn-north-1") if engine.name != "sandbox" else ():
            recipes[f"pull-dlc/{name}/{region}"] = recipe.pull_dlc(SETTINGS, engine, region)
    return recipes


@pytest.fixture(scope="module")
def recipes() -> dict[str, str]:
    return matrix()


def test_every_recipe_passes_shellcheck(recipes, tmp_path):
    """No exclusions. Texts that differ in values alone are checked once, and a shell's when train's was not the same but for its end."""
    files = {}
    for name, text in recipes.items():
        if name.startswith("shell/") and not name.endswith("/defaults"):
            continue
        files.setdefault(text, re.sub(r"\W", "-", name) + ".sh")
    for text, name in files.items():
        (tmp_path / name).write_text(text)
    assert len(files) > 100
    done = subprocess.run(
        ["xargs", "-0", "-P", "4", "-n", "8", "shellcheck", "--norc", "--format=gcc"],
        input="\0".join(files.values()),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout + done.stderr == ""


def test_every_function_is_carried_by_some_recipe_and_none_for_nothing(recipes):
    known = {
        name
        for path in (TEMPLATE / "sm_local/lib").glob("*.sh")
        for name in recipe.split_functions(path.read_text())[1]
    }
    carried: set[str] = set()
    for name, text in recipes.items():
        here = set(re.findall(r"^(\w+)\(\) \{", text, re.MULTILINE)) - {"main"}
        idle = {
            function
            for function in here
            if len(
                re.findall(
                    rf"(?<![\w-]){function}(?![\w-])",
                    re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE),
                )
            )
            < 2
        }
        assert idle == set(), name
        carried |= here
    assert known - carried == BESIDE_RECIPES


BESIDE_RECIPES: set[str] = set()


def test_a_plain_recipe_is_about_a_screen(recipes):
    body = recipes["train/docker/plain/defaults"].split("main() {\n")[1].split("\n}\n")[0]
    assert len(body.splitlines()) <= 45


def test_no_recipe_evaluates_text_or_lets_docker_make_folders(recipes):
    for name, text in recipes.items():
        plain = re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE)
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
TEXT = st.text(
    st.characters(exclude_characters="\0\r", exclude_categories=("Cs",)), max_size=40
)  # ruamel makes one newline of \r\n, as YAML says
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


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Return a function that runs a request's recipe in a folder with a name of all sorts, and gives what docker was called with."""
    top = tmp_path_factory.mktemp("w")
    root = top / FOLDER
    shutil.copytree(TEMPLATE / "opt", root / "opt")
    shutil.copytree(TEMPLATE / "sm_local/lib", root / "sm_local/lib")
    (root / "code").mkdir()
    (top / "docker").write_text(FAKE_DOCKER)
    (top / "docker").chmod(0o755)
    environment = clean_environment(PATH=f"{top}:{os.environ['PATH']}", KEEP=str(top))

    def run(request: dict, **values: str) -> tuple[list[str], Path]:
        (root / "job.json").write_text(json.dumps(request))
        job = jobs.load(root, settled(**values), {"JOB": "job.json"})
        (root / "recipe.sh").write_text(recipe.train(job, ENGINES["docker"]))
        done = subprocess.run(
            ["bash", "recipe.sh"],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return (top / "argv").read_bytes().decode()[:-1].split("\0"), max(
            (root / "output").iterdir(), key=lambda path: path.stat().st_mtime_ns
        )

    return run


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
    assert argv[argv.index("churn:latest") + 1 :] == [*entrypoint[1:], *arguments]
    assert json.loads((folder / "config/hyperparameters.json").read_text()) == hyperparameters


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(words=st.lists(LINE, max_size=4))
@example(words=[value for value in HOSTILE if "\n" not in value])
def test_docker_args_are_split_as_a_shell_would(workplace, words):
    import shlex

    argv, _ = workplace({}, DOCKER_ARGS=shlex.join(["--label", "begin", *words, "--label", "end"]))
    begin = len(argv) - argv[::-1].index("begin")
    assert argv[begin : argv.index("end", begin) - 1] == words


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
seen = {"argv": sys.argv[1:], "environment": dict(os.environ), "hyperparameters": json.load(open("/opt/ml/input/config/hyperparameters.json")),
        "data": os.listdir("/opt/ml/input/data/training")}
json.dump(seen, open("/opt/ml/model/seen.json", "w"))
""",
    )
    done = make(place, "train", "ENGINE=docker")
    assert done.returncode == 0, done.stdout
    seen = json.loads((last_job(place) / "model/seen.json").read_text())
    assert seen["argv"] == arguments
    assert {name: seen["environment"].get(name) for name in environment} == environment
    assert seen["hyperparameters"] == hyperparameters and seen["data"] == ["train.csv"]
