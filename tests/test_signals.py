"""Ctrl-C, HUP, TERM, a reader that goes away.

The right signal arrives once, and what the handler wrote is kept.
"""

import contextlib
import os
import signal
import subprocess
import time

import pytest
from conftest import clean_environment, containers, jobs, last_job, make, script
from terminal import CTRL_C, Terminal, background, eventually

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("built")]
ENGINES = ["docker", "sandbox"]

HANDLER = """
def stop(*_):
    with open("/opt/ml/model/signals", "a") as file: file.write("TERM ")
    print("handler ran", flush=True)
    time.sleep(1)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, lambda *_: open("/opt/ml/model/signals", "a").write("INT "))
signal.signal(signal.SIGHUP, lambda *_: open("/opt/ml/model/signals", "a").write("HUP "))
print("ready", flush=True)
for _ in range(600): time.sleep(0.1)
"""
DEAF = """
print("ready", flush=True)
for _ in range(600): time.sleep(0.1)
"""


def start(project, engine, *command, **settings: str) -> Terminal:
    values = [f"{name}={value}" for name, value in settings.items()]
    make(project, "recipe", f"ENGINE={engine}", *values)  # Python's time is not the job's
    return Terminal(list(command) or ["bash", "recipes/train.sh"], project, clean_environment())


def assert_nothing_runs(docker, project) -> None:
    assert eventually(lambda: containers(docker, project) == [], 15)
    assert not list(project.glob("output/*/stage/*"))


@pytest.mark.parametrize("engine", ENGINES)
def test_ctrl_c_lets_the_handler_finish_and_packs_what_it_wrote(project, docker, engine):
    script(project, HANDLER)
    terminal = start(project, engine)
    terminal.wait_for("ready")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130, terminal.text
    assert "SIGTERM now, SIGKILL in 10 s; Ctrl-C again kills it at once" in terminal.text
    assert "handler ran" in terminal.text and "Stopped after" in terminal.text
    job = last_job(project)
    assert (job / "model/signals").read_text() == "TERM "
    assert (job / "model.tar.gz").exists() and (job / "status").read_text().startswith("Stopped ")
    assert (job / "exit-code").read_text() == "0\n"
    assert_nothing_runs(docker, project)


def test_ctrl_c_under_make(project, docker):
    script(project, HANDLER)
    make(project, "recipe")
    terminal = Terminal(["make", "train"], project, clean_environment())
    terminal.wait_for("ready")
    terminal.type(CTRL_C)
    assert terminal.wait() != 0
    assert (last_job(project) / "model/signals").read_text() == "TERM " and (
        last_job(project) / "model.tar.gz"
    ).exists()
    assert_nothing_runs(docker, project)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("delay", [0.05, 0.5, 2])
def test_ctrl_c_at_any_moment_ends_the_job(project, docker, engine, delay):
    script(project, HANDLER)
    # Until the handler is set, SIGTERM has no effect and the grace time passes.
    terminal = start(project, engine, INTERRUPT_GRACE="3")
    time.sleep(delay)
    terminal.type(CTRL_C)
    assert terminal.wait(40) == 130, terminal.text
    assert_nothing_runs(docker, project)
    for job in jobs(project):  # a signal before the start leaves nothing behind
        assert (job / "status").read_text().startswith("Stopped ")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("delay", [0.05, 0.5, 2])
