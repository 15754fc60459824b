"""Root inside, yours outside: a member of the docker group never ends up with root's files."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import pytest
from conftest import PROJECT, USER, clean_environment, containers, jobs, last_job, make, script
from projects import docker_user
from terminal import CTRL_C, Terminal, background, eventually, processes

pytestmark = [pytest.mark.engine, pytest.mark.linux, pytest.mark.usefixtures("built")]

WRITES = """
import util
places = ("model", "output/data", "checkpoints", "code", "input/data/training")
for d in ("/opt/ml/" + place for place in places):
    os.makedirs(d + "/made/deep", exist_ok=True); open(d + "/made/deep/f", "w").write("x")
    os.chmod(d + "/made/deep", 0o700)
    if not os.path.lexists(d + "/link"): os.symlink("/etc/passwd", d + "/link")
"""


def as_user(project) -> list[str]:
    """Return the command prefix that makes us an unprivileged member of the docker group."""
    return docker_user()


def hand_over(project, *arguments: str) -> None:
    """Write the recipe, so that the user needs no Python, and give the project to that user."""
    make(project, "recipe", "ENGINE=docker", *arguments)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-hR", f"{USER}:{USER}", project], check=True)


@pytest.fixture
def theirs(project):
    """Return a project that belongs to the unprivileged user."""
    (project / "code/util.py").write_text("x = 1\n")
    hand_over(project)
    return project


def run(project, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*as_user(project), "bash", "recipes/train.sh"],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
        env=clean_environment(HOME="/nonexistent"),
        **options,
    )


def chown(project) -> subprocess.CompletedProcess:
    """Run what `make chown` runs, as the user."""
    return subprocess.run(
        [*as_user(project), "bash", "sm_local/libexec/chown.sh"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(HOME="/nonexistent"),
    )


def as_root(project, image: str, command: str) -> None:
    """Run a shell command as root, in a container that has the project as its working directory."""
    mount = ["--mount", f"type=bind,source={project},target=/w", "--workdir", "/w"]
    subprocess.run(["docker", "run", "--rm", *mount, image, "sh", "-c", command], check=True)


def roots(project) -> list[str]:
    """Return everything in the project that root owns; our own files if we are root."""
    found = subprocess.run(
        ["find", project, "-user", "0"], capture_output=True, text=True, check=True
    ).stdout
    return found.splitlines()


def test_after_success(theirs, docker):
    outside = theirs.parent / "outside"
    outside.mkdir()
    (outside / "of-root").write_text("r")
    script(theirs, WRITES + f"os.symlink({str(outside)!r}, '/opt/ml/model/outside')")
    done = run(theirs)
    assert done.returncode == 0, done.stdout
    assert roots(theirs) == []
    assert (outside / "of-root").stat().st_uid == os.geteuid()
    assert os.stat("/etc/passwd").st_uid == 0
    assert containers(docker, theirs) == []
    assert eventually(
        lambda: (
            docker.api.containers(
                all=True, filters={"label": f"sm-local.helper={last_job(theirs).name}"}
            )
            == []
        )
    )


def other_owners(folder) -> set[int]:
    """Return the other owners of what is in a folder."""
    return {os.lstat(path).st_uid for path in folder.rglob("*")} - {os.geteuid() or USER}


OTHERS = (
    WRITES
    + """
for d in ("/opt/ml/model", "/opt/ml/output/data", "/opt/ml/checkpoints"):
    open(d + "/unpacked", "w"); os.chown(d + "/unpacked", 4711, 4711)
    os.mkdir(d + "/theirs", 0o700); os.chown(d + "/theirs", 4711, 4711)
