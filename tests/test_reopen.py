"""`make shell JOB=output/NAME` opens a shell in a job: where it has ended, or beside its script."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import clean_environment, containers, jobs, last_job, make, script
from terminal import Terminal, background
from test_ownership import as_user, hand_over

SCRIPT = """
pathlib.Path("/opt/ml/model/weights").write_text("trained")
pathlib.Path("/opt/ml/output/data/result").write_text("seen")
pathlib.Path("/opt/ml/checkpoints/state").write_text("saved")
sys.exit(3)
"""
LOOK = """
echo "$TRAINING_JOB_NAME $A $(cat /opt/ml/input/config/hyperparameters.json)"
cat /opt/ml/model/weights /opt/ml/output/data/result /opt/ml/checkpoints/state; echo
ls /opt/ml/code /opt/ml/input/data/training
"""
each_engine = pytest.mark.parametrize(
    "engine_name", [pytest.param("docker", marks=pytest.mark.engine), "sandbox"]
)


def failed_job(project: Path, *given: str) -> Path:
    """Run a job that fails; change all that it was made from; return its folder."""
    request = project / "job.yaml"
    request.write_text("Environment: {A: 'b c'}\nCheckpointConfig: {}\n")
    script(project, SCRIPT)
    done = make(project, "train", "HP=epochs=7", *given)
    assert "Failed after" in done.stdout, done.stdout
    request.write_text("Environment: {A: other}\n")
    (project / "code/train.py").rename(project / "code/other.py")
    return last_job(project)


def shell(project: Path, typed: str, job: str, prefix=()) -> subprocess.CompletedProcess:
    """Type into the shell of a job."""
    return subprocess.run(
        [*prefix, "make", "shell", f"JOB={job}"],
        cwd=project,
        input=typed,
        text=True,
        capture_output=True,
        timeout=60,
        env=clean_environment(),
        check=False,
    )


def state(folder: Path) -> dict[str, bytes]:
    """Return a folder's files and what is in them."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.usefixtures("image_if_docker")
@each_engine
def test_a_shell_where_a_job_has_ended_has_all_that_it_had(project, engine_name, docker):
    job = failed_job(project, f"ENGINE={engine_name}")
    before = state(job)
    done = shell(project, LOOK, f"output/{job.name}")
    assert done.returncode == 0, done.stderr
    seen, files, *folders = done.stdout.splitlines()
    assert seen.startswith(f'{job.name} b c {{"epochs":"7"')
    assert files == "trainedseensaved"
    assert {"train.py", "train.csv"} <= {*folders} and "other.py" not in folders
    assert f"a shell where {job.name} has ended: its code, copies of its model" in done.stderr
    assert done.stderr.endswith(f"so no folder is kept; output/{job.name} is as it was\n")
    assert jobs(project) == [job] and state(job) == before
    assert containers(docker, project) == []


@pytest.mark.usefixtures("image_if_docker")
@each_engine
def test_what_is_written_there_is_kept_beside_the_job(project, engine_name):
    job = failed_job(project, f"ENGINE={engine_name}")
    before = state(job)
    typed = "echo more > /opt/ml/model/more; echo x > /opt/ml/code/x; rm /opt/ml/model/weights\n"
    done = shell(project, typed, "last")
    (kept,) = [one for one in jobs(project) if one != job]
    assert state(kept / "model") == {"more": b"more\n"} and state(job) == before
    assert (kept / "status").read_text().startswith("Shell ")
    assert done.stderr.endswith(f" is in output/{kept.name}; output/{job.name} is as it was\n")
    assert not (project / "code/x").exists()
    # the last job, and not the shell
    assert "trained" in shell(project, LOOK, "last").stdout


