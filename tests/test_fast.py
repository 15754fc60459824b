"""FAST=1: the next job's container is parked; it becomes that job, and is like any other."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matrix
import pytest
from conftest import USER, clean_environment, containers, jobs, last_job, make, script
from sm_local.features import fast as fast_feature
from terminal import background, eventually
from test_ends import of_project
from test_ownership import as_user, hand_over, run
from test_reopen import shell

pytestmark = [pytest.mark.engine, pytest.mark.linux]

SEEN = """
import json, resource
def read(name): return open(name, "rb").read().decode(errors="replace")
mounts = sorted(line.split()[1:3] for line in read("/proc/self/mounts").splitlines())
signals = [line for line in read("/proc/self/status").splitlines() if line.startswith("SigI")]
config = pathlib.Path("/opt/ml/input/config")
seen = {
    "pid": os.getpid(), "argv": read("/proc/1/cmdline"), "cwd": os.getcwd(),
    "processes": sorted(name for name in os.listdir("/proc") if name.isdigit()),
    "environment": dict(os.environ), "mounts": mounts, "signals": signals,
    "files": sorted(os.listdir("/proc/self/fd")), "stdin": os.readlink("/proc/self/fd/0"),
    "umask": os.umask(0o22), "hostname": read("/etc/hostname"),
    "limits": [resource.getrlimit(n) for n in range(10)],
    "config": {path.name: path.read_text() for path in config.iterdir()},
    "ml": sorted(map(str, pathlib.Path("/opt/ml").rglob("*"))),
}
pathlib.Path("/opt/ml/output/data/seen.json").write_text(json.dumps(seen))
sys.stdout.buffer.write(b"no newline, \\xff and \\0 \\r")
time.sleep(0.5)  # which of two streams comes first is up to the engine
sys.stderr.write("after\\n")
"""


@pytest.fixture
def fast(project, built):
    """Return a project that leaves nothing parked; its job has no checkpoints."""
    job = project / "job.yaml"
    job.write_text(re.sub(r"^CheckpointConfig:.*\n(  .*\n)+", "", job.read_text(), flags=re.M))
    yield project
    make(project, "stop")


def train(project: Path, *words: str, status: int = 0) -> str:
    """Run a job with FAST=1 and return what was said."""
    done = make(project, "train", "FAST=1", "ENGINE=docker", *words)
    assert done.returncode == status, done.stdout
    return done.stdout


def is_parked(project: Path) -> bool:
    return (project / "output/.parked/ready/record/parked").exists()


def park(project: Path, *words: str) -> None:
    """Run a job and wait until the next one's container is parked."""
    train(project, *words)
    assert eventually(lambda: is_parked(project)), list(project.glob("output/.parked/*"))


def seen(project: Path) -> dict:
    """Return what the last job saw, without its name."""
    job = last_job(project)
    text = (job / "output/data/seen.json").read_text()
    return json.loads(text.replace(job.name, "JOB"))


def test_a_parked_job_is_like_a_cold_one(fast):
    script(fast, SEEN)
    cold = make(fast, "train", "ENGINE=docker").stdout
    expected, log = seen(fast), (last_job(fast) / "log").read_bytes()
    park(fast)
    assert ", parked" not in cold
    assert ", parked\n" in train(fast)
    found = seen(fast)
    assert found == expected
    assert found["pid"] == 1 and found["processes"] == ["1"]
    assert found["environment"]["TRAINING_JOB_NAME"] == "JOB"
    assert found["environment"]["TRAINING_JOB_ARN"].endswith("/JOB")
    assert (last_job(fast) / "log").read_bytes() == log
    names = {path.name for path in last_job(fast).iterdir()}
    assert names == {path.name for path in jobs(fast)[0].iterdir()}


def test_a_program_without_a_shell_has_no_variable_more(fast):
    script(fast, SEEN)
    with (fast / "job.yaml").open("a") as file:
        file.write(
            "AlgorithmSpecification:\n  TrainingInputMode: File\n"
            "  ContainerEntrypoint: [python3, -u, -E]\n"
            "  ContainerArguments: [/opt/ml/code/train.py, \"it's $x\", '']\n"
        )
    make(fast, "train", "ENGINE=docker")
    expected = seen(fast)
    park(fast)
    assert ", parked\n" in train(fast)
    assert seen(fast) == expected