"""
)


def test_what_a_job_gave_to_others_is_the_caller_s_in_its_folder_alone(theirs):
    script(theirs, OTHERS)
    assert run(theirs).returncode == 0
    assert other_owners(last_job(theirs)) == set() and roots(theirs) == []
    assert (theirs / "opt/ml/checkpoints/unpacked").stat().st_uid == 4711


def test_make_chown_gives_back_what_others_own_in_the_caller_s_jobs_alone(theirs, built):
    leave = (
        "for j in mine colleague; do mkdir -p output/$j/model/d; touch output/$j/recipe.sh "
        "output/$j/model/d/f; chown -R 4711:4711 output/$j; done"
    )
    as_root(theirs, built, f"{leave}; chown {os.geteuid() or USER} output/mine")
    done = chown(theirs)
    assert done.returncode == 0 and "yours again: output\n" in done.stderr, done.stderr
    assert other_owners(theirs / "output/mine") == set() and other_owners(
        theirs / "output/colleague"
    ) == {4711}


def test_after_failure(theirs):
    script(theirs, WRITES + "sys.exit(9)")
    assert run(theirs).returncode == 9
    assert roots(theirs) == []


def test_after_two_hosts(theirs):
    (theirs / "job.yaml").write_text(
        "ResourceConfig: {InstanceType: ml.c5.xlarge, InstanceCount: 2}\n"
    )
    script(theirs, WRITES.replace("/opt/ml/checkpoints", "/opt/ml/output"))
    hand_over(theirs)
    assert run(theirs).returncode == 0
    assert roots(theirs) == []
    assert [path.name for path in jobs(theirs)[-1].glob("*/cow")] == []


def test_a_job_s_code_that_cannot_be_removed_at_once(theirs):
    made = theirs / "code/made"
    made.mkdir()
    (made / "f").write_text("x")
    made.chmod(0o555)
    script(theirs, WRITES)
    hand_over(theirs)
    assert run(theirs).returncode == 0
    assert roots(theirs) == [] and not (last_job(theirs) / "cow").exists()


def test_a_link_out_of_the_project_keeps_its_owner(theirs, tmp_path):
    outside = tmp_path / "outside"
    (outside / "old").mkdir(parents=True)
    (outside / "old/f").write_text("root's")
    if os.geteuid() == 0:
        outside.chmod(0o755)
    shutil.rmtree(theirs / "opt/ml/checkpoints", ignore_errors=True)
    (theirs / "opt/ml/checkpoints").symlink_to(outside)
    script(theirs, WRITES + "os.utime('/opt/ml/checkpoints/made/deep/f', (0, 0))")
    assert run(theirs).returncode == 0
    owners = {str(path.relative_to(outside)): path.lstat().st_uid for path in outside.rglob("*")}
    root, user = os.geteuid(), USER if os.geteuid() == 0 else os.geteuid()
    assert owners == {
        "old": root,
        "old/f": root,
        "link": user,
        "made": user,
        "made/deep": user,
        "made/deep/f": user,
    }
    assert outside.stat().st_uid == root


def test_after_ctrl_c(theirs):
    script(theirs, WRITES + "print('ready', flush=True); time.sleep(60)")
    hand_over(theirs, "INTERRUPT_GRACE=1")
    terminal = Terminal(
        [*as_user(theirs), "bash", "recipes/train.sh"],
        theirs,
        clean_environment(HOME="/nonexistent"),
    )
    terminal.wait_for("ready")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert roots(theirs) == []


def test_make_chown_beside_a_job_leaves_it_what_it_runs_on(theirs):
    """Its copy of code/, and what it changes of its channels."""
    script(theirs, WRITES + "print('ready', flush=True); time.sleep(60)")
    hand_over(theirs, "INTERRUPT_GRACE=1")
    terminal = running(theirs)
    done = chown(theirs)
    assert done.returncode == 0 and "yours again: " in done.stderr, done.stderr
    assert (jobs(theirs)[-1] / "cow/+copy/train.py").exists()
    terminal.type(CTRL_C)
    assert terminal.wait() == 130 and roots(theirs) == []
    assert not (jobs(theirs)[-1] / "cow").exists()


def test_after_kill_9_of_the_recipe(theirs, docker):
    script(
        theirs,
        WRITES + "print('ready', flush=True); time.sleep(3); open('/opt/ml/model/late', 'w')",
    )
    process = background(
        [*as_user(theirs), "bash", "recipes/train.sh"],
        theirs,
        stderr=None,
        env=clean_environment(HOME="/nonexistent"),
    )
    while "ready" not in process.stdout.readline():
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert eventually(lambda: containers(docker, theirs) == [] and roots(theirs) == [], 30), roots(
        theirs
    )
    job = jobs(theirs)[-1]
    assert (job / "model/late").exists() and (job / "exit-code").read_text() == "0\n"


def running(theirs):
    """Start a job as the user, on a terminal, and return that once the script runs."""
    terminal = Terminal(
        [*as_user(theirs), "bash", "recipes/train.sh"],
        theirs,
        clean_environment(HOME="/nonexistent"),
    )
    terminal.wait_for("ready")
    return terminal


@pytest.mark.parametrize("pause", [0.05, 0.3, 1])
def test_after_ctrl_c_again_and_again(theirs, docker, pause):
    """What gives files back is in no process group of the terminal's."""
    script(theirs, WRITES + "print('ready', flush=True); time.sleep(60)")
    terminal = running(theirs)
    for _ in range(5):
        with contextlib.suppress(OSError):  # it has ended
            terminal.type(CTRL_C)
            terminal.read(pause)
    assert terminal.wait() == 130
    assert roots(theirs) == [] and eventually(lambda: containers(docker, theirs, "helper") == [])


def test_after_kill_9_of_everything_the_next_verb_gives_back(theirs, docker):
    late = "print('ready', flush=True); time.sleep(3); open('/opt/ml/model/late', 'w')"
    script(theirs, WRITES + late)
    terminal = running(theirs)
    for process in processes(r"^(\S*bash .*recipes/train.sh|docker (run|events) |tee )", theirs):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    terminal.reap(time.monotonic() + 10)
    assert eventually(lambda: containers(docker, theirs) == [])
    assert (jobs(theirs)[-1] / "model/late").exists()
    done = subprocess.run(
        [*as_user(theirs), "bash", "sm_local/libexec/stop.sh"],
        cwd=theirs,
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(HOME="/nonexistent"),
    )
    assert "had left behind: " in done.stderr, done.stderr
    assert roots(theirs) == [] and containers(docker, theirs, "helper") == []
    assert (jobs(theirs)[-1] / "status").read_text() == "Abandoned\n"


