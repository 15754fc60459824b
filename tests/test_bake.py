"""Baking: with cookiecutter alone, from a checkout and from git.

The answers, the hooks, what is in the project, and what git sees of it.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO, TEMPLATE, bake, clean_environment, make

ANSWERS = json.loads((REPO / "cookiecutter.json").read_text())
RENDERED = {"job.yaml", "settings.env", "README.md", ".sm-local.json"}
NO_GPU = (
    "GPU       not found (neither runtime 'nvidia' nor a CDI device nor NVIDIA's hook); "
    "jobs run on the CPU"
)
GET_AWS = "get v2: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
RUNTIMES = {"runc": {"path": "runc"}}
INFO = {
    "ServerVersion": "28.2.2",
    "OperatingSystem": "Debian",
    "Architecture": "x86_64",
    "NCPU": 4,
    "DockerRootDir": "/nonexistent",
    "Runtimes": RUNTIMES,
}


@pytest.fixture(scope="session", params=["2.7.1", "2.6.0"])
def cookiecutter_alone(request, tmp_path_factory) -> Path:
    """Return the `cookiecutter` of an environment that has nothing else: newest, then oldest."""
    venv = tmp_path_factory.mktemp("cookiecutter") / "venv"
    subprocess.run(
        [sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, venv],
        check=True,
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            venv / "bin/python",
            f"cookiecutter=={request.param}",
        ],
        check=True,
    )
    return venv / "bin/cookiecutter"


@pytest.fixture(scope="session")
def newest(tmp_path_factory) -> Path:
    """Return this environment's cookiecutter."""
    return Path(sys.prefix) / "bin/cookiecutter"


@pytest.fixture
def machine(tmp_path):
    """Return a function that makes a PATH of the usual tools plus these shell scripts."""

    def path(**programs: str) -> str:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for tool in ("sh", "bash", "git", "uname", "env", "cat", "sleep"):
            if shutil.which(tool) and not (folder / tool).exists():
                (folder / tool).symlink_to(shutil.which(tool))
        for name, body in programs.items():
            (folder / name.replace("_", "-")).write_text(f"#!/bin/sh\n{body}\n")
            (folder / name.replace("_", "-")).chmod(0o755)
        return str(folder)

    return path


def docker_that_says(info: dict, status: int = 0, error: str = "") -> str:
    return f"cat <<'INFO'\n{json.dumps(info)}\nINFO\necho '{error}' >&2\nexit {status}"


def aws_that_says(text: str, stream: int = 1) -> str:
    return f"echo '{text}' >&{stream}"


