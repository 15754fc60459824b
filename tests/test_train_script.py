"""The user's script, in temporary folders instead of /opt/ml; container/train, the Dockerfile.

Only the image needs a real engine.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PROJECT

sys.dont_write_bytecode = True  # a __pycache__ in the template would be baked

TEMPLATE = Path(__file__).parent.parent / "<<cookiecutter.project>>"
SCRIPT = TEMPLATE / "code/train.py"
RUNNER = """
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("train", sys.argv[1])
train = importlib.util.module_from_spec(spec)
spec.loader.exec_module(train)
train.ML = pathlib.Path(sys.argv[2])
train.main()
"""


class Job:
    """A stand-in for /opt/ml, and ways to run the script in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checkpoint = root / "checkpoints/checkpoint.json"
        shutil.copytree(TEMPLATE / "opt/ml/input", root / "input")

    def set(self, **hyperparameters: str) -> None:
        """Write the job's hyperparameters."""
        (self.root / "input/config/hyperparameters.json").write_text(json.dumps(hyperparameters))

    def run(self, **hyperparameters: str) -> dict:
        """Train in this process with only these hyperparameters; return the model."""
        self.set(**hyperparameters)
        script = load()
        script.ML = self.root
        before = signal.getsignal(signal.SIGTERM)
        try:
            script.main()
        finally:
            signal.signal(signal.SIGTERM, before)
        return self.read("model/model.json")

    def start(self, *arguments: str) -> subprocess.Popen:
        """Train in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-B", "-c", RUNNER, SCRIPT, self.root, *arguments],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def read(self, path: str) -> dict:
        """Return one of the job's JSON files."""
        return json.loads((self.root / path).read_text())

    def channel(self, path: str, text: str) -> None:
        """Write a file into a channel."""
        (self.root / "input/data" / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / "input/data" / path).write_text(text)