def test_an_image_without_chown_or_shell(theirs, docker, base_image, built):
    dockerfile = theirs.parent / "Dockerfile"
    dockerfile.write_text(
        f"FROM {built}\nRUN rm -f /bin/chown /usr/bin/chown /bin/sh /bin/dash "
        "/usr/bin/sh /usr/bin/dash /bin/bash /usr/bin/find\n"
    )
    subprocess.run(
        [
            "docker",
            "build",
            "--quiet",
            "--tag",
            f"{PROJECT}-bare:latest",
            "-f",
            dockerfile,
            theirs / "container",
        ],
        check=True,
        capture_output=True,
    )
    try:
        script(theirs, WRITES)
        (theirs / "job.yaml").write_text(
            "AlgorithmSpecification: {ContainerEntrypoint: [python3, /opt/ml/code/train.py]}\n"
            "CheckpointConfig: {}\n"
        )
        hand_over(theirs, f"IMAGE={PROJECT}-bare:latest", "CODE=mount")
        done = run(theirs)
        assert done.returncode == 0, done.stdout
        assert roots(theirs) == [], done.stdout
    finally:
        docker.images.remove(f"{PROJECT}-bare:latest", force=True)


def test_a_missing_image_is_one_line_here_too(theirs):
    hand_over(theirs, "IMAGE=nowhere/none:1")
    done = run(theirs)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:] == [
        "sm-local: image 'nowhere/none:1' is not here; 'docker pull nowhere/none:1' fetches it"
    ]
    assert jobs(theirs) == [] and roots(theirs) == []


def test_channels_rw_gives_back_what_is_new_and_leaves_a_colleague_s_data(theirs):
    channel = theirs / "opt/ml/input/data/training"
    (channel / "old-of-root").write_text("r")
    if os.geteuid() == 0:
        os.utime(channel / "old-of-root", (1e9, 1e9))
        (channel / "colleague").write_text("c")
        os.chown(channel / "colleague", 4321, 4321)
    make(theirs, "recipe", "CHANNELS=rw", "ENGINE=docker")
    if os.geteuid() == 0:
        subprocess.run(
            ["chown", "-hR", f"{USER}:{USER}", theirs / "recipes", theirs / "output"], check=True
        )
    script(theirs, WRITES)
    assert run(theirs).returncode == 0
    assert (
        (channel / "made/deep/f").stat().st_uid != 0
        or os.geteuid() == 0
        and (channel / "made/deep/f").stat().st_uid == USER
    )
    if os.geteuid() == 0:
        assert (channel / "old-of-root").stat().st_uid == 0
        assert (channel / "colleague").stat().st_uid == 4321


def test_make_chown_gives_back_what_an_interrupted_machine_left(theirs, built):
    left = theirs / "output/job-1/model"
    left.mkdir(parents=True)
    leave = (
        "mkdir -p output/job-1/model/d && touch output/job-1/recipe.sh output/job-1/model/d/f "
        "code/x && ln -s /etc output/job-1/model/l"
    )
    as_root(theirs, built, leave)
    if os.geteuid() == 0:
        subprocess.run(["chown", f"{USER}:{USER}", left, left.parent], check=True)
    assert roots(theirs)
    done = chown(theirs)
    assert done.returncode == 0 and "yours again: output code" in done.stderr, done.stderr
    assert roots(theirs) == []
    done = chown(theirs)
    assert "nothing here belongs to root" in done.stderr


def clean(project) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*as_user(project), "bash", "sm_local/libexec/clean.sh", "1"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(HOME="/nonexistent"),
    )


def test_make_clean_says_why_it_could_not_delete_all(theirs, built):
    closed = theirs / "output/j/closed"
    (closed / "in").mkdir(parents=True)
    own = "" if os.geteuid() else f"chown -R {USER}:{USER} output && "

    def as_root(command):
        subprocess.run(
            [
                "docker",
                "run",
                "--rm",
                "--mount",
                f"type=bind,source={theirs},target=/w",
                "--workdir",
                "/w",
                built,
                "sh",
                "-c",
                command,
            ],
            check=True,
        )

    as_root(f"{own}chmod 0 output/j/closed")
    done = clean(theirs)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert (
        "sm-local: not all is deleted (rm: " in done.stderr
        and "'chmod -R u+rwX output' may open what is closed" in done.stderr
    )
    as_root(
        "chmod 700 output/j/closed && mkdir -p output/j/closed && chown -R 4711 output/j/closed"
    )
    assert (
        clean(theirs).stderr
        == "sm-local: not all is deleted: output/j/closed is another user's; ask them\n"
    )
    as_root("chown -R 0 output/j/closed")
    assert (
        "some files are root's (output/j/closed); 'make chown' gives them to you, then clean again"
        in clean(theirs).stderr
    )


def test_make_clean_after_all_that(theirs):
    script(theirs, WRITES)
    run(theirs)
    done = clean(theirs)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (theirs / "output").iterdir()) in ([], [".gitignore"])