def test_an_entrypoint_of_the_image_stays(fast, docker):
    with (fast / "container/Dockerfile").open("a") as file:
        file.write('ENTRYPOINT ["env", "FROM=image"]\n')
    name = f"{fast.name}-entrypoint:latest"
    (fast / "settings.local.env").write_text(f"IMAGE={name}\n")
    done = make(fast, "build", "ENGINE=docker")
    assert done.returncode == 0, done.stdout
    try:
        script(fast, "print('from', os.environ['FROM'], flush=True)")
        park(fast)
        said = train(fast)
        assert ", parked\n" in said and "from image\n" in said, said
        make(fast, "stop")
    finally:
        docker.images.remove(name, force=True)


def test_a_job_sees_nothing_of_the_last_one(fast):
    script(
        fast,
        """
print("left:", os.path.exists("/tmp/x"), os.path.exists("/opt/ml/model/x"),
      os.path.exists("/opt/ml/input/data/training/x"), len(os.listdir("/opt/ml/input/data")))
for name in ("/tmp/x", "/opt/ml/model/x", "/opt/ml/input/data/training/x"): open(name, "w")
if not os.fork(): os.setsid(); time.sleep(60)
""",
    )
    park(fast)
    said = train(fast)
    assert ", parked\n" in said and "left: False False False 1" in said
    assert [path.name for path in last_job(fast).joinpath("model").iterdir()] == ["x"]
    assert not (fast / "opt/ml/input/data/training/x").exists()


def test_a_line_of_code_is_never_old(fast):
    script(fast, "print('first')")
    park(fast)
    script(fast, "import new\nprint('second', new.LINE, *sys.argv)\n")
    (fast / "code/new.py").write_text("LINE = 'new'\n")
    said = train(fast, "HP=epochs=7")
    assert ", parked\n" in said and re.search("second new .*--epochs 7", said)
    assert eventually(lambda: is_parked(fast))
    (fast / "code/new.py").unlink()
    script(fast, WAITS)
    job = background(["make", "train", "FAST=1"], fast)
    assert eventually(lambda: is_ready(fast))
    script(fast, "print('third')")
    assert eventually(lambda: (last_job(fast) / "model/go").touch() or job.poll() is not None)
    assert "['process.py', 'train.py']" in job.stdout.read()
    assert "third" not in (last_job(fast) / "code/train.py").read_text()


WAITS = """
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(open("/opt/ml/model/handler", "w").write("ran")))
print(sorted(os.listdir("/opt/ml/code")), flush=True)
pathlib.Path("/opt/ml/output/data/ready").touch()
while not os.path.exists("/opt/ml/model/go"): time.sleep(0.05)
"""


def is_ready(project: Path) -> bool:
    """Return whether the script WAITS of one job has come so far."""
    return len(list(project.glob("output/*/output/data/ready"))) == 1


def test_a_stop_reaches_the_script_and_removes_what_is_parked(fast, docker):
    script(fast, "sys.exit(3)")
    said = train(fast, status=2)
    assert "exit code: 3" in said
    assert eventually(lambda: is_parked(fast))
    assert "parked" in make(fast, "doctor").stdout
    script(fast, WAITS)
    job = background(["make", "train", "FAST=1"], fast)
    assert eventually(lambda: is_ready(fast))
    (name,) = containers(docker, fast, "parked")
    assert name.endswith("-algo-1")
    assert f"{last_job(fast).name} " in make(fast, "jobs").stdout
    stopped = make(fast, "stop").stdout
    assert f"stopping {last_job(fast).name}: SIGTERM now" in stopped
    assert job.wait(30) and ", parked\n" in job.stdout.read()
    assert (last_job(fast) / "model/handler").read_text() == "ran"
    assert (last_job(fast) / "status").read_text().startswith("Stopped ")
    assert not is_parked(fast) and eventually(lambda: not containers(docker, fast, "parked"))