def load():
    """Import the script under a name of its own."""
    spec = importlib.util.spec_from_file_location("train_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def job(tmp_path) -> Job:
    """Return a job with the template's data and hyperparameters but no checkpoint folder."""
    return Job(tmp_path / "ml")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> dict:
    """Return the model that the defaults give without interruption."""
    return Job(tmp_path_factory.mktemp("uninterrupted") / "ml").run()


def penguins() -> list[dict[str, str]]:
    """Return the rows of the template's data."""
    with open(TEMPLATE / "opt/ml/input/data/training/train.csv", newline="") as file:
        return list(csv.DictReader(file))


def rows_of(species: str, count: int) -> str:
    """Return a CSV file with some complete rows of one species."""
    chosen = [row for row in penguins() if row["species"] == species and "NA" not in row.values()][
        :count
    ]
    return "\n".join([",".join(chosen[0]), *(",".join(row.values()) for row in chosen)]) + "\n"


def test_the_template_s_hyperparameters_are_the_script_s_defaults():
    written = json.loads((TEMPLATE / "opt/ml/input/config/hyperparameters.json").read_text())
    assert all(isinstance(value, str) for value in written.values())
    assert {name: float(value) for name, value in written.items()} == load().DEFAULTS


def test_the_data_are_the_344_penguins():
    assert [
        sum(row["species"] == name for row in penguins())
        for name in ("Adelie", "Chinstrap", "Gentoo")
    ] == [152, 68, 124]
    assert sum("NA" in row.values() for row in penguins()) == 2
    assert [path.name for path in (TEMPLATE / "opt/ml/input/data/training").iterdir()] == [
        "train.csv"
    ]


def test_the_script_learns(job, capsys):
    job.run()
    evaluation = job.read("output/data/evaluation.json")
    assert evaluation["accuracy"] > 0.95
    assert (
        evaluation["rows"]
        == 69
        == sum(sum(counts.values()) for counts in evaluation["confusion"].values())
    )
    assert capsys.readouterr().out.startswith(
        "training: 342 rows, 2 more dropped for missing values\nepoch=1; "
    )
    assert not (job.root / "output/failure").exists()


def test_a_metric_definition_finds_the_metrics(job, capsys):
    job.run()
    log = capsys.readouterr().out
    losses = [float(value) for value in re.findall("train_loss=(.*?);", log)]
    assert len(losses) == 20 and losses[-1] < losses[0] / 5
    assert float(re.findall("validation_accuracy=(.*?);", log)[-1]) == round(
        job.read("output/data/evaluation.json")["accuracy"], 4
    )


def test_the_saved_model_predicts(uninterrupted):
    script, right = load(), 0
    complete = [row for row in penguins() if "NA" not in row.values()]
    for row in complete:
        right += (
            script.predict(uninterrupted, [float(row[name]) for name in uninterrupted["features"]])
            == row["species"]
        )
    assert right / len(complete) > 0.95


def test_a_resumed_job_ends_as_an_uninterrupted_one(job, uninterrupted, capsys):
    (job.root / "checkpoints").mkdir()
    job.run(epochs="3")
    assert job.run(epochs="20") == uninterrupted
    assert "resuming at epoch 4\nepoch=4; " in capsys.readouterr().out


def test_a_finished_training_is_not_resumed(job, uninterrupted, capsys):
    (job.root / "checkpoints").mkdir()
    job.run()
    capsys.readouterr()
    assert job.run() == uninterrupted
    assert (
        "checkpoint.json has all 20 epochs behind it: now checkpoint.other.json; starting "
        "anew\nepoch=1; "
    ) in capsys.readouterr().out


def test_without_a_checkpoint_folder_there_is_no_checkpoint(job):
    job.run(epochs="1")
    assert sorted(path.name for path in job.root.iterdir()) == ["input", "model", "output"]


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        pytest.param({"lr": "0.2"}, "has other lr", id="hyperparameter"),
        pytest.param({"epochs": "2"}, "has all 3 epochs behind it", id="fewer-epochs"),
    ],
)
def test_another_job_s_checkpoint_is_put_aside(job, capsys, changes, differs):
    (job.root / "checkpoints").mkdir()
    job.run(epochs="3")
    old = job.checkpoint.read_text()
    job.run(**{"epochs": "3", **changes})
    said = capsys.readouterr().out
    assert f"checkpoint.json {differs}: now checkpoint.other.json; starting anew\nepoch=1; " in said
    assert (job.root / "checkpoints/checkpoint.other.json").read_text() == old
    assert job.checkpoint.exists()


def test_a_checkpoint_of_other_data_is_put_aside(job, capsys):
    (job.root / "checkpoints").mkdir()
    job.run(epochs="1")
    job.channel("training/more.csv", rows_of("Adelie", 5))
    job.run(epochs="2")
    assert "checkpoint.json has other data" in capsys.readouterr().out


def test_sigterm_saves_checkpoint_and_model(job, uninterrupted):
    (job.root / "checkpoints").mkdir()
    job.set(pause="60")
    with job.start() as process:
        while not process.stdout.readline().startswith("epoch=1;"):
            assert process.poll() is None
        sent = time.monotonic()
        process.terminate()
        out, err = process.communicate(timeout=30)
    assert time.monotonic() - sent < 1
    assert (process.returncode, out, err) == (
        0,
        "SIGTERM: stopped after epoch 1 of 20, saving the model\n",
        "",
    )
    assert job.read("checkpoints/checkpoint.json")["epoch"] == 1
    assert (
        job.read("model/model.json")["weights"]
        == job.read("checkpoints/checkpoint.json")["weights"]
    )
    assert job.run() == uninterrupted