def command(
    program: Path, folder: Path, *arguments: str, path: str = "", template: str = str(REPO)
) -> subprocess.CompletedProcess:
    """Run the real cookiecutter command as someone without a terminal would."""
    config = folder / "config.yaml"
    config.write_text(f"cookiecutters_dir: {folder}/templates\nreplay_dir: {folder}/replay\n")
    environment = clean_environment(
        COOKIECUTTER_CONFIG=str(config),
        HOME=str(folder),
        **({"PATH": path, "DOCKER_HOST": ""} if path else {}),
    )
    return subprocess.run(
        [program, template, "--no-input", "--output-dir", folder / "out", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the mode and content of every file, by path."""
    return {
        str(path.relative_to(folder)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


# A bake


def test_with_cookiecutter_and_nothing_else(cookiecutter_alone, tmp_path, machine):
    done = command(cookiecutter_alone, tmp_path, path=machine())
    assert done.returncode == 0, done.stderr
    where = os.path.relpath(tmp_path.resolve() / "out" / "my-model")
    assert done.stdout.endswith(
        f"\nmy-model is ready:  cd {where} && make build && make train"
        "      (make help: all verbs)\n"
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["my-model"]


def test_from_a_git_repository(newest, tmp_path, machine):
    clone = tmp_path / "sm-local"
    shutil.copytree(
        REPO,
        clone,
        ignore=shutil.ignore_patterns("build", ".git", "__pycache__", ".venv", ".hypothesis"),
    )
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "all"],
    ):
        subprocess.run(["git", *words], cwd=clone, check=True)
    done = command(newest, tmp_path, "project=churn", template=f"file://{clone}", path=machine())
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "out/churn").keys() == tree(TEMPLATE).keys()
    address = "https://me:hunter2@git.test/sm-local.git"
    instead = f'[url "file://{clone}"]\n\tinsteadOf = {address}\n'
    (tmp_path / ".gitconfig").write_text(instead)
    done = command(newest, tmp_path, "project=other", template=address, path=machine())
    assert done.returncode == 0, done.stderr
    record = (tmp_path / "out/other/.sm-local.json").read_text()
    assert '"template": "https://git.test/sm-local.git"' in record and "hunter2" not in record


def test_three_files_are_rendered_and_all_others_copied(tmp_path):
    project, source = tree(bake(tmp_path, project="churn", accept_hooks=False)), tree(TEMPLATE)
    assert project.keys() == source.keys()
    assert {name for name in project if project[name][1] != source[name][1]} == RENDERED
    assert {name for name in project if project[name][0] != source[name][0]} == set()
    assert [
        name
        for name in RENDERED
        if b"<<" in project[name][1] or b"cookiecutter" in project[name][1]
    ] == []


def test_answers_stand_in_the_settings(tmp_path):
    given = {
        "project": "churn",
        "region": "eu-central-1",
        "dlc": "huggingface-pytorch-training:2.1",
        "base_image": "localhost:5000/x/y:1",
        "gpu": "none",
    }
    lines = (bake(tmp_path, **given) / "settings.env").read_text().splitlines()
    assert {
        "IMAGE=churn:latest",
        "REGION=eu-central-1",
        "DLC=huggingface-pytorch-training:2.1",
        "BASE_IMAGE=localhost:5000/x/y:1",
        "GPU=none",
    } <= {*lines}


def test_there_are_at_most_six_questions_and_each_says_what_it_wants():
    questions = {key for key in ANSWERS if not key.startswith("_")}
    assert len(questions) <= 6 and questions == ANSWERS["__prompts__"].keys()


def test_the_regions_are_those_of_the_table():
    rows = (TEMPLATE / "sm_local/registries.tsv").read_text().splitlines()
    assert ANSWERS["_regions"] == [
        row.split("\t")[0] for row in rows if row and not row.startswith(("#", "region"))
    ]


# Bad answers


@pytest.mark.parametrize(
    "name",
    [
        "My Model",
        "../x",
        'a"; rm -rf ~; "',
        "-x",
        "modèle",
        "a" * 41,
        "",
        "a--b",
        "''' + 1",
        "{{7*7}}",
        "$(id)",
        "a\nb",
    ],
)
def test_a_project_name_that_will_not_do_is_refused_before_anything_is_made(newest, tmp_path, name):
    done = command(newest, tmp_path, f"project={name}")
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        f"sm-local: project is {name!r}; write lower-case letters, digits and single hyphens, "
        "at most 40, such as churn-model"
    )
    assert not any((tmp_path / "out").glob("**/*")) and sorted(tmp_path.glob("*.py")) == []


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        pytest.param(
            "region=us-west-3",
            "region is 'us-west-3'; did you mean us-west-2 or us-west-1 or eu-west-3?",
            id="near",
        ),
        pytest.param("region=mars", "region is 'mars'; write one such as us-west-2", id="far"),
        pytest.param(
            "dlc=pytorch",
            "dlc is 'pytorch'; write an image name with a tag, such as python:3.12-slim",
            id="dlc",
        ),
        pytest.param(
            "base_image=two words",
            "base_image is 'two words'; write an image name with a tag, such as python:3.12-slim",
            id="base",
        ),
    ],
)
def test_other_answers_that_will_not_do(newest, tmp_path, answer, line):
    done = command(newest, tmp_path, answer)
    assert done.returncode != 0 and done.stderr.splitlines()[0] == f"sm-local: {line}"
    assert not any((tmp_path / "out").glob("**/*"))


# What the hook says about the machine


def report(newest, tmp_path, path: str, *answers: str) -> list[str]:
    done = command(newest, tmp_path, *answers, path=path)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_no_aws(newest, tmp_path, machine):
    lines = report(newest, tmp_path, machine(docker=docker_that_says(INFO), dockerd="exit 1"))
    assert lines[:3] == [
        "engine    docker 28.2.2 answers",
        NO_GPU,
        (
            "AWS CLI   none on PATH; only 'make pull-dlc REGION=…' needs it (SSO login exists "
            f"in v2 alone); {GET_AWS}"
        ),
    ]


def test_variables_of_the_shell_are_no_settings(newest, tmp_path, machine, monkeypatch):
    for name, value in {
        "PLATFORM": "ubuntu",
        "ENGINE": "unity",
        "CODE": "42",
        "GPU": "required",
        "MAKELEVEL": "1",
    }.items():
        monkeypatch.setenv(name, value)
    assert report(newest, tmp_path, machine(docker=docker_that_says(INFO), dockerd="exit 1"))[
        :2
    ] == ["engine    docker 28.2.2 answers", NO_GPU]


def test_v1_first_on_path_and_v2_behind_it(newest, tmp_path, machine):
    path = machine(aws=aws_that_says("aws-cli/1.46.3 Python/3.11.7 Linux/6.18 botocore/1.43.62"))
    later = tmp_path / "later"
    later.mkdir()
    (later / "aws").write_text(
        "#!/bin/sh\necho 'aws-cli/2.36.7 Python/3.11.7 Linux/6.18 exe/x86_64.debian.12'\n"
    )
    (later / "aws").chmod(0o755)
    lines = report(newest, tmp_path, f"{path}:{later}")
    assert (
        f"AWS CLI   1.46.3 at {path}/aws is v1 and first on PATH; 'make pull-dlc' takes v2 "
        f"at {later}/aws"
    ) in lines


def test_v1_alone_on_stderr(newest, tmp_path, machine):
    path = machine(
        aws=aws_that_says("aws-cli/1.10.46 Python/2.7.11 Darwin/15.6.0 botocore/1.4.36", 2)
    )
    assert (
        f"AWS CLI   1.10.46 at {path}/aws is not v2, which 'make pull-dlc REGION=…' needs "
        f"(SSO login exists in v2 alone); {GET_AWS}"
    ) in report(newest, tmp_path, path)


def test_v2(newest, tmp_path, machine):
    path = machine(aws=aws_that_says("aws-cli/2.0.0 Python/3.8.1 Darwin/19.3.0 botocore/2.0.0dev4"))
    assert f"AWS CLI   2.0.0 at {path}/aws" in report(newest, tmp_path, path)


def test_an_engine_that_is_down(newest, tmp_path, machine):
    error = (
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker "
        "daemon running?"
    )
    path = machine(
        docker=docker_that_says(
            {"ServerVersion": "", "Runtimes": None, "ServerErrors": [error]}, 1, error
        ),
        dockerd="exit 1",
    )
    start = (
        "open Docker Desktop"
        if sys.platform == "darwin"
        else "start it ('sudo systemctl start docker')"
    )
    lines = report(newest, tmp_path, path)
    assert lines[:2] == [
        (
            f"engine    docker: does not answer ({error.rstrip('.')}); {start}, or train "
            "without: ENGINE=sandbox"
        ),
        "GPU       unknown: docker does not answer",
    ]


def test_an_nvidia_runtime(newest, tmp_path, machine):
    path = machine(
        docker=docker_that_says(
            {**INFO, "Runtimes": {**RUNTIMES, "nvidia": {"path": "nvidia-container-runtime"}}}
        ),
        dockerd="exit 1",
    )
    assert report(newest, tmp_path, path)[:2] == [
        "engine    docker 28.2.2 answers",
        (
            "GPU       looks available (runtime 'nvidia'); flag --gpus; only a run proves it: "
            "make shell, then nvidia-smi"
        ),
    ]


def test_no_gpu_runtime(newest, tmp_path, machine):
    nearly = {**RUNTIMES, "nvidia-cdi": {"path": "x"}}
    assert (
        report(
            newest,
            tmp_path,
            machine(docker=docker_that_says({**INFO, "Runtimes": nearly}), dockerd="exit 1"),
        )[1]
        == NO_GPU
    )


def test_a_gpu_that_is_required_and_not_there_stops_the_bake(newest, tmp_path, machine):
    done = command(
        newest,
        tmp_path,
        "gpu=required",
        path=machine(docker=docker_that_says(INFO), dockerd="exit 1"),
    )
    assert done.returncode != 0
    assert done.stderr.splitlines()[:2] == [
        "sm-local: GPU=required, but the GPU runtime is not found "
        "(neither runtime 'nvidia' nor a CDI device nor NVIDIA's hook); "
        "install the NVIDIA Container Toolkit, or set GPU=auto",
        "sm-local: not baked: gpu=required; answer gpu=auto to bake it anyway",
    ]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_gpu_that_is_required_and_there(newest, tmp_path, machine):
    runtimes = {**RUNTIMES, "nvidia": {"path": "nvidia-container-runtime"}}
    report(
        newest,
        tmp_path,
        machine(docker=docker_that_says({**INFO, "Runtimes": runtimes}), dockerd="exit 1"),
        "gpu=required",
    )
    assert "GPU=required" in (tmp_path / "out/my-model/settings.env").read_text().splitlines()


def test_programs_that_hang_do_not_hang_the_bake(newest, tmp_path, machine):
    lines = report(newest, tmp_path, machine(aws="sleep 60"))
    assert any(line.startswith("AWS CLI   of unknown version at ") for line in lines)


# The project


def test_hooks_can_be_refused(newest, tmp_path, machine):
    done = command(newest, tmp_path, "--accept-hooks=no", path=machine())
    assert (done.returncode, done.stdout) == (0, "")
    assert "train " in make(tmp_path / "out/my-model", "help").stdout


@pytest.mark.linux
def test_a_project_baked_without_hooks_trains(tmp_path):
    project = bake(tmp_path, project="churn", accept_hooks=False)
    done = make(project, "train", "ENGINE=sandbox", timeout=240)
    assert done.returncode == 0 and (project / "opt/ml/model/model.json").exists(), done.stdout


def test_git_sees_what_a_person_wants_to_commit(tmp_path):
    project = bake(tmp_path, project="churn", accept_hooks=False)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)

    def seen() -> list[str]:
        subprocess.run(["git", "add", "-A"], cwd=project, check=True)
        return sorted(
            subprocess.run(
                ["git", "ls-files"], cwd=project, capture_output=True, text=True, check=True
            ).stdout.splitlines()
        )

    before = seen()
    assert before == sorted(tree(TEMPLATE))
    for name in (
        "output/job-1/model.tar.gz",
        "output/job-1/log",
        "recipes/train.sh",
        "recipes/.state",
        "sm_local/.venv/ready",
        "sm_local/__pycache__/x.pyc",
        "opt/ml/checkpoints/c",
        "settings.local.env",
        "code/__pycache__/x.pyc",
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")
    os.symlink("../../output/job-1/model", project / "opt/ml/model")
    os.symlink("../../output/job-1/output", project / "opt/ml/output")
    assert seen() == before
    (project / "opt/ml/input/data/validation").mkdir()
    (project / "opt/ml/input/data/validation/v.csv").write_text("1")
    assert seen() == sorted([*before, "opt/ml/input/data/validation/v.csv"])


def test_the_project_passes_its_own_lint(tmp_path):
    project = bake(tmp_path, project="churn", accept_hooks=False)
    subprocess.run(
        ["ruff", "check", "--no-cache", "--config", REPO / "pyproject.toml", "."],
        cwd=project,
        check=True,
    )
    scripts = [str(path.relative_to(project)) for path in project.glob("sm_local/libexec/*.sh")]
    subprocess.run(["shellcheck", "-x", *scripts, "container/train"], cwd=project, check=True)


def test_a_bake_leaves_no_caches(tmp_path):
    project = bake(tmp_path, project="churn")
    assert [
        path
        for path in project.rglob("*")
        if path.name in ("__pycache__", ".venv", ".ruff_cache", ".pytest_cache")
    ] == []