def test_of_two_at_once_one_is_parked(fast):
    park(fast)
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda _: train(fast), range(2)))
    assert sorted(", parked\n" in text for text in said) == [False, True]
    assert len(jobs(fast)) == 3
    assert {(job / "exit-code").read_text() for job in jobs(fast)} == {"0\n"}


def test_checkpoints_have_one_job_at_a_time(project, built, docker):
    script(project, "pass")
    park(project)
    script(project, WAITS)
    job = background(["make", "train", "FAST=1"], project)
    assert eventually(lambda: is_ready(project))
    name = last_job(project).name
    said = make(project, "train", "ENGINE=docker").stdout
    assert f"opt/ml/checkpoints is in use by job {name}; wait for it" in said
    make(project, "stop")
    job.wait(30)


def test_what_is_parked_gives_checkpoints_to_a_job_that_starts_cold(project, built, docker):
    """It has the name that is their lock; a job of another project may want it, too."""
    script(project, "pass")
    park(project)
    other = project.parent / "other" / project.name
    shutil.copytree(project, other, symlinks=True, ignore=shutil.ignore_patterns("output"))
    shutil.rmtree(other / "opt/ml/checkpoints", ignore_errors=True)
    (other / "opt/ml/checkpoints").symlink_to(project / "opt/ml/checkpoints")
    for place in (project, other):
        done = make(place, "train", "ENGINE=docker")
        assert done.returncode == 0, done.stdout
        assert not (project / "output/.parked/ready").exists()
        park(project)
    make(project, "stop")


def change_data(project: Path) -> list[str]:
    (project / "opt/ml/input/data/training/more.csv").write_text("x")
    return []


def change_environment(project: Path) -> list[str]:
    with (project / "job.yaml").open("a") as file:
        file.write("Environment: {OMP_NUM_THREADS: '1'}\n")
    return []


def test_what_does_not_fit_is_not_used(fast, docker):
    script(fast, "pass")
    park(fast)
    changes = {
        "its data": change_data,
        "its environment": change_environment,
        "its settings": lambda _: ["SHM=1g"],
        "its program": lambda _: ["JOB=other.yaml"],
    }
    request = (fast / "job.yaml").read_text()
    (fast / "other.yaml").write_text(
        f"{request}AlgorithmSpecification:\n  ContainerEntrypoint: [python3, -c, pass]\n"
        "  TrainingInputMode: File\nEnvironment: {OMP_NUM_THREADS: '1'}\n"
    )
    for what, change in changes.items():
        said = train(fast, *change(fast))
        assert f"FAST=1 starts this job cold: since the last job {what} changed" in said
        assert eventually(lambda: is_parked(fast))
    assert len(containers(docker, fast, "parked")) == 1


def test_another_image_of_the_same_name_or_other_checkpoints_fit_no_more(project, built, docker):
    """Checkpoints themselves may change: they are mounted as they are, and seen as they are."""
    image = f"{project.name}-another:1"
    given = (f"IMAGE={image}", "CODE=mount")
    script(project, "print('has', sorted(os.listdir('/opt/ml/checkpoints')))")
    other = f"{project.name}-other:1"
    container = docker.containers.create(built, ["true"])
    container.commit(*other.split(":"))
    container.remove()
    docker.images.get(built).tag(image)
    try:
        park(project, *given)
        (project / "opt/ml/checkpoints/1").touch()
        said = train(project, *given)
        assert ", parked\n" in said and "has ['1']" in said
        assert eventually(lambda: is_parked(project))
        checkpoints = project / "opt/ml/checkpoints"
        checkpoints.rename(project / "old")
        checkpoints.mkdir()
        said = train(project, *given)
        assert "cold: since the last job its data changed" in said and "has []" in said
        assert eventually(lambda: is_parked(project))
        docker.images.get(other).tag(image)
        said = train(project, *given)
        assert "FAST=1 starts this job cold: since the last job the image changed" in said
    finally:
        make(project, "stop")
        for name in (image, other):
            docker.images.remove(name, force=True)