def test_an_error_is_a_traceback_and_exit_1(job):
    job.set(epoch="3")
    with job.start() as process:
        out, err = process.communicate(timeout=30)
    reason = (
        "ValueError: unknown hyperparameter 'epoch'; known: epochs, batch_size, lr, l2, seed, pause"
    )
    assert (process.returncode, out) == (1, "")
    assert err.startswith("Traceback ") and err.endswith(reason + "\n")


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        pytest.param(
            {"epochs": "many"},
            "hyperparameter epochs is 'many'; write a number such as 20",
            id="not-a-number",
        ),
        pytest.param(
            {"epochs": "2.5"},
            "hyperparameter epochs is '2.5'; write a number such as 20",
            id="not-an-integer",
        ),
        pytest.param(
            {"batch_size": "0"},
            "hyperparameters epochs and batch_size must be at least 1",
            id="zero",
        ),
        pytest.param(
            {"lr": "1e308"},
            "train_loss is nan in epoch 1; lower lr, which is 1e+308",
            id="diverges",
        ),
    ],
)
def test_a_useless_hyperparameter_is_refused(job, hyperparameters, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        job.run(**hyperparameters)
    assert not (job.root / "model").exists()


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"epochs": "2", "lr": "0.1"}, id="plain"),
        pytest.param({"epochs": '"2"', "lr": '"0.1"'}, id="quoted-by-the-sdk"),
        pytest.param(
            {"epochs": "2", "sagemaker_program": '"train.py"', "_tuning_objective_metric": "loss"},
            id="reserved",
        ),
    ],
)
def test_hyperparameters_come_in_the_sdk_s_forms(job, capsys, given):
    job.run(**given)
    assert len(re.findall("^epoch=", capsys.readouterr().out, re.MULTILINE)) == 2


def test_arguments_are_not_read(job):
    job.set(epochs="1")
    with job.start("--epochs", "2") as process:
        assert process.communicate(timeout=30)[0].count("epoch=") == 1


def test_a_validation_channel_is_used(job, capsys):
    job.channel("validation/gentoo.csv", rows_of("Gentoo", 10))
    job.run()
    assert "validation: 10 rows, 0 more dropped" in capsys.readouterr().out
    assert job.read("output/data/evaluation.json") == {
        "accuracy": 1.0,
        "rows": 10,
        "confusion": {"Gentoo": {"Adelie": 0, "Chinstrap": 0, "Gentoo": 10}},
    }


def test_every_csv_of_a_channel_is_read(job, capsys):
    job.channel("training/part/2.csv", "\ufeff" + rows_of("Adelie", 3))
    job.channel("training/notes.txt", "not data")
    job.run(epochs="1")
    assert "training: 345 rows, 2 more dropped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(
            "species,bill_length_mm\nAdelie,39.1\n",
            r"/bad\.csv:2: KeyError\('bill_depth_mm'\)$",
            id="no-column",
        ),
        pytest.param(
            rows_of("Adelie", 1).replace("39.1", "long"),
            r"/bad\.csv:2: ValueError.*'long'",
            id="not-a-number",
        ),
    ],
)
def test_bad_data_is_named_with_file_and_line(job, text, reason):
    job.channel("training/bad.csv", text)
    with pytest.raises(ValueError, match=reason):
        job.run()


def test_a_missing_channel_is_named(job):
    (job.root / "input/data/training").rename(job.root / "input/data/train")
    with pytest.raises(
        ValueError,
        match=r"no rows in .*/input/data/training/\*\.csv; the job needs a channel named training",
    ):
        job.run()


