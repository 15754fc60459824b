"""`make debug`: the job of `make train`, its script under a debugger that an editor joins."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import matrix
import pytest
from conftest import PROJECT, clean_environment, jobs, last_job, make, script
from debugging import HERE, at, debugged, free_port, link_debugger, listening
from sm_local.errors import SmLocalError
from sm_local.features import debugger
from sm_local.plan import Plan
from terminal import CTRL_C, Terminal
from test_fast import SEEN, seen

pytestmark = pytest.mark.linux
ENGINES = ["docker", "podman", "sandbox"]
on_each = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture
def workplace(project, built, image_if_docker) -> Path:
    """Return a project with the image and the debugger, whose jobs have no checkpoints."""
    link_debugger(project)
    (project / "job.yaml").write_text("HyperParameters: {epochs: '2'}\n")
    (project / "settings.local.env").write_text("INTERRUPT_GRACE=60\nSTOP_GRACE=60\n")
    return project


def left(engine: str, project: Path) -> list[str]:
    """Return a project's containers, running or not."""
    if engine == "sandbox":
        return []
    command = [engine, "ps", "--all", "--quiet", "--filter", f"label=sm-local.project={project}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def image(engine: str) -> str:
    """Return what the project's image is: its ID and layers."""
    if engine == "sandbox":
        return ""
    command = [engine, "image", "inspect", "--format", "{{.Id}} {{.RootFS}}", f"{PROJECT}:latest"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def git(project: Path, *words: str) -> str:
    """Run Git in a project; return what it says."""
    return subprocess.run(
        ["git", *words], cwd=project, capture_output=True, text=True, check=True
    ).stdout


def write(project: Path, text: str, name: str = "train.py") -> None:
    (project / "code" / name).write_text(text)


@pytest.mark.engine
@on_each
def test_a_breakpoint_is_hit_and_nothing_else_is_different(workplace, engine):
    """The task of F5, the debugger's address, a variable; then the same model as by make train."""
    (workplace / "settings.local.env").write_text(f"ENGINE={engine}\n")
    tasks = json.loads((workplace / ".vscode/tasks.json").read_text())["tasks"]
    task = next(one for one in tasks if one["label"] == "make debug")
    before = image(engine)
    line = 1 + (workplace / "code/train.py").read_text().split("\n").index("    return rows")
    git(workplace, "init", "--quiet")
    git(workplace, "add", ".")
    offline = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}
    with debugged(workplace, command=["sh", "-c", task["command"]], **offline) as job:
        editor = job.join({"train.py": [line]}, "dropped", name="make debug", hold=True)
        assert at(editor.stop()) == ("breakpoint", "train.py", line, "2")
        assert listening(job.port) == {HERE}
        editor.go_on()
        assert job.end() == 0, job.text
    assert re.search(task["problemMatcher"]["background"]["endsPattern"], job.text)
    assert "Completed in" in job.text and " s under the debugger; model: output/" in job.text
    seen = last_job(workplace)
    assert (seen / "exit-code").read_text() == "0\n"
    assert make(workplace, "train").returncode == 0
    model = (last_job(workplace) / "model/model.json").read_bytes()
    assert (seen / "model/model.json").read_bytes() == model and seen != last_job(workplace)
    assert image(engine) == before
    status = git(workplace, "status", "--porcelain")
    assert all(one.startswith("A  ") for one in status.splitlines()), status
    assert not list((workplace / "code").rglob("__pycache__"))
    assert not list((workplace / "sm_local/debug").rglob("__pycache__"))
    assert left(engine, workplace) == []


PROCESSES = """\
import multiprocessing, subprocess, sys, threading

def work(how):
    return how

if __name__ == "__main__":
    work(sys.argv[1])
    if sys.argv[1] == "all":
        for how in ("fork", "spawn", "forkserver"):
            process = multiprocessing.get_context(how).Process(target=work, args=(how,))
            process.start(); process.join()
        thread = threading.Thread(target=work, args=("thread",))
        thread.start(); thread.join()
        subprocess.run([sys.executable, "-u", "train.py", "run"], check=True)
        subprocess.run("python3 train.py shell", shell=True, check=True)
"""
ALL = ("all", "fork", "spawn", "forkserver", "thread", "run", "shell", "a", "b", "later", "module")


@pytest.mark.engine
def test_every_way_to_start_a_process_of_the_job_stops_and_nothing_else_does(workplace):
    write(workplace, PROCESSES)
    write(
        workplace,
        """set -e
python3 -c 'print("not debugged", flush=True)' train.py
python3 -m timeit -n 1 pass
python3 train.py all
python3 train.py a & python3 train.py b & wait
python3 train.py later
python3 -m train module
""",
        "run.sh",
    )
    (workplace / "job.yaml").write_text("Environment: {SAGEMAKER_PROGRAM: run.sh}\n")
    with debugged(workplace, "ENGINE=docker") as job:
        editor = job.join({"train.py": [4]}, "how")
        assert "not debugged" in job.text
        stops = {at(editor.stop()) for _ in ALL}
        assert stops == {("breakpoint", "train.py", 4, repr(how)) for how in ALL}
        assert job.end() == 0, job.text
    assert job.text.count("waiting for a debugger") == 1 and editor.stops.empty()


RAISES = """\
import threading

def broken(what):
    y = 42
    raise ValueError(what)

thread = threading.Thread(target=broken, args=("thread",))
thread.start(); thread.join()
broken("script")
"""


@pytest.mark.engine
@pytest.mark.parametrize("engine, points", [("docker", [9]), ("podman", []), ("sandbox", [])])
def test_an_exception_that_nobody_catches_stops_where_it_was_raised(workplace, engine, points):
    write(workplace, RAISES)
    with debugged(workplace, f"ENGINE={engine}") as job:
        editor = job.join({"train.py": points}, "locals().get('y')", exceptions=("uncaught",))
        stops = [at(editor.stop()) for _ in range(2 + len(points))]
        assert job.end() == 2
    raised = ("exception", "train.py", 5, "42")
    assert stops == [raised, *(("breakpoint", "train.py", n, "None") for n in points), raised]
    assert editor.stops.empty()
    assert "AlgorithmError: ValueError: script\n  at /opt/ml/code/train.py:5 in broken" in job.text
    assert (last_job(workplace) / "exit-code").read_text() == "1\n"


HANDLER = """\
import signal, sys

def stop(*_):
    open("/opt/ml/model/signals", "w").write("TERM")
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
print("here")
"""


@pytest.mark.engine
@on_each
def test_a_stop_at_a_breakpoint_runs_the_handler(workplace, engine):
    write(workplace, HANDLER)
    with debugged(workplace, f"ENGINE={engine}") as job:
        editor = job.join({"train.py": [8]}, "1", hold=True)
        editor.stop()
        assert make(workplace, "stop").returncode == 0
        assert job.end() == 2
    assert (last_job(workplace) / "model/signals").read_text() == "TERM"
    assert (last_job(workplace) / "exit-code").read_text() == "0\n" and "Stopped after" in job.text
    assert left(engine, workplace) == []


@pytest.mark.engine
@on_each
def test_ctrl_c_ends_a_job_that_waits_without_its_grace_time(workplace, engine):
    port = free_port()
    argv = ["make", "debug", f"ENGINE={engine}", f"DEBUG_PORT={port}"]
    terminal = Terminal(argv, workplace, clean_environment())
    terminal.wait_for("waiting for a debugger on")
    terminal.type(CTRL_C)
    assert terminal.wait() != 0 and "Stopped after" in terminal.text
    # killed after the grace time it would be 137
    assert (last_job(workplace) / "exit-code").read_text() == "143\n"
    assert left(engine, workplace) == [] and listening(port) == set()


ALONE = """\
import multiprocessing, subprocess
if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=print, args=("spawned",))
    process.start(); process.join()
    subprocess.run("python3 child.py", shell=True, check=True)
    breakpoint()
"""


@pytest.mark.engine
def test_a_job_that_need_not_wait_runs_as_if_nobody_were_there(workplace):
    write(workplace, ALONE)
    write(workplace, "print('child')\n", "child.py")
    port = free_port()
    done = make(workplace, "debug", "ENGINE=sandbox", "WAIT=0", f"DEBUG_PORT={port}")
    assert done.returncode == 0, done.stdout
    assert f"sm-local: a debugger may connect on {HERE}:{port}\n" in done.stdout
    assert "spawned\nchild\n" in done.stdout


@pytest.mark.engine
@pytest.mark.parametrize("engine", ["docker", "sandbox"])
def test_a_script_sees_nothing_else_than_without_a_debugger(workplace, engine):
    """But for what is meant: variables, a way to the debugger, and its own process."""
    script(workplace, SEEN)
    assert make(workplace, "train", f"ENGINE={engine}").returncode == 0
    expected = seen(workplace)
    port = free_port()
    done = make(workplace, "debug", "WAIT=0", f"ENGINE={engine}", f"DEBUG_PORT={port}")
    assert done.returncode == 0, done.stdout
    found = seen(workplace)
    ours, theirs = found.pop("environment"), expected.pop("environment")
    assert {name for name in ours if "DEBUG_" not in name} == {
        *theirs,
        *("PYDEVD_DISABLE_FILE_VALIDATION", "PYDEVD_USE_FRAME_EVAL"),  # by debugpy itself
    }
    changed = {name: ours[name] for name in theirs if ours[name] != theirs[name]}
    assert changed.keys() == {"PYTHONPATH"}, changed
    assert set(changed["PYTHONPATH"].split(":")) - set(theirs["PYTHONPATH"].split(":")) == {
        "/opt/sm-local/debug"
    }
    mounts = {at for at, _ in found["mounts"]} - {at for at, _ in expected["mounts"]}
    ours = [at for at in mounts if at.startswith(("/opt/", str(workplace)))]  # not the machine's
    assert {"debug", "debugpy"} == {at.rpartition("/sm-local/")[2] for at in ours}
    for one in (found, expected):
        one["signals"] = int(one["signals"][0].split()[1], 16) & 0x7FFFFFFF  # not the C library's
        for differs in ("mounts", "files", "processes"):
            del one[differs]
    assert found == expected


@pytest.mark.engine
@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_each_of_two_hosts_has_a_port(workplace, engine):
    (workplace / "job.yaml").write_text(
        "ResourceConfig: {InstanceType: ml.m5.xlarge, InstanceCount: 2}\n"
    )
    write(workplace, "import os\nhost = os.environ['SM_CURRENT_HOST']\nprint(host)\n")
    with debugged(workplace, f"ENGINE={engine}") as job:
        for name in ("algo-1", "algo-2"):
            editor = job.join({"train.py": [3]}, "host", name=name)
            assert at(editor.stop()) == ("breakpoint", "train.py", 3, repr(name))
        assert job.end() == 0, job.text
    assert left(engine, workplace) == []


@pytest.mark.engine
@pytest.mark.usefixtures("own_in_podman")
def test_a_port_that_is_in_use_is_named_and_leaves_nothing(workplace):
    with socket.create_server((HERE, 0)) as taken:
        port = taken.getsockname()[1]
        for engine in ENGINES:
            done = make(workplace, "debug", f"ENGINE={engine}", f"DEBUG_PORT={port}")
            assert done.returncode == 2
            assert (
                f"sm-local: port {port} is in use on this machine; 'make stop' ends another "
                f"'make debug', 'make debug DEBUG_PORT={port + 10}' takes another port\n"
            ) in done.stdout
    with socket.socket() as taken:  # nobody answers there, so it is the engine that finds it in use
        taken.bind((HERE, 0))
        port = taken.getsockname()[1]
        done = make(workplace, "debug", "ENGINE=docker", f"DEBUG_PORT={port}")
        assert (
            f"sm-local: docker cannot publish {HERE}:{port}, which is in use; choose another port: "
            "DEBUG_PORT of 'make debug', or that in DOCKER_ARGS\n"
        ) in done.stdout
    assert jobs(workplace) == []


@pytest.mark.engine
def test_the_images_own_python_path_and_sitecustomize_stay(workplace, docker, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.mark = 'image'\n")
    (tmp_path / "theirs.py").write_text("name = 'theirs'\n")
    (tmp_path / "Dockerfile").write_text(
        f"FROM {PROJECT}:latest\nCOPY *.py /opt/theirs/\nENV PYTHONPATH=/opt/theirs\n"
    )
    image = f"{PROJECT}-path:latest"
    command = ["docker", "build", "--quiet", "--tag", image, tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    write(workplace, "import theirs\nprint(mark)\n")
    try:
        with debugged(workplace, "ENGINE=docker", f"IMAGE={image}", "CODE=mount") as job:
            editor = job.join({"train.py": [2]}, "theirs.name, mark")
            assert at(editor.stop())[3] == "('theirs', 'image')"
            assert job.end() == 0, job.text
    finally:
        docker.images.remove(image, force=True)


@pytest.mark.engine
def test_a_processing_job_is_debugged_too(workplace):
    lines = (workplace / "code/process.py").read_text().split("\n")
    line = next(number for number, text in enumerate(lines, 1) if "rows to" in text)
    with debugged(workplace, "VERB=process", "ENGINE=sandbox") as job:
        editor = job.join({"process.py": [line]}, "name", name="make debug VERB=process")
        assert {at(editor.stop())[3] for _ in range(2)} == {"'train'", "'test'"}
        assert job.end() == 0, job.text


@pytest.mark.engine
def test_python_3_8_and_3_9_have_the_last_debugger_that_runs_there(workplace, tmp_path):
    """It runs in any newer Python as well, here in this machine's."""
    kept = next(workplace.glob("sm_local/.debugpy/*"))
    older = next(kept.glob("older/debugpy-*"))
    assert not list(kept.glob(f"newer/{older.name}"))
    shutil.copytree(kept / "older", tmp_path / "kit/newer")
    kept.unlink()
    kept.symlink_to(tmp_path / "kit")
    write(workplace, RAISES)
    with debugged(workplace, "ENGINE=sandbox") as job:
        editor = job.join({"train.py": [4]}, "what", exceptions=("uncaught",))
        stops = [at(editor.stop())[::2] for _ in range(4)]
        assert job.end() == 2
    assert stops == 2 * [("breakpoint", 4), ("exception", 5)]


def test_what_starts_the_debugger_is_python_3_6():
    """An image may have an old Python, which has to pass through."""
    text = (Path(debugger.__file__).parents[1] / "debug/sitecustomize.py").read_text()
    ast.parse(text, feature_version=(3, 6))
    assert "annotations" not in text and "list[" not in text


def test_without_a_network_the_debugger_is_asked_for_in_one_line(project):
    nowhere = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null", "UV_OFFLINE": "1"}
    environment = clean_environment(**nowhere, UV_CACHE_DIR=str(project / ".uv"))
    done = make(project, "debug", "ENGINE=sandbox", f"DEBUG_PORT={free_port()}", env=environment)
    said = [line for line in done.stdout.splitlines() if line.startswith("sm-local: ")]
    assert re.fullmatch(
        r"sm-local: the debugger, debugpy 1\.\S+, did not come \(.+\); it is fetched once: try "
        r"again with a network, or set your index \(PIP_INDEX_URL\)",
        said[-1],
    )
    assert len(said) == 2 and jobs(project) == []
    assert not list(project.glob("sm_local/.debugpy*"))


def test_code_that_would_run_in_the_debugger_s_place_is_refused(project):
    link_debugger(project)
    (project / "code/sitecustomize.py").touch()
    done = make(project, "debug", "ENGINE=sandbox", f"DEBUG_PORT={free_port()}")
    assert "code/sitecustomize.py would run in place of what starts the debugger" in done.stdout
    assert jobs(project) == []


REFUSED = [
    pytest.param("docker", "isolated", {}, "EnableNetworkIsolation", id="isolated"),
    pytest.param("sandbox", "shards", {}, "several hosts in the sandbox", id="sandbox"),
    pytest.param("docker", "two-hosts", {"DEBUG_PORT": "65535"}, "no port 65536", id="port"),
    pytest.param("docker", "plain", {"DOCKER_ARGS": "-ePYTHONPATH=x"}, "DOCKER_ARGS", id="path"),
]


@pytest.fixture
def furnished(tmp_path, monkeypatch):
    matrix.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("engine, job, values, said", REFUSED)
def test_a_job_that_no_debugger_reaches_is_refused(furnished, engine, job, values, said):
    with pytest.raises(SmLocalError, match=said):
        debug(engine, job, **values)


def debug(engine: str, job: str, **values: str) -> Plan:
    """Return the plan of a debugged job."""
    settings = {**matrix.SETTINGS, **values}
    facts = matrix.ENGINES[engine]
    plan = matrix.plan(engine, job)
    plan = replace(plan, engine_arguments=tuple(shlex.split(settings["DOCKER_ARGS"])))
    return debugger.debugged(plan, settings, facts)


def test_a_job_on_this_machine_s_network_is_for_this_machine_alone(furnished):
    host = debug("docker", "plain", DOCKER_ARGS="--net=host").containers[0]
    assert (host.port, host.variables["LOCAL_DEBUG_BIND"]) == (0, HERE)
    host = debug("docker", "plain", DOCKER_ARGS="--network mine").containers[0]
    assert (host.port, host.variables["LOCAL_DEBUG_BIND"]) == (5678, "0.0.0.0")


def test_a_script_that_the_request_names_is_the_job_s(furnished):
    plan = matrix.plan("docker", "plain")
    host = replace(plan.containers[0], entrypoint=("python3", "/app/main.py"))
    plan = replace(plan, containers=(host,))
    found = debugger.debugged(plan, matrix.SETTINGS, matrix.ENGINES["docker"]).containers[0]
    assert found.variables["LOCAL_DEBUG_CODE"].split(":")[-1] == "/app"


def test_the_editor_s_files_have_the_addresses_of_the_settings(project):
    launch = json.loads((project / ".vscode/launch.json").read_text())
    ports = {one["name"]: one["connect"] for one in launch["configurations"]}
    first = int(matrix.SETTINGS["DEBUG_PORT"])
    assert ports["algo-1"] == ports["make debug"] == {"host": HERE, "port": first}
    assert ports["algo-2"] == {"host": HERE, "port": first + 1}
    assert launch["compounds"] == [{"name": "all hosts", "configurations": ["algo-1", "algo-2"]}]