def test_out_of_memory_is_named_as_in_a_cold_job(fast, docker):
    script(fast, "print('start', flush=True); a = [bytearray(1 << 20) for _ in range(600)]")
    cold = make(fast, "train", "ENGINE=docker", "DOCKER_ARGS=--memory 64m --memory-swap 64m")
    assert "(exit code 137: out of memory)" in cold.stdout
    expected = verdict(fast, cold.stdout)
    make(fast, "train", "FAST=1", "ENGINE=docker")
    assert eventually(lambda: is_parked(fast))
    (name,) = containers(docker, fast, "parked")
    docker.containers.get(name).update(mem_limit="64m", memswap_limit="64m")
    said = train(fast, status=2)
    assert ", parked\n" in said and verdict(fast, said) == expected
    assert (last_job(fast) / "exit-code").read_text() == "137\n"


def verdict(project: Path, said: str) -> str:
    """Return what was said from the script's first line on, without what differs each time."""
    said = said.partition("\nstart\n")[2].replace(last_job(project).name, "JOB")
    return re.sub(r"\d+ s\b|recipes/\S+", "N", said)


def test_what_is_parked_takes_no_processor(fast, docker):
    script(fast, "pass")
    park(fast)
    (name,) = containers(docker, fast, "parked")
    container = docker.containers.get(name)
    time.sleep(1)  # what it has started meanwhile, and its client, come to rest
    before, start = cpu_of(container), time.monotonic()
    time.sleep(2)
    assert cpu_of(container) - before < 0.01 * (time.monotonic() - start)


def cpu_of(container) -> float:
    """Return how many seconds of a processor a container has used."""
    seen = container.stats(stream=False, one_shot=True)
    return seen["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9


def test_nothing_stays_when_all_is_killed(fast, docker):
    """The parked container ends by itself, and so does what a killed recipe had taken."""
    park(fast, "PARK=2s")
    assert eventually(lambda: not containers(docker, fast, "parked"), 15)
    assert "what was parked has ended" in train(fast)
    assert eventually(lambda: is_parked(fast))
    script(fast, WAITS)
    job = background(["make", "train", "FAST=1"], fast, start_new_session=True)
    assert eventually(lambda: is_ready(fast))
    os.killpg(job.pid, signal.SIGKILL)
    recipe = (last_job(fast) / "record/recipe").read_text().split()[0]
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(recipe), signal.SIGKILL)
    make(fast, "stop")
    assert eventually(lambda: not containers(docker, fast, "parked"))
    assert (last_job(fast) / "model/handler").read_text() == "ran"


def test_what_is_removed_from_outside_leaves_nothing(fast, docker):
    park(fast)
    noted = (fast / "output/.parked/ready/record/parked").read_text().split()
    docker.containers.get(noted[0]).remove(force=True)
    assert "what was parked has ended" in train(fast)
    assert eventually(lambda: is_parked(fast))
    script(fast, WAITS)
    job = background(["make", "train", "FAST=1"], fast, start_new_session=True)
    assert eventually(lambda: is_ready(fast))
    docker.containers.get((last_job(fast) / "container-id").read_text().strip()).remove(force=True)
    assert job.wait(60) == 2
    make(fast, "stop")
    assert eventually(lambda: of_project(docker, fast) == [])


def test_what_is_parked_is_stopped_when_its_folder_is_gone(fast, docker):
    """`git clean -fdx` deletes output/, and has not removed the container."""
    park(fast)
    shutil.rmtree(fast / "output")
    said = make(fast, "stop").stdout
    assert "removed the container that was parked" in said, said
    assert eventually(lambda: not containers(docker, fast, "parked"))


def test_no_list_of_jobs_has_what_is_parked_and_clean_removes_it(fast, docker):
    park(fast)
    assert len(json.loads(make(fast, "jobs", "JSON=1").stdout)) == len(jobs(fast)) == 1
    done = make(fast, "clean", "YES=1")
    assert done.returncode == 0, done.stdout
    assert not (fast / "output/.parked").exists()
    assert eventually(lambda: not containers(docker, fast, "parked"))


def test_a_shell_opens_where_a_parked_job_has_ended(fast):
    script(fast, "open('/opt/ml/model/m', 'w').write('trained')")
    park(fast)
    assert ", parked" in train(fast)
    done = shell(fast, "echo $TRAINING_JOB_NAME; cat /opt/ml/model/m; ls /opt/ml/code\n", "last")
    assert done.stdout.startswith(f"{last_job(fast).name}\ntrained"), done
    assert "train.py" in done.stdout and len(jobs(fast)) == 2