def test_container_train_is_posix_sh():
    text = (TEMPLATE / "container/train").read_text()
    assert text.startswith("#!/bin/sh\n") and "shellcheck disable" not in text
    done = subprocess.run(
        ["shellcheck", "--norc", "--shell=sh", TEMPLATE / "container/train"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert os.access(TEMPLATE / "container/train", os.X_OK)  # the sandbox runs it directly


def test_the_template_s_ignore_file_hides_nothing_of_the_template():
    found = subprocess.run(
        [
            "git",
            "-C",
            TEMPLATE,
            "ls-files",
            "--others",
            "--cached",
            "--ignored",
            "--exclude-per-directory=.gitignore",
            ".",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert [path for path in found if "__pycache__" not in path] == []


@pytest.fixture(scope="module")
def image(docker, base_image, tmp_path_factory):
    """Build the Dockerfile from a copy of the template.

    The copy has files that must not be sent, and its `train` is not executable.
    """
    context = tmp_path_factory.mktemp("context")
    for name in ("container", "code", ".dockerignore"):
        (shutil.copytree if (TEMPLATE / name).is_dir() else shutil.copy)(
            TEMPLATE / name, context / name
        )
    (context / "container/train").chmod(0o644)
    (context / "code/__pycache__").mkdir()
    for path in ("settings.local.env", "code/.env", "code/__pycache__/train.pyc"):
        (context / path).write_text("secret")
    with open(context / "big.bin", "wb") as file:
        file.truncate(200 << 20)
    name = f"{PROJECT}-script:latest"
    # As Docker's legacy builder gets it: without mounts.
    recipe = re.sub(r" --mount=\S+", "", (context / "container/Dockerfile").read_text())
    (context / "container/Dockerfile").write_text(recipe)
    done = subprocess.run(
        ["docker", "build", "--file", "container/Dockerfile", "--tag", name]
        + ["--build-arg", f"BASE_IMAGE={base_image}", "."],
        cwd=context,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield name
    docker.images.remove(name, force=True)


@pytest.fixture
def start(docker, image, job):
    """Return a function that starts a container with the job's input; clean up at the end."""
    started = []

    def start(*command: str, **options):
        volumes = {str(job.root / "input"): {"bind": "/opt/ml/input", "mode": "ro"}}
        started.append(
            docker.containers.run(image, list(command), detach=True, volumes=volumes, **options)
        )
        return started[-1]

    yield start
    for container in started:
        container.remove(force=True)


@pytest.mark.engine
def test_the_image_trains(start, docker, image):
    container = start("train")
    assert container.wait(timeout=60)["StatusCode"] == 0, container.logs()
    assert b"\nepoch=20; " in container.logs()
    assert "/opt/ml/model/model.json" in [change["Path"] for change in container.diff()]
    config = docker.images.get(image).attrs["Config"]
    assert (config["Entrypoint"], config["Cmd"], config.get("User", "")) == (None, ["train"], "")


@pytest.mark.engine
def test_only_the_code_is_in_the_image(start):
    container = start("find", "/opt/ml/code", "-type", "f")
    container.wait(timeout=60)
    found = sorted(container.logs().decode().splitlines())
    assert found == ["/opt/ml/code/process.py", "/opt/ml/code/train.py"]


@pytest.mark.engine
def test_docker_stop_reaches_python(start, job):
    job.set(pause="60")
    container = start("train")
    deadline = time.monotonic() + 60
    while b"epoch=1;" not in container.logs():
        assert time.monotonic() < deadline, container.logs()
        time.sleep(0.05)
    sent = time.monotonic()
    container.stop(timeout=30)
    assert time.monotonic() - sent < 3
    assert container.logs().endswith(b"SIGTERM: stopped after epoch 1 of 20, saving the model\n")
    assert container.wait()["StatusCode"] == 0


@pytest.mark.engine
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param(
            {"SAGEMAKER_PROGRAM": "other.py"},
            b"train: /opt/ml/code/other.py is missing; ",
            id="code",
        ),
        pytest.param({"PATH": "/nowhere"}, b"train: python3 is missing; ", id="python"),
    ],
)
def test_what_is_missing_is_one_line(start, environment, said):
    container = start("/usr/local/lib/sm-local/train", environment=environment)
    assert container.wait(timeout=60)["StatusCode"] == 1
    assert container.logs().startswith(said) and container.logs().count(b"\n") == 1


@pytest.fixture
def with_own_train(docker, image):
    """Build an image whose base, or a package, brought a `train`."""
    name = f"{PROJECT}-own-train:latest"
    dockerfile = (
        f"FROM {image}\nRUN printf '#!/bin/sh\\necho its own: $SAGEMAKER_PROGRAM\\n' "
        "> /usr/local/bin/train && chmod 755 /usr/local/bin/train\n"
    )
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", name, "-"],
        input=dockerfile,
        text=True,
        check=True,
        capture_output=True,
    )
    yield name
    docker.images.remove(name, force=True)


@pytest.mark.engine
def test_a_train_that_the_image_brings_is_used(docker, with_own_train):
    said = docker.containers.run(with_own_train, ["train"], remove=True, stderr=True)
    assert sorted(said.decode().splitlines()) == [  # stderr and stdout come by two ways
        "its own: train.py",
        "train: the image brings /usr/local/bin/train, which runs the script",
    ]
