"""`make devcontainer`: an editor's container is the training container, but for what is meant.

What an editor does with the file is done here with Docker's client, as @devcontainers/cli does it.
"""

import contextlib
import json
import subprocess
from pathlib import Path

import pytest
from conftest import CACHE, clean_environment, make, script
from terminal import background

FILE = ".devcontainer/devcontainer.json"
DATA = "/opt/ml/input/data/training"
SLEEP = "trap exit TERM; sleep 600 & wait"  # as an editor's process 1, it ends when asked to


def described(project: Path) -> dict:
    """Return what the file says, without the comment in front."""
    text = (project / FILE).read_text().partition("\n")[2]
    return json.loads(text.replace("${localWorkspaceFolder}", str(project)))


def initialize(project: Path) -> subprocess.CompletedProcess:
    """Run what an editor runs on this machine before it makes the container."""
    return subprocess.run(
        described(project)["initializeCommand"],
        cwd=project,
        capture_output=True,
        text=True,
        env=clean_environment(XDG_CACHE_HOME=str(CACHE)),
        check=False,
    )


def run(*words: str) -> str:
    """Run a command that must succeed; return its output."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def editor_of(project, verb="devcontainer", engine="docker"):
    """Yield the container that an editor makes of a project's file."""
    environment = clean_environment(XDG_CACHE_HOME=str(CACHE))
    (project / "job.yaml").write_text("Environment: {A: 'b c'}\nCheckpointConfig: {}\n")
    done = make(project, verb, "SHM=100m", "GPU=none", f"ENGINE={engine}", env=environment)
    assert done.stdout.startswith(f"sm-local: {FILE} is written: "), done.stdout
    done = initialize(project)
    assert done.returncode == 0, done.stderr
    body = described(project)
    words = ["--mount", body["workspaceMount"]]
    words += [word for mount in body["mounts"] for word in ("--mount", mount)]
    for name, value in body["containerEnv"].items():
        words += ["--env", f"{name}={value}"]
    words += ["--rm", "--detach", *body["runArgs"], "--entrypoint", "/bin/sh", body["image"]]
    container = run(engine, "run", "--pull", "never", *words, "-c", SLEEP).strip()
    run(engine, "exec", container, *body["postCreateCommand"])
    yield container
    run(engine, "rm", "--force", container)
    run(engine, "rmi", body["image"])


@pytest.fixture
def editor(project, built):
    """Return a project and the container that an editor makes of its file."""
    with editor_of(project) as container:
        yield project, container


def inspected(docker, container: str) -> dict:
    """Return what the engine says of a container: settings, and of mounts where and how."""
    seen = docker.api.inspect_container(container)
    environment = {one.partition("=")[0]: one.partition("=")[2] for one in seen["Config"]["Env"]}
    return {
        "image": seen["Image"],
        "mounts": {one["Destination"]: one["RW"] for one in seen["Mounts"]},
        "environment": environment,
        **{key: seen["Config"][key] for key in ("Hostname", "User", "WorkingDir", "Entrypoint")},
        **{key: seen["HostConfig"][key] for key in ("ShmSize", "ExtraHosts", "Ulimits")},
        **{key: seen["HostConfig"].get(key) for key in ("Init", "Privileged", "NetworkMode")},
    }


@pytest.mark.engine
def test_an_editor_s_container_is_the_training_container_but_for_what_is_meant(editor, docker):
    project, container = editor
    script(project, "print('ready', flush=True); time.sleep(60)")
    train = background(["make", "train", "SHM=100m", "GPU=none", "ENGINE=docker"], project)
    assert any(line == "ready\n" for line in train.stdout)
    label = {"label": f"sm-local.project={project}"}
    job = inspected(docker, docker.api.containers(filters=label)[0]["Id"])
    make(project, "stop", "STOP_GRACE=0")
    train.communicate(timeout=30)
    here = inspected(docker, container)
    for name in ("TRAINING_JOB_NAME", "TRAINING_JOB_ARN"):
        ours, theirs = here["environment"].pop(name), job["environment"].pop(name)
        assert ours.endswith("-devcontainer") and theirs.startswith(ours[: -len("devcontainer")])
    mounts = {
        path: (here["mounts"].get(path), job["mounts"].get(path))
        for path in here["mounts"] | job["mounts"]
        if here["mounts"].get(path) != job["mounts"].get(path)
    }
    # what is meant: data is read-only, what a job produces is the container's own
    assert mounts == {
        "/opt/ml/input/config": (False, True),
        "/opt/ml/input/data/training": (False, True),
        "/opt/ml/model": (None, True),
        "/opt/ml/output": (None, True),
    }
    differ = {key for key in here if here[key] != job[key]}
    assert differ == {"mounts", "Entrypoint"}  # and process 1, which is the editor's