PYTHON = """
import json, threading
print("imported", "decimal" in sys.modules)
import decimal
seen = [sys.argv, sys.path, __name__, __file__, sys.stdin.read(), dict(os.environ), os.getcwd(),
        os.getpid(), threading.active_count(), sorted(globals()), list(sys.flags),
        str(signal.getsignal(signal.SIGTERM)), decimal.__file__]
pathlib.Path("/opt/ml/output/data/seen.json").write_text(json.dumps(seen))
1 / (os.environ["SM_HP_EPOCHS"] == "20")
"""


def test_a_preloaded_script_is_like_any_other(fast):
    """But for the modules; its variables are its own, and so is its traceback."""
    with (fast / "job.yaml").open("a") as file:
        file.write("Environment: {OMP_NUM_THREADS: '1', PYTHONPATH: /usr/games}\n")
    script(fast, PYTHON)
    assert "imported False" in make(fast, "train", "ENGINE=docker").stdout
    expected = seen(fast)
    park(fast, "PRELOAD=decimal")
    said = train(fast, "PRELOAD=decimal")
    assert ", parked, decimal preloaded\n" in said and "imported True" in said
    assert seen(fast) == expected and expected[5]["OMP_NUM_THREADS"] == "1"
    assert eventually(lambda: is_parked(fast))
    said = train(fast, "PRELOAD=decimal", "HP=epochs=3", status=2)
    assert "ZeroDivisionError" in said and "preload" not in said.partition("Traceback")[2]
    assert eventually(lambda: is_parked(fast))
    (fast / "code/decimal.py").write_text("")
    said = train(fast, "PRELOAD=decimal")
    assert "nothing is preloaded: /opt/ml/code/decimal.py is another module" in said
    assert "imported False" in said and seen(fast)[-1] == "/opt/ml/code/decimal.py"


def test_what_cannot_be_imported_is_said(fast):
    script(fast, "pass")
    train(fast, "PRELOAD=nowhere")
    assert eventually(lambda: (fast / "output/.parked/why").exists())
    said = train(fast, "PRELOAD=nowhere")
    reason = "none could be parked: ModuleNotFoundError: No module named 'nowhere'"
    assert f"starts this job cold: {reason}" in said


def test_nothing_of_root_s_is_left_to_others(fast):
    script(fast, "open('/opt/ml/input/data/training/x', 'w'); open('/opt/ml/model/x', 'w')")
    hand_over(fast, "FAST=1")
    first = run(fast)
    assert eventually(lambda: is_parked(fast))
    second = run(fast)
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + second.stdout
    assert ", parked\n" in second.stdout and "root's" not in first.stdout + second.stdout
    assert eventually(lambda: is_parked(fast))
    subprocess.run([*as_user(fast), "make", "stop"], cwd=fast, check=True, env=clean_environment())
    owners = {path.lstat().st_uid for path in (fast / "output").rglob("*")}
    assert owners == {USER if os.geteuid() == 0 else os.geteuid()}
    assert not (fast / "output/.parked").exists()


def test_the_sandbox_says_that_it_needs_none(project):
    script(project, "print('ran')")
    done = make(project, "train", "FAST=1", "ENGINE=sandbox")
    assert "FAST=1 starts this job cold: the sandbox has no container" in done.stdout
    assert done.returncode == 0


REASONS = {
    "two-hosts": "it has several hosts",
    "pipe": "a channel is in Pipe mode",
    "from-s3": "a channel is in Pipe mode",
    "isolated": "its network is isolated",
}


@pytest.mark.parametrize("job", REASONS)
def test_what_cannot_be_parked_says_why(job, tmp_path, monkeypatch):
    matrix.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    text = matrix.write("train", "docker", job, "fast")
    assert f"say 'FAST=1 starts this job cold: {REASONS[job]}'" in text
    assert "parked" not in text


@pytest.mark.parametrize("text, seconds", [("90s", 90), ("15m", 900), ("2h", 7200)])
def test_how_long_one_is_parked(text, seconds):
    assert fast_feature.seconds(text) == seconds
