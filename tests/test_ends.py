"""How a job ends, whoever ends it and whatever dies first, and what is left behind then."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from conftest import clean_environment, containers, jobs, last_job, make, script
from terminal import CTRL_C, Terminal, background, eventually, processes

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("built")]


def test_a_process_that_has_a_recipe_s_number_now_is_not_touched(project):
    """Numbers are used again, and the stranger may well be a script."""
    (project / "stranger.sh").write_text("sleep 30\n")
    job = project / "output/churn-20260101-000000"
    (job / "record").mkdir(parents=True)
    (job / "status").write_text("InProgress\n")
    with subprocess.Popen(["bash", "stranger.sh"], cwd=project) as stranger:
        for known in (f"{stranger.pid}", f"{stranger.pid} 1 {os.uname().nodename}"):
            (job / "record/recipe").write_text(f"{known}\n")
            done = make(project, "stop")
            assert done.stdout == "sm-local: no job of this project is running\n"
            assert stranger.poll() is None
        stranger.kill()
    assert " Abandoned " in make(project, "jobs").stdout


SLOW = """
import signal
print("ready", flush=True)
for n in range(30):
    print(n, flush=True); time.sleep(0.1)
open("/opt/ml/model/late", "w").write("m"); sys.exit(7)
"""
DEAF = """
print("ready", flush=True)
for _ in range(600): time.sleep(0.1)
"""
UNTIL_TOLD = """
print("ready", flush=True)
for _ in range(1200):
    if os.path.exists("/opt/ml/model/go"): break
    time.sleep(0.1)
"""
STOPS = """
def stop(*_):
    open("/opt/ml/model/saved", "w"); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
time.sleep(0.5)
print("ready", flush=True)
for _ in range(600): time.sleep(0.1)
"""


def start(project, *settings: str, **options):
    """Start `make train` with a fresh recipe, and return its process once the script runs."""
    make(project, "recipe", *settings)
    process = background(["bash", "recipes/train.sh"], project, **options)
    said = ""
    while "ready" not in said:
        assert process.poll() is None, said
        said += process.stdout.readline()
    return process


def container(project) -> str:
    """Return the ID of the last job's container."""
    return (jobs(project)[-1] / "container-id").read_text().strip()


def client_of(project) -> int:
    """Return the process of the client that runs the last job's container."""
    (job,) = (path.name for path in jobs(project)[-1:])
    (found,) = processes(rf"^docker run .*sm-local.job={job} ", project)
    return found


@pytest.mark.parametrize("body", [STOPS, DEAF], ids=["handler", "none"])
def test_a_job_that_docker_stop_ended_is_stopped(project, docker, body):
    script(project, body)
    process = start(project)
    docker.containers.get(container(project)).stop(timeout=1)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 143, said
    assert "stopped from outside, as 'docker stop' does; output/" in said, said
    assert (last_job(project) / "status").read_text().startswith("Stopped ")


def test_a_job_outlives_its_docker_client(project):
    script(project, SLOW)
    process = start(project)
    os.kill(client_of(project), signal.SIGKILL)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 7, said
    job = last_job(project)
    lines = (job / "log").read_text().splitlines()
    assert [line for line in lines if line.isdecimal()] == [str(n) for n in range(30)]
    assert "sm-local: the engine's client was ended (status 137); the job ran on without it" in said
    assert (job / "model.tar.gz").exists() and (job / "exit-code").read_text() == "7\n"


DEAD_ENGINE = """#!/usr/bin/env bash
if [ -e {dead} ]; then case $1 in (run | events) ;; (*) exit 1 ;; esac; fi
exec -a docker {docker} "$@"
"""