@pytest.mark.engine
def test_train_runs_in_an_editor_s_container(editor):
    project, container = editor
    inside = ("docker", "exec", container, "sh", "-c")
    assert "epoch=1; " in run(*inside, "train 2>&1")
    assert run(*inside, "ls /opt/ml/model").split() == ["model.json"]
    assert run(*inside, "touch /opt/ml/input/data/training/x 2>&1 || true").endswith(
        "Read-only file system\n"
    )
    (project / "code/new.py").write_text("")
    assert "new.py" in run(*inside, "ls /opt/ml/code").split()


@pytest.mark.engine
def test_a_missing_image_is_not_pulled_and_says_what_to_do(project, docker):
    make(project, "devcontainer", "IMAGE=nowhere/none:1", "ENGINE=docker")
    done = initialize(project)
    assert (done.returncode, done.stderr) == (
        1,
        "sm-local: image 'nowhere/none:1' is not here; 'docker pull nowhere/none:1' fetches it\n",
    )
    assert described(project)["image"].startswith("localhost/")
    (project / "recipes").mkdir(exist_ok=True)
    (project / "recipes/.built-docker").unlink(missing_ok=True)
    make(project, "devcontainer", "ENGINE=docker")
    assert "was not built in this folder; run 'make build'" in initialize(project).stderr


@pytest.mark.engine
def test_channels_that_are_made_for_each_job_are_named(project, daemon):
    (project / "job.yaml").write_text(
        "InputDataConfig: [{ChannelName: training, InputMode: Pipe}]\n"
    )
    done = make(project, "devcontainer", "ENGINE=docker")
    assert done.stdout.splitlines()[1:] == [
        "sm-local: channel training is left out: it is made for each job anew"
    ]
    assert not any("input/data" in mount for mount in described(project)["mounts"])


@pytest.mark.engine
def test_a_file_of_yours_is_not_replaced(project, daemon):
    for _ in range(2):  # its own may be
        assert make(project, "devcontainer", "ENGINE=docker").returncode == 0
    with (project / FILE).open("a") as file:
        file.write("// mine\n")
    done = make(project, "devcontainer", "ENGINE=docker")
    assert done.stdout.splitlines()[0] == (
        f"sm-local: {FILE} is yours, or changed by you; move it away and run it again"
    )
    assert (project / FILE).read_text().endswith("// mine\n")


def test_the_sandbox_has_no_container_for_an_editor(project):
    done = make(project, "devcontainer", "ENGINE=sandbox")
    assert done.stdout.splitlines()[0] == (
        "sm-local: the sandbox has no container for an editor; use ENGINE=docker or ENGINE=podman"
    )
    assert not (project / FILE).exists()


ASK = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="sm-local")
code = "import os; print(os.listdir('/opt/ml/input/data/training'), os.environ['A'], os.getcwd())"
client.execute_interactive(code, timeout=60)
manager.shutdown_kernel(now=True)
"""


@pytest.mark.engine
@pytest.mark.usefixtures("image_if_docker")
@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_notebook_s_kernel_sees_the_channels_and_no_job_sees_the_kernel(project, engine):
    image = (engine, "image", "inspect", "--format", "{{.Id}}", f"{project.name}:latest")
    before = run(*image)
    with editor_of(project, "jupyter", engine) as container:
        words = ("--env", "PYTHONPATH=/opt/sm-local/kernel", "--workdir", "/opt/ml/code")
        said = run(engine, "exec", *words, container, "python3", "-c", ASK)
        assert said == "['train.csv'] b c /opt/ml/code\n"
        ended = run(engine, "exec", container, "sh", "-c", "train 2>&1; touch $0/x 2>&1; :", DATA)
        assert "epoch=1; " in ended and ended.endswith("Read-only file system\n")
    script(project, "import ipykernel")
    done = make(project, "train", f"ENGINE={engine}")
    assert "No module named 'ipykernel'" in done.stdout
    assert run(*image) == before