def test_a_second_ctrl_c_kills(project, docker, engine, delay):
    script(project, DEAF)
    terminal = start(project, engine)
    time.sleep(delay)
    terminal.type(CTRL_C)
    time.sleep(0.7)
    alive = terminal.read(0)
    # The first Ctrl-C may end a job that has not started yet.
    assert alive or "ready" not in terminal.text, terminal.text
    if alive:
        begin = time.monotonic()
        with contextlib.suppress(OSError):  # the first one may have ended it
            terminal.type(CTRL_C)
        assert terminal.wait(40) == 130, terminal.text
        assert time.monotonic() - begin < 7, terminal.text
    assert_nothing_runs(docker, project)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_script_without_a_handler_is_killed_after_the_grace(project, docker, engine):
    script(project, DEAF)
    (project / "settings.local.env").write_text("INTERRUPT_GRACE=2\n")
    terminal = start(project, engine)
    terminal.wait_for("ready")
    terminal.type(CTRL_C)
    assert terminal.wait(40) == 130
    assert (last_job(project) / "exit-code").read_text() == "137\n"
    assert_nothing_runs(docker, project)


@pytest.mark.parametrize("engine", ENGINES)
def test_closing_the_terminal_stops_the_job(project, docker, engine):
    script(project, HANDLER)
    terminal = start(project, engine)
    terminal.wait_for("ready")
    terminal.close()
    assert terminal.reap(time.monotonic() + 40) == 129
    job = last_job(project)
    assert (job / "model/signals").read_text() == "TERM " and (job / "model.tar.gz").exists()
    assert_nothing_runs(docker, project)


@pytest.mark.parametrize("engine", ENGINES)
def test_term_to_make_stops_the_job_once(project, docker, engine):
    script(project, HANDLER)
    make(project, "recipe", f"ENGINE={engine}")
    process = background(["make", "train", f"ENGINE={engine}"], project, start_new_session=True)
    while "ready" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) != 0
    assert eventually(lambda: (last_job(project) / "status").read_text().startswith("Stopped "))
    assert (last_job(project) / "model/signals").read_text() == "TERM " and (
        last_job(project) / "model.tar.gz"
    ).exists()
    assert_nothing_runs(docker, project)


def test_a_reader_that_goes_away_costs_nothing(project, docker):
    script(
        project,
        "for n in range(2000): print('line', n, flush=True)\n"
        "open('/opt/ml/model/m', 'w').write('m')",
    )
    done = subprocess.run(
        "make train | head -1",
        shell=True,
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(),
        check=False,
    )
    assert done.stdout == "line 0\n"
    assert eventually(lambda: (last_job(project) / "status").read_text().startswith("Completed "))
    assert len((last_job(project) / "log").read_text().splitlines()) == 2000
    assert (last_job(project) / "model.tar.gz").exists()
    assert_nothing_runs(docker, project)


@pytest.mark.parametrize("engine", ENGINES)
def test_make_stop_gives_the_grace_of_stop_training_job(project, docker, engine):
    script(project, HANDLER)
    terminal = start(project, engine)
    terminal.wait_for("ready")
    (project / "job.yaml").write_text("TrainingJobName: [not valid\n")  # stop asks no Python
    done = make(project, "stop")
    assert done.returncode == 0 and "SIGKILL in 120 s" in done.stdout, done.stdout
    assert terminal.wait(40) == 143, terminal.text
    assert (last_job(project) / "model/signals").read_text() == "TERM "
    assert "no job of this project is running" in make(project, "stop").stdout
    assert_nothing_runs(docker, project)