def test_an_engine_that_dies_leaves_the_job_to_the_next_verb(project, docker, tmp_path):
    """Its client ends, and whether the container does is not known: it goes on here."""
    script(project, SLOW)
    shim, dead = tmp_path / "docker", tmp_path / "dead"
    shim.write_text(DEAD_ENGINE.format(dead=dead, docker=shutil.which("docker")))
    shim.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    process = start(project, env={**clean_environment(), "PATH": path})
    dead.touch()
    os.kill(client_of(project), signal.SIGKILL)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 137, said
    assert "docker does not answer any more, and the job may run on; what its" in said
    job = last_job(project)
    assert (job / "status").read_text() == "Failed\n" and not (job / "model.tar.gz").exists()
    docker.containers.get(container(project)).wait()
    assert eventually(lambda: containers(docker, project) == [])
    assert make(project, "stop").stdout.startswith("sm-local: cleared away what ")
    make(project, "pack")
    assert (job / "model.tar.gz").exists() and (job / "model/late").exists()
    assert not (project / f"output/.open/{job.name}").exists()


NEVER_STARTS = """#!/usr/bin/env bash
case $1 in
  run) set -- create "${{@:5}}"; {docker} "$@" > /dev/null; touch {made}
    until [[ -e {asked} ]]; do sleep 0.1; done; exit 125 ;;
  stop) touch {asked} ;;
esac
exec {docker} "$@"
"""


def test_a_job_that_is_stopped_before_its_container_starts_says_so(project, docker, tmp_path):
    """The engine's client fails then, and so it does where the engine refuses the job."""
    shim, made, asked = (tmp_path / name for name in ("docker", "made", "asked"))
    shim.write_text(NEVER_STARTS.format(docker=shutil.which("docker"), made=made, asked=asked))
    shim.chmod(0o755)
    make(project, "recipe")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = {**clean_environment(), "PATH": path}
    terminal = Terminal(["bash", "recipes/train.sh"], project, environment)
    terminal.wait_for("docker ")
    assert eventually(made.exists)
    terminal.type(CTRL_C)
    status = terminal.wait()
    for left in docker.api.containers(all=True, filters={"label": f"sm-local.project={project}"}):
        docker.api.remove_container(left["Id"])
    assert status == 130, terminal.text
    assert "sm-local: stopped before it had started; nothing is kept" in terminal.text
    assert jobs(project) == [] and list((project / "output/.open").iterdir()) == []


EXIT = "; sys.exit(125)"


@pytest.mark.parametrize("more", ["", "; sys.exit(0)", "; print('kept'); sys.exit(125)"])
def test_a_script_that_speaks_as_docker_does_loses_nothing(project, more):
    said = "docker: Error response from daemon: x"
    script(project, f"open('/opt/ml/model/m', 'w').write('m'); print({said!r}){more or EXIT}")
    done = make(project, "train")
    job = last_job(project)
    assert said in done.stdout and (job / "log").read_text().startswith(said), done.stdout
    assert (job / "model/m").exists() and (job / "model.tar.gz").exists()
    assert ("kept" in done.stdout) == ("kept" in more)


@pytest.mark.parametrize("names", [("A", "B"), ("A", "A")], ids=["others", "same"])
def test_one_checkpoint_folder_has_one_job_whatever_its_name(project, names):
    script(project, STOPS)
    for name in names:
        (project / f"{name}.yaml").write_text(
            f"TrainingJobName: {name}\nCheckpointConfig: {{S3Uri: s3://b/c}}\n"
        )
    first = start(project, f"JOB={names[0]}.yaml")
    done = make(project, "train", f"JOB={names[1]}.yaml")
    assert done.returncode == 2 and "opt/ml/checkpoints is in use by job A-" in done.stdout
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=60)