@pytest.mark.linux
@pytest.mark.engine
@pytest.mark.usefixtures("built")
def test_a_user_s_shell_that_wrote_nothing_is_not_kept(project):
    """What is given back to a caller who is not root is no more than what the job left."""
    job = failed_job(project, "ENGINE=docker")
    hand_over(project)
    said = shell(project, "true\n", "last", as_user(project)).stderr
    assert said.endswith(f"so no folder is kept; output/{job.name} is as it was\n"), said
    assert jobs(project) == [job]
    said = shell(project, "echo x > /opt/ml/model/x\n", "last", as_user(project)).stderr
    assert " is in output/" in said and len(jobs(project)) == 2, said


def test_a_shell_beside_a_running_job_is_that_of_attach(project):
    script(project, "print('ready', flush=True); time.sleep(60)")
    train = background(["make", "train", "ENGINE=sandbox"], project)
    assert any(line == "ready\n" for line in train.stdout)
    done = shell(project, "echo $TRAINING_JOB_NAME\n", "last")
    (job,) = jobs(project)
    assert done.stdout == f"{job.name}\n" and "the job goes on" in done.stderr
    make(project, "stop", "STOP_GRACE=0")
    train.communicate(timeout=30)


def test_one_of_several_hosts(project):
    (project / "job.yaml").write_text(
        "ResourceConfig: {InstanceType: ml.m5.xlarge, InstanceCount: 2}\n"
    )
    script(project, "pathlib.Path('/opt/ml/model/of').write_text(os.environ['SM_CURRENT_HOST'])")
    assert make(project, "train", "ENGINE=sandbox").returncode == 0
    (job,) = jobs(project)
    look = "cat /opt/ml/model/of; grep -o 'current_host\":\"[a-z0-9-]*' "
    look += "/opt/ml/input/config/resourceconfig.json\n"
    first = shell(project, look, "last").stdout
    second = shell(project, look, f"output/{job.name}/algo-2").stdout
    assert (first, second) == ('algo-1current_host":"algo-1\n', 'algo-2current_host":"algo-2\n')
    assert f"sm-local: {job.name} has no host algo-3\n" in (
        shell(project, "", f"output/{job.name}/algo-3").stderr
    )


def test_a_person_s_terminal_is_the_shell_s(project):
    failed_job(project, "ENGINE=sandbox")
    terminal = Terminal(["make", "shell", "JOB=last"], project, clean_environment())
    terminal.wait_for("[#$] $")
    terminal.type(b"tty && cat /opt/ml/model/weights; false\n")
    terminal.wait_for("/dev/pts/.*\ntrained")
    terminal.type(b"exit\n")
    assert terminal.wait() == 0, terminal.text


def refusals(job: str) -> list[tuple[list[str], str]]:
    return [
        (["JOB=output/none"], "JOB=output/none: there is no such job; 'make jobs' lists them"),
        (
            [f"JOB=output/{job}", "SHM=1g"],
            "SHM: the shell of an earlier job has that job's settings; leave SHM out",
        ),
    ]


def test_what_cannot_be_reopened_is_one_line(project):
    done = make(project, "shell", "JOB=last")
    assert done.stdout.splitlines()[0] == "sm-local: no job has run yet; 'make train' runs one"
    job = failed_job(project, "ENGINE=sandbox")
    for given, said in refusals(job.name):
        done = make(project, "shell", *given)
        assert done.returncode == 2 and done.stdout.splitlines()[0] == f"sm-local: {said}"
    recipe = job / "recipe.sh"
    recipe.write_text(recipe.read_text().replace("library=1", "library=0"))
    done = make(project, "shell", "JOB=last")
    assert "this recipe is of another version of sm_local/" in done.stdout.splitlines()[0]
    assert jobs(project) == [job]


def test_a_job_without_its_code_is_shown_code_of_today(project):
    job = failed_job(project, "ENGINE=sandbox")
    shutil.rmtree(job / "code")
    done = shell(project, "ls /opt/ml/code\n", "last")
    assert "other.py" in done.stdout.split()
    assert f"the code of {job.name} was not recorded: this is code/ as it is today\n" in done.stderr
