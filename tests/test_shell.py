"""`make shell` opens a shell where `train` would run, and adds nothing that `train` lacks."""

import subprocess

import pytest
from conftest import clean_environment, jobs, make, script
from terminal import Terminal, background, eventually

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("built")]


def inspect(docker, project) -> dict:
    """Return `docker inspect` of the project's one container, minus what is unique to each one."""
    label = {"label": f"sm-local.project={project}"}
    assert eventually(
        lambda: any(
            container["State"] == "running" for container in docker.api.containers(filters=label)
        )
    )
    seen = docker.api.inspect_container(docker.api.containers(filters=label)[0]["Id"])
    job = seen["Config"]["Labels"]["sm-local.job"]
    return normalise(
        {
            part: seen[part]
            for part in (
                "Config",
                "HostConfig",
                "Mounts",
                "Platform",
                "Image",
                "Driver",
                "AppArmorProfile",
            )
        },
        job,
    )


def normalise(value, job: str):
    """Replace the job's name and what the engine makes up for each container."""
    if isinstance(value, dict):
        return {
            key: normalise(item, job)
            for key, item in value.items()
            if key not in ("Name", "ContainerIDFile", "Source")
        }
    if isinstance(value, list):
        return (
            sorted((normalise(item, job) for item in value), key=str)
            if value and isinstance(value[0], (dict, str))
            else value
        )
    return value.replace(job, "JOB") if isinstance(value, str) else value


def typed(project, text: str) -> subprocess.CompletedProcess:
    """Feed the shell's recipe through a pipe."""
    return subprocess.run(
        ["bash", "recipes/shell.sh"],
        cwd=project,
        input=text,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def piped(project, command: str) -> subprocess.CompletedProcess:
    """Run a command line."""
    return subprocess.run(
        command,
        shell=True,
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(),
        check=False,
    )


# where Docker reports: entrypoint, TTY, name
MAY_DIFFER = {
    "Config": {"Entrypoint", "Cmd", "Tty", "OpenStdin", "StdinOnce", "AttachStdin"},
    "HostConfig": {"ConsoleSize"},
}


def test_shell_and_train_differ_only_in_entrypoint_tty_and_name(project, docker):
    script(
        project,
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('ready', flush=True); "
        "time.sleep(60)",
    )
    (project / "job.yaml").write_text("Environment: {A: 'b c'}\nCheckpointConfig: {}\n")
    arguments = ["DOCKER_ARGS=--cpus 1 --publish 127.0.0.1::5678", "SHM=100m"]
    train = background(["make", "train", *arguments], project, text=False)
    of_train = inspect(docker, project)
    # until the script has its handler, process 1 of a container ignores SIGTERM
    assert any(line == b"ready\n" for line in train.stdout)
    train.terminate()
    train.communicate(timeout=30)
    terminal = Terminal(["make", "shell", *arguments], project, clean_environment())
    terminal.wait_for("# $")
    of_shell = inspect(docker, project)
    terminal.type(b"exit\n")
    assert terminal.wait() == 0, terminal.text
    for one in (of_train, of_shell):
        assert one["Config"]["Labels"].pop("sm-local.recipe")
    for part, keys in MAY_DIFFER.items():
        assert {key for key in of_train[part] if of_train[part][key] != of_shell[part][key]} <= keys
    assert {part: of_train[part] for part in of_train if part not in MAY_DIFFER} == {
        part: of_shell[part] for part in of_shell if part not in MAY_DIFFER
    }


@pytest.mark.parametrize("engine_name", ["docker", "sandbox"])
def test_shell_takes_piped_input(project, engine_name):
    make(project, "recipe", "VERB=shell", f"ENGINE={engine_name}")
    done = typed(project, "echo $TRAINING_JOB_NAME; ls /opt/ml; exit 5\n")
    assert done.returncode == 5, done.stderr
    name, *folders = done.stdout.split()
    assert name.startswith("sm-local-test-") and folders == [
        "checkpoints",
        "code",
        "input",
        "model",
        "output",
    ]
    assert jobs(project) == []
    kept = "nothing was written under /opt/ml/model and /opt/ml/output, so no folder is kept"
    assert done.stderr.endswith(f"sm-local: {kept}\n")


@pytest.mark.parametrize("engine_name", ["docker", "sandbox"])
def test_train_starts_the_script_in_a_shell(project, engine_name):
    script(project, "print('it is', os.environ['SM_CURRENT_HOST'])")
    make(project, "recipe", "VERB=shell", f"ENGINE={engine_name}")
    done = typed(project, "train\n")
    assert done.stdout == "it is algo-1\n", done.stderr


def test_shell_without_a_terminal_ends_by_itself(project):
    done = piped(project, "make shell </dev/null | cat")
    assert "Error" not in done.stderr and "TTY" not in done.stderr, done.stderr


def test_train_without_a_terminal_works(project):
    done = piped(project, "make train </dev/null | cat")
    assert "train_loss" in done.stdout and "Completed" in done.stderr


def test_what_is_written_in_a_shell_is_kept(project):
    make(project, "recipe", "VERB=shell")
    done = typed(project, "echo w > /opt/ml/model/w; echo x > /opt/ml/code/edited.py\n")
    (job,) = jobs(project)
    assert (job / "model/w").read_text() == "w\n" and f"output/{job.name}" in done.stderr
    assert (project / "code/edited.py").read_text() == "x\n"


def test_shell_without_an_image_is_one_line(project):
    done = make(project, "shell", "IMAGE=nowhere/none:1")
    assert (
        done.stdout.splitlines()[0]
        == "sm-local: image 'nowhere/none:1' is not here; 'docker pull nowhere/none:1' fetches it"
    )
    assert jobs(project) == []


@pytest.mark.parametrize("engine_name", ["docker", "sandbox"])
def test_an_open_shell_is_nothing_to_stop_and_its_folder_stays(project, engine_name):
    make(project, "recipe", "VERB=shell", f"ENGINE={engine_name}")
    terminal = Terminal(["bash", "recipes/shell.sh"], project, clean_environment())
    terminal.wait_for("# $")
    assert make(project, "stop").stdout == "sm-local: no job of this project is running\n"
    (job,) = jobs(project)
    assert " InProgress " in make(project, "jobs").stdout
    done = make(project, "clean", "YES=1")
    assert (
        done.returncode == 2
        and f"sm-local: a shell is open in output/{job.name}; leave it, or end it with '"
        in done.stdout
        and job.exists()
    )
    terminal.type(b"exit\n")
    assert terminal.wait() == 0
    assert make(project, "clean", "YES=1").returncode == 0