def told(project, text: str) -> str:
    """Return what a line of Bash prints in a project."""
    command = ["bash", "-c", text]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_dead_client_s_lock_is_no_lock(project, docker, built):
    """It was killed between the container's creation and its start, and so was the recipe."""
    (project / "job.yaml").write_text("CheckpointConfig: {S3Uri: s3://b/c}\n")
    make(project, "train")
    recipe = (last_job(project) / "recipe.sh").read_text()
    assert "checkpoints_name" in recipe
    name = told(project, "source sm_local/lib/container.sh; checkpoints_name; echo $name")
    here = os.uname().nodename
    begun = told(project, "source sm_local/lib/process.sh; find_start $PPID; echo $start")
    for start_time, status in (("1", 0), (begun, 2)):
        owner = f"{os.getpid()} {start_time} {here}"
        labels = {"sm-local.recipe": owner, "sm-local.job": "j"}
        docker.containers.create(built, name=name, labels=labels)
        done = make(project, "train")
        assert done.returncode == status, done.stdout
        assert ("opt/ml/checkpoints is in use by job j;" in done.stdout) == bool(status)
    docker.containers.get(name).remove()


SWEPT_MEANWHILE = """#!/bin/sh
if [ "$1 $2" = "container inspect" ]; then {docker} rm {name} > /dev/null; fi
exec {docker} "$@"
"""


def test_nor_is_one_that_somebody_sweeps_meanwhile(project, docker, built, tmp_path):
    """The sweep that a job starts beside itself may be the one that removes the holder."""
    (project / "job.yaml").write_text("CheckpointConfig: {S3Uri: s3://b/c}\n")
    make(project, "recipe")
    name = told(project, "source sm_local/lib/container.sh; checkpoints_name; echo $name")
    docker.api.create_container(built, "train", name=name)
    shim = tmp_path / "docker"
    shim.write_text(SWEPT_MEANWHILE.format(docker=shutil.which("docker"), name=name))
    shim.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = make(project, "train", env={**clean_environment(), "PATH": path})
    assert done.returncode == 0 and " Completed in " in done.stdout, done.stdout


@pytest.mark.parametrize("engine", ["docker", "sandbox"])
@pytest.mark.parametrize("attempt", range(5))
def test_closing_the_terminal_stops_the_job_where_make_leads_its_session(
    project, docker, engine, attempt
):
    """As in `script`, `ssh -t host make train`, an IDE's task: SIGHUP comes twice."""
    script(project, STOPS)
    make(project, "recipe", f"ENGINE={engine}")
    command = ["make", "train", f"ENGINE={engine}"]
    terminal = Terminal(command, project, clean_environment())
    terminal.wait_for("ready")
    terminal.close()
    terminal.reap(time.monotonic() + 40)
    status = jobs(project)[-1] / "status"
    assert eventually(lambda: status.read_text().startswith("Stopped "), 20), status.read_text()
    assert (status.parent / "model/saved").exists() and (status.parent / "model.tar.gz").exists()
    assert containers(docker, project) == []


def test_a_terminal_that_was_closed_before_the_recipe_starts_gets_no_job(project):
    """Make has heard of it and goes on to the recipe, which nobody tells any more."""
    make(project, "recipe", "ENGINE=sandbox")
    text = "trap '' HUP; echo up; read line; bash -p recipes/train.sh; echo $? > ended"
    terminal = Terminal(["sh", "-c", text], project, clean_environment())
    terminal.wait_for("up")
    terminal.close()
    terminal.reap(time.monotonic() + 40)
    assert (project / "ended").read_text() == "129\n" and jobs(project) == []


def of_project(docker, project) -> list[str]:
    """Return all that an engine has of a project: containers, helpers, volumes, networks."""
    mine = {"label": f"sm-local.project={project}"}
    found = [one["Names"][0] for one in docker.api.containers(all=True, filters=mine)]
    found += [one["Name"] for one in docker.api.volumes(filters=mine)["Volumes"] or []]
    return found + [one["Name"] for one in docker.api.networks(filters=mine)]


def test_what_is_removed_from_outside_leaves_nothing(project, docker):
    script(project, DEAF)
    process = start(project)
    docker.containers.get(container(project)).remove(force=True)
    assert process.communicate(timeout=60) and process.returncode == 137
    assert eventually(lambda: of_project(docker, project) == [])