@pytest.mark.parametrize(
    ("given", "grace"), [([], 2), (["STOP_GRACE=1"], 1)], ids=["the-job-s-own", "typed"]
)
def test_make_stop_gives_the_grace_that_is_typed_or_the_job_s_own(project, given, grace):
    script(project, DEAF)
    terminal = start(project, "sandbox", STOP_GRACE="2")
    terminal.wait_for("ready")
    begin = time.monotonic()
    done = make(project, "stop", *given)
    assert done.returncode == 0 and f"SIGKILL in {grace} s" in done.stdout, done.stdout
    terminal.wait(20)
    assert time.monotonic() - begin < 10
    assert (
        "STOP_GRACE=1m: must be a number of seconds"
        in make(project, "stop", "STOP_GRACE=1m").stdout
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_job_that_was_started_through_a_link_to_the_project_is_found(project, docker, engine):
    script(project, HANDLER)
    linked = project.parent / "linked"
    linked.symlink_to(project)
    environment = clean_environment(PWD=str(linked))
    make(project, "recipe", f"ENGINE={engine}")
    process = background(["bash", "recipes/train.sh"], linked, stderr=None, env=environment)
    assert process.stdout.readline() == "ready\n"
    for place in (project, linked):
        in_place = {"env": clean_environment(PWD=str(place))}
        assert " InProgress " in make(place, "jobs", **in_place).stdout
        assert (
            "a job is running; 'make stop' ends it"
            in make(place, "clean", "YES=1", **in_place).stdout
        )
    assert make(project, "stop").stdout.startswith("sm-local: stopping ")
    process.communicate(timeout=30)
    assert (last_job(project) / "status").read_text().startswith("Stopped ")


def test_an_engine_that_does_not_answer_may_have_the_job(project, docker):
    """The job's recipe was killed, so only the engine could say what became of the job."""
    script(project, HANDLER)
    terminal = start(project, "docker")
    terminal.wait_for("ready")
    silent = {"env": clean_environment(DOCKER_HOST="tcp://127.0.0.1:1")}
    (folder,) = jobs(project)
    job = folder.name
    os.kill(int((folder / "record/recipe").read_text().split()[0]), signal.SIGKILL)
    terminal.reap(time.monotonic() + 10)
    done = make(project, "stop", **silent)
    assert (
        done.returncode == 2
        and (
            f"sm-local: docker does not answer, and {job} may be running there; start docker, "
            "then 'make stop' again"
        )
        in done.stdout
    )
    listing = make(project, "jobs", **silent).stdout
    assert (
        " InProgress " in listing
        and (
            "sm-local: docker does not answer: what is InProgress or Stopping there may have "
            "ended\n"
        )
        in listing
    )
    done = make(project, "clean", "YES=1", **silent)
    assert (
        done.returncode == 2
        and f"docker does not answer, and {job} may be running there" in done.stdout
        and jobs(project)
    )
    make(project, "stop")
    assert eventually(lambda: containers(docker, project) == [])
    assert " Abandoned " in make(project, "jobs").stdout
    (folder / "status").write_text("Stopped 1\n")
    assert "does not answer" not in make(project, "jobs", **silent).stdout
    assert make(project, "stop", **silent).stdout == "sm-local: no job of this project is running\n"
    assert make(project, "clean", "YES=1", **silent).returncode == 0 and jobs(project) == []


def test_make_stop_reaches_a_job_by_its_recipe_where_the_engine_does_not_answer(project, docker):
    script(project, HANDLER)
    terminal = start(project, "docker")
    terminal.wait_for("ready")
    assert (
        "sm-local: stopping "
        in make(project, "stop", env=clean_environment(DOCKER_HOST="tcp://127.0.0.1:1")).stdout
    )
    assert terminal.wait(40) == 143
    assert (last_job(project) / "model/signals").read_text() == "TERM "


def test_jobs_tells_what_ran_and_how_it_ended(project, docker):
    script(project, "print('ready', flush=True); time.sleep(30)")
    terminal = start(project, "docker")
    terminal.wait_for("ready")
    running = make(project, "jobs").stdout
    assert jobs(project)[0].name in running and " InProgress " in running
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.reap(time.monotonic() + 10)
    assert " InProgress " in make(project, "jobs").stdout  # the container is still running
    make(project, "stop", "STOP_GRACE=1")
    assert eventually(lambda: containers(docker, project) == [])
    script(project, "sys.exit(3)")
    make(project, "train")
    listing = make(project, "jobs").stdout.splitlines()
    assert listing[0].split() == ["JOB", "STATUS", "EXIT", "SECONDS", "FOLDER"]
    assert listing[1].split()[1] == "Abandoned" and listing[2].split()[1:3] == ["Failed", "3"]