@pytest.mark.parametrize("verb", ["train", "stop", "chown", "clean", "shell"])
def test_the_next_verb_clears_away_what_a_killed_recipe_has_left(project, docker, built, verb):
    script(project, UNTIL_TOLD)
    process = start(project, "NETWORK=own")
    job = jobs(project)[-1]
    os.kill(int((job / "record/recipe").read_text().split()[0]), signal.SIGKILL)
    process.wait()
    # as if clients had been killed, too
    mine = {"sm-local.project": str(project)}
    docker.containers.create(built, labels={**mine, "sm-local.helper": job.name})
    docker.volumes.create(labels={**mine, "sm-local.job": job.name})
    os.mkfifo(job / ".in")
    (job / "status.new.1").touch()
    cleared = f"sm-local: cleared away what {job.name} had left behind: "
    assert f"left      by recipes that were killed: {job.name}; " in make(project, "doctor").stdout
    assert cleared not in make(project, "chown").stdout  # it runs
    assert len(of_project(docker, project)) >= 4
    (job / "model/go").touch()
    assert eventually(lambda: (job / "exit-code").exists())
    script(project, "pass")
    if verb != "clean":
        make(project, "recipe", f"VERB={verb}")
    said = make(project, verb, *["YES=1"][: verb == "clean"]).stdout
    assert cleared in said and "FIFO" not in said, said
    assert of_project(docker, project) == []
    assert not (job / ".in").exists() and not (job / "status.new.1").exists()
    assert job.exists() == (verb != "clean")
    assert list((project / "output/.open").glob("*")) == []
    assert (" Abandoned " in make(project, "jobs").stdout) == (verb != "clean")


KILLED_AT = """
set -euo pipefail
cd "$1"
for file in say record process sidecar; do source "sm_local/lib/$file.sh"; done
dir=output/killed
at_step=0
step() { if (( ++at_step == $2 )); then kill -9 $$; fi; }
set -T
trap 'step - '"$2" DEBUG
beside() { echo there; until_let_go; }
sidecar handback until_let_go
sidecar feeders until_let_go
sidecar credentials beside
trap - DEBUG
echo "all were started: $answer"
"""


def test_a_recipe_that_is_killed_while_it_starts_a_sidecar_leaves_none_waiting(project):
    """At every command of it: to open a FIFO that nobody opens on the other side waits for ever."""
    (project / "output/killed").mkdir()
    for number in range(1, 200):
        for left in (project / "output/killed").iterdir():
            left.unlink()
        command = ["bash", "-p", "-c", KILLED_AT, "killed-at", str(project), str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert eventually(lambda: not processes("killed-at", project)), number
        if done.returncode == 0:
            assert number > 20 and done.stdout == "all were started: there\n", (number, done)
            return
        assert done.returncode == -signal.SIGKILL, (number, done)
    raise AssertionError("it never came to its end")


def parent_of(pid: int) -> int:
    """Return the number of a process's parent."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rpartition(") ")[2].split()[1])


def test_a_killed_listener_leaves_no_client_of_the_engine(project):
    """`docker events` has no end of its own."""
    script(project, SLOW)
    process = start(project)
    assert eventually(lambda: processes("docker events", project))
    (events,) = processes("docker events", project)
    os.kill(parent_of(parent_of(events)), signal.SIGKILL)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 7, said
    assert eventually(lambda: not processes("docker events", project))


NOT_AT_ONCE = """
source sm_local/lib/say.sh; source sm_local/lib/folder.sh
rm() { if [[ ! -e tried ]]; then touch tried; return 1; fi; command rm "$@"; }
job=refused dir=output/refused
mkdir -p $dir/record output/.open; touch output/.open/$job
set -e
forget_job
echo forgotten
"""


def test_a_refused_job_is_forgotten_though_a_process_beside_it_still_writes(project):
    """`rm -r` fails where a file is made in a folder that it has just emptied."""
    assert told(project, NOT_AT_ONCE) == "forgotten"
    assert not (project / "output/refused").exists()
    assert not (project / "output/.open/refused").exists()
