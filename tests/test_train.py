"""`make train` on a real Docker engine: what the container finds, what is left, what is said."""

import json
import os
import re
import shutil
import socket
import subprocess
import tarfile
import time

import pytest
from conftest import PROJECT, clean_environment, containers, jobs, last_job, make, script
from terminal import background, eventually

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("built")]


def test_train_ends_with_a_model_and_says_where_it_is(project):
    done = make(project, "train")
    assert done.returncode == 0, done.stdout
    job = last_job(project)
    assert re.search(r"epoch=\d+; train_loss=[\d.]+;", done.stdout)
    assert (
        f"Completed in {(job / 'status').read_text().split()[1]} s; model: "
        f"output/{job.name}/model\n"
    ) in done.stdout
    assert (job / "model/model.json").exists()
    assert (job / "exit-code").read_text() == "0\n"
    assert [line for line in (job / "log").read_text().splitlines() if line.startswith("epoch=")]


def test_archives_follow_the_byte_rules(project):
    script(
        project,
        """
os.makedirs("/opt/ml/model/sub/empty"); open("/opt/ml/model/sub/w", "w").write("w")
open("/opt/ml/model/.hidden", "w")
os.chmod("/opt/ml/model/sub/w", 0o640); os.utime("/opt/ml/model/sub/w", (1e9, 1e9))
open("/opt/ml/model/--help", "w")
open("/opt/ml/output/data/e.json", "w"); open("/opt/ml/output/other", "w")
open("/opt/ml/output/failure", "w")
""",
    )
    make(project, "train")
    with tarfile.open(last_job(project) / "model.tar.gz") as archive:
        members = {member.name: member for member in archive}
    assert sorted(members) == ["--help", ".hidden", "sub", "sub/empty", "sub/w"]
    assert {
        (member.uid, member.gid, member.uname, member.gname) for member in members.values()
    } == {(0, 0, "", "")}
    assert (members["sub/w"].mode, members["sub/w"].mtime) == (0o640, 1e9)
    with tarfile.open(last_job(project) / "output.tar.gz") as archive:
        assert archive.getnames() == ["e.json"]
    listed = subprocess.run(
        ["tar", "tzf", last_job(project) / "model.tar.gz"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "sub/" in listed and "./" not in listed


@pytest.mark.linux
@pytest.mark.parametrize(
    "replaced", ["os.symlink('/etc/apt', '/opt/ml/output/data')", ""], ids=["link", "removed"]
)
def test_what_a_link_in_place_of_output_data_leads_to_is_not_packed(project, replaced):
    script(
        project,
        f"os.rmdir('/opt/ml/output/data'); open('/opt/ml/model/m', 'w').write('m')\n{replaced}",
    )
    done = make(project, "train", "ENGINE=sandbox")
    job = last_job(project)
    assert (
        done.returncode == 0
        and (job / "model.tar.gz").exists()
        and not (job / "output.tar.gz").exists()
    )
    said = [line for line in done.stdout.splitlines() if "output/data" in line]
    assert said == (
        [f"sm-local: output/{job.name}/output/data is a link; what it leads to is not packed"]
        if replaced
        else []
    )


def test_an_edit_needs_no_build(project, docker, built):
    image = docker.images.get(built).id
    script(project, "print('edited')")
    assert "\nedited\n" in make(project, "train").stdout
    assert docker.images.get(built).id == image


def test_train_passes_on_the_exit_status(project):
    script(
        project,
        "open('/opt/ml/output/failure', 'w').write('no rain'); open('/opt/ml/model/half', "
        "'w').write('h'); sys.exit(7)",
    )
    done = make(project, "train")
    assert done.returncode == 2
    assert "Error 7" in done.stdout
    assert "AlgorithmError: no rain, exit code: 7" in done.stdout
    assert (last_job(project) / "exit-code").read_text() == "7\n"
    assert (last_job(project) / "model.tar.gz").exists()
    recipe = subprocess.run(
        ["bash", "recipes/train.sh"], cwd=project, capture_output=True, check=False
    )
    assert recipe.returncode == 7


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        pytest.param(
            "os.kill(os.getpid(), 0); sys.exit(125)",
            125,
            "exit code: 125",
            id="125-is-the-script's-own",
        ),
        pytest.param(
            "import ctypes; signal.signal(11, signal.SIG_DFL); sys.exit(139)",
            139,
            "SIGSEGV",
            id="139",
        ),
        pytest.param("sys.exit(143)", 143, "SIGTERM", id="143"),
        pytest.param("sys.exit(137)", 137, "SIGKILL", id="137"),
    ],
)
def test_a_plain_word_for_a_status_that_is_not_the_script_s_own(project, body, code, words):
    script(project, body)
    done = make(project, "train")
    assert words in done.stdout and f"exit code: {code}" in done.stdout
    assert (last_job(project) / "exit-code").read_text() == f"{code}\n"


def test_out_of_memory_is_named(project):
    script(project, "print('start', flush=True); a = [bytearray(1 << 20) for _ in range(600)]")
    done = make(project, "train", "DOCKER_ARGS=--memory 64m --memory-swap 64m")
    assert (
        "ClientError: Please use an instance type with more memory, or reduce the size of job "
        "data processed on an instance. "
        "(exit code 137: out of memory)"
    ) in done.stdout
    assert (last_job(project) / "exit-code").read_text() == "137\n"


def test_limits_hold_a_job_to_its_instance_type(project, docker):
    script(project, "print('ready', flush=True); time.sleep(20)")
    (project / "job.yaml").write_text("ResourceConfig: {InstanceType: ml.t3.medium}\n")
    process = background(["make", "train", "LIMITS=on"], project, stderr=None)
    while "ready" not in process.stdout.readline():
        assert process.poll() is None
    (container,) = docker.containers.list(filters={"label": f"sm-local.project={project}"})
    host = container.attrs["HostConfig"]
    container.kill()
    process.communicate(timeout=30)
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (
        min(2, os.cpu_count()) * 10**9,
        4 << 30,
        4 << 30,
    )
    (project / "job.yaml").write_text("ResourceConfig: {InstanceType: ml.p3.2xlarge}\n")
    assert "there are no figures for ml.p3.2xlarge" in make(project, "train", "LIMITS=on").stdout


def test_the_failure_text_is_cut_at_1024_characters(project):
    script(
        project,
        "open('/opt/ml/output/failure', 'w', encoding='utf-8').write('é' * 5000); sys.exit(1)",
    )
    done = make(project, "train")
    reason = re.search(r"Failed after \d+ s: (AlgorithmError: é+)", done.stdout).group(1)
    assert len(reason) <= 1024 and len(reason.encode()) > 1000


def test_a_program_that_is_missing_is_127(project):
    (project / "job.yaml").write_text(
        "AlgorithmSpecification: {ContainerEntrypoint: [no-such-program]}\n"
    )
    done = make(project, "train")
    assert "was not found" in done.stdout and "exit code: 127" in done.stdout


def test_a_missing_image_is_one_line_and_nothing_is_left(project, docker):
    make(project, "train")
    before = last_job(project)
    done = make(project, "train", "IMAGE=nowhere/none:1")
    lines = [line for line in done.stdout.splitlines() if not line.startswith("make:")]
    assert lines[1:] == [
        "sm-local: image 'nowhere/none:1' is not here; 'docker pull nowhere/none:1' fetches it"
    ]
    assert last_job(project) == before and len(jobs(project)) == 1
    (project / "settings.local.env").write_text("IMAGE=not-built:latest\n")
    done = make(project, "train")
    assert "image 'not-built:latest' was not built in this folder; run 'make build'" in done.stdout
    assert "docker: " not in done.stdout


@pytest.fixture
def image_of_its_own(project, docker):
    """Give a project an image that it may build again: the tests' one stays as it is."""
    name = f"{PROJECT}-changed:latest"
    (project / "settings.local.env").write_text(f"IMAGE={name}\n")
    yield
    docker.images.remove(name, force=True)


def test_a_changed_container_folder_is_a_warning(project, image_of_its_own):
    assert make(project, "build").returncode == 0
    assert "changed since" not in make(project, "train").stdout
    with open(project / "container/requirements.txt", "a") as file:
        file.write("# one more\n")
    done = make(project, "train")
    assert "container/ changed since the image was built; run 'make build'" in done.stdout
    assert done.returncode == 0


PROBE = """
import json, socket
mounts = [line.split()[1] for line in open("/proc/mounts")]
config = "/opt/ml/input/config"
seen = {
    "argv": open("/proc/1/cmdline").read().split("\\0")[:-1], "env": dict(os.environ),
    "cwd": os.getcwd(), "uid": os.getuid(), "pid": os.getpid(),
    "tty": [os.isatty(0), os.isatty(1)], "stdin": sys.stdin.read(),
    "hostname": socket.gethostname(), "algo": socket.gethostbyname("algo-1"),
    "mounts": [mount for mount in mounts if mount.startswith("/opt/ml")],
    "shm": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize,
    "nofile": __import__("resource").getrlimit(7)[0],
    "config": {name: open(f"{config}/{name}").read() for name in os.listdir(config)},
    "empty": [os.listdir("/opt/ml/model"), os.listdir("/opt/ml/output/data")],
}
for place in ("input", "input/config", "model", "output", "input/data/training"):
    path = "/opt/ml/" + place
    open(path + "/.written", "w").close(); os.remove(path + "/.written")
open("/opt/ml/output/data/seen.json", "w").write(json.dumps(seen))
"""


@pytest.mark.parametrize("engine_name", ["docker", "sandbox"])
def test_what_the_container_finds(project, engine_name):
    """The bare platform: the script is process 1, and container/train has no part in it."""
    script(project, PROBE)
    (project / "job.yaml").write_text(
        "TrainingJobName: Churn-Model\n"
        "AlgorithmSpecification: {ContainerEntrypoint: [python3, /opt/ml/code/train.py]}\n"
        'Environment: {A: "x y=$HOME\'\\"\\n\\u00e9"}\n'
        "CheckpointConfig: {LocalPath: /opt/ml/state}\n"
        "ResourceConfig: {InstanceType: ml.c5.xlarge}\n"
    )
    done = make(project, "train", f"ENGINE={engine_name}")
    assert done.returncode == 0, done.stdout
    seen = json.loads((last_job(project) / "output/data/seen.json").read_text())
    job = last_job(project).name
    assert job.startswith("Churn-Model-")
    names = (
        "TRAINING_JOB_NAME",
        "TRAINING_JOB_ARN",
        "AWS_REGION",
        "DMLC_INTERFACE",
        "NVIDIA_VISIBLE_DEVICES",
        "A",
        "HOSTNAME",
    )
    assert {key: seen["env"][key] for key in names} == {
        "TRAINING_JOB_NAME": job,
        "TRAINING_JOB_ARN": f"arn:aws:sagemaker:us-west-2:123456789012:training-job/{job.lower()}",
        "AWS_REGION": "us-west-2",
        "DMLC_INTERFACE": "eth0",
        "NVIDIA_VISIBLE_DEVICES": "void",
        "A": "x y=$HOME'\"\né",
        "HOSTNAME": "ip-10-0-0-1.us-west-2.compute.internal",
    }
    assert not [key for key in seen["env"] if key.startswith("SM_") or key == "AWS_DEFAULT_REGION"]
    assert (seen["pid"], seen["uid"], seen["cwd"], seen["tty"], seen["stdin"]) == (
        1,
        0,
        "/",
        [False, False],
        "",
    )
    assert (
        seen["hostname"] == "ip-10-0-0-1.us-west-2.compute.internal" and seen["algo"] == "127.0.0.1"
    )
    assert sorted(set(seen["mounts"])) == [
        f"/opt/ml/{part}"
        for part in ("code", "input/config", "input/data/training", "model", "output", "state")
    ]
    assert seen["empty"] == [[], []]
    assert seen["shm"] == 2 << 30
    assert seen["config"] == {
        "hyperparameters.json": json.dumps(
            json.loads((project / "opt/ml/input/config/hyperparameters.json").read_text()),
            separators=(",", ":"),
        ),
        "inputdataconfig.json": (
            '{"training":{"TrainingInputMode":"File",'
            '"S3DistributionType":"FullyReplicated","RecordWrapperType":"None"}}'
        ),
        "resourceconfig.json": (
            '{"current_host":"algo-1","current_instance_type":"ml.c5.xlarge",'
            '"current_group_name":"homogeneousCluster","hosts":["algo-1"],'
            '"instance_groups":[{"instance_group_name":"homogeneousCluster",'
            '"instance_type":"ml.c5.xlarge","hosts":["algo-1"]}],'
            '"network_interface_name":"eth0","topology":null}'
        ),
        "metric-definition-regex.json": "[]",
        "checkpointconfig.json": '{"LocalPath":"/opt/ml/state"}',
    }
    if engine_name == "docker":
        assert seen["argv"][-2:] == ["python3", "/opt/ml/code/train.py"] and seen["nofile"] >= 1024


@pytest.mark.parametrize("engine_name", ["docker", "sandbox"])
def test_a_job_without_channels_has_the_folder_of_channels(project, engine_name):
    shutil.rmtree(project / "opt/ml/input/data")
    script(project, "open('/opt/ml/input/data/written', 'w'); print(os.listdir('/opt/ml/input'))")
    done = make(project, "train", f"ENGINE={engine_name}")
    assert done.returncode == 0, done.stdout
    assert not (last_job(project) / "pipes").exists()


@pytest.mark.parametrize("engine_name", ["docker", "sandbox"])
def test_folders_that_are_uploaded_during_a_job(project, engine_name):
    """The debugger uses its default path, TensorBoard another one, with a comma and a quote."""
    elsewhere = '/opt/board,"a; touch pwned'
    (project / "job.yaml").write_text(
        json.dumps(
            {
                "DebugHookConfig": {"S3OutputPath": "s3://b/d"},
                "TensorBoardOutputConfig": {"S3OutputPath": "s3://b/t", "LocalPath": elsewhere},
            }
        )
    )
    script(
        project,
        "assert 'training' not in os.listdir('/opt/ml/output'); "
        f"open('/opt/ml/output/tensors/t', 'w'); open({elsewhere!r} + '/b', 'w')",
    )
    done = make(project, "train", f"ENGINE={engine_name}")
    assert done.returncode == 0, done.stdout
    job = last_job(project)
    assert (
        (job / "output/tensors/t").exists()
        and (job / "tensorboard/b").exists()
        and not (job / "output.tar.gz").exists()
    )


def test_a_folder_below_output_may_have_any_name(project):
    inside = "/opt/ml/output/my board; touch pwned"
    (project / "job.yaml").write_text(
        json.dumps(
            {
                "TensorBoardOutputConfig": {"LocalPath": inside},
                "CheckpointConfig": {"LocalPath": "/opt/ml/code/runs"},
            }
        )
    )
    script(project, f"open({inside!r} + '/b', 'w'); open('/opt/ml/code/runs/c', 'w')")
    done = make(project, "train", "ENGINE=sandbox")
    assert done.returncode == 0, done.stdout
    assert (last_job(project) / "output/my board; touch pwned/b").exists() and (
        project / "opt/ml/checkpoints/c"
    ).exists()
    assert not list(project.rglob("pwned"))


def test_output_without_compression_has_no_archives(project):
    (project / "job.yaml").write_text(
        json.dumps({"OutputDataConfig": {"S3OutputPath": "s3://b/o", "CompressionType": "NONE"}})
    )
    done = make(project, "train", "ENGINE=sandbox", "HP=epochs=1", "PACK=always")
    assert done.returncode == 0 and list(last_job(project).glob("*.tar.gz")) == [], done.stdout


def test_the_sandbox_says_what_it_leaves_out_and_runs_the_code_that_is_here(project):
    (project / "job.yaml").write_text(
        json.dumps(
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "123456789012.dkr.ecr.us-west-2.amazonaws.com/x:1"
                }
            }
        )
    )
    done = make(project, "train", "ENGINE=sandbox", "HP=epochs=1", "DOCKER_ARGS=--env A=1")
    assert (
        "sm-local: the sandbox has no containers: TrainingImage, DOCKER_ARGS left out\n"
        in done.stdout
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("engine_name", ["docker", "sandbox"])
def test_a_channel_is_writable_and_the_user_s_files_untouchable(project, engine_name):
    channel = project / "opt/ml/input/data/training"
    before = {path.name: path.read_bytes() for path in channel.iterdir()}
    (project / "opt/ml/input/data/fast").mkdir()
    (project / "opt/ml/input/data/fast/f").write_text("f")
    script(
        project,
        """
d = "/opt/ml/input/data/training"
for name in os.listdir(d): open(d + "/" + name, "a").write("more")
os.remove(d + "/" + os.listdir(d)[0]); open(d + "/new", "w").write("n")
try: open("/opt/ml/input/data/fast/x", "w")
except OSError as error: print("fast:", error.strerror)
""",
    )
    (project / "job.yaml").write_text(
        "InputDataConfig: [{ChannelName: training}, {ChannelName: fast, InputMode: FastFile}]\n"
    )
    done = make(project, "train", f"ENGINE={engine_name}")
    assert done.returncode == 0 and "fast: Read-only file system" in done.stdout, done.stdout
    assert {path.name: path.read_bytes() for path in channel.iterdir()} == before
    assert not (last_job(project) / "cow").exists() and not (last_job(project) / "stage").exists()
    done = make(project, "train", f"ENGINE={engine_name}", "CHANNELS=ro")
    assert "Read-only file system" in done.stdout and done.returncode == 2


def test_channels_rw_writes_into_the_user_s_files(project):
    script(project, "open('/opt/ml/input/data/training/new', 'w').write('n')")
    assert make(project, "train", "CHANNELS=rw").returncode == 0
    assert (project / "opt/ml/input/data/training/new").read_text() == "n"


def test_model_and_output_are_links_and_a_person_s_files_are_kept(project):
    (project / "opt/ml/model").mkdir(exist_ok=True)
    (project / "opt/ml/model/mine.bin").write_text("mine")
    first = make(project, "train")
    job = last_job(project)
    assert f"output/before-{job.name}/model" in first.stdout
    assert (project / f"output/before-{job.name}/model/mine.bin").read_text() == "mine"
    make(project, "train")
    assert last_job(project) != job and (job / "model/model.json").exists()
    assert sorted(path.name for path in (job / "model").iterdir()) == ["model.json"]


@pytest.mark.parametrize("before", ["job", "person", "empty", "nothing", "foreign"])
def test_a_refused_job_leaves_the_links_as_they_were(project, before):
    places = [project / "opt/ml" / name for name in ("model", "output")]
    if before == "job":
        make(project, "train", "ENGINE=sandbox")
        script(project, "sys.exit(1)")
        make(project, "train", "ENGINE=sandbox", "JOB=job.yaml")
        for place in places:  # links to an earlier job, not the last one
            place.unlink()
            place.symlink_to(f"../../output/{jobs(project)[0].name}/{place.name}")
    else:
        for place in places:
            if place.is_dir():
                place.rmdir()
            if before in ("person", "empty"):
                place.mkdir()
            if before == "person":
                (place / "mine").write_text("mine")
            if before == "foreign":
                place.symlink_to("/nonexistent/elsewhere")

    def tree():
        return sorted(
            (str(path), os.readlink(path) if path.is_symlink() else "")
            for place in places
            for path in [place, *place.rglob("*")]
            if os.path.lexists(path)
        )

    was = tree()
    done = make(project, "train", "ENGINE=docker", "IMAGE=nowhere/none:1")
    assert "image 'nowhere/none:1' is not here" in done.stdout
    assert tree() == was
    assert ("opt/ml/model holds them again" in done.stdout) == (before == "person")
    assert list(project.glob("output/before-*")) == []
    make(project, "train", "ENGINE=docker")
    assert list(last_job(project).glob(".*")) == []


@pytest.mark.parametrize("text", ["日本語", "a\n", ""])
def test_the_verdict_has_a_line_of_its_own(project, text):
    script(project, f"sys.stdout.buffer.write({text.encode()!r})")
    done = make(project, "train", "ENGINE=sandbox")
    assert (last_job(project) / "log").read_bytes() == text.encode()
    assert (
        len(done.stdout.splitlines()) == 2 + bool(text) and "\nsm-local: Completed" in done.stdout
    )
    apart = subprocess.run(
        ["bash", "recipes/train.sh"], cwd=project, capture_output=True, check=True
    )
    assert apart.stdout == text.encode() and b"\n\n" not in apart.stderr


def test_two_jobs_at_once_do_not_see_each_other(project, docker):
    (project / "job.yaml").write_text("{}\n")
    script(
        project,
        """
name = os.environ["TRAINING_JOB_NAME"]
print("I am", name, flush=True)
open("/opt/ml/model/" + name, "w"); open("/opt/ml/output/data/" + name, "w"); time.sleep(2)
assert os.listdir("/opt/ml/model") == [name]
""",
    )
    make(project, "recipe")
    both = [background(["bash", "recipes/train.sh"], project, env=None) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len(jobs(project)) == 2
    for job in jobs(project):
        assert [path.name for path in (job / "model").iterdir()] == [job.name]
        assert (job / "log").read_text() == f"I am {job.name}\n"
    assert containers(docker, project) == []


@pytest.mark.parametrize("engine_name", ["docker", "sandbox"])
def test_a_second_job_on_the_same_checkpoints_is_refused(project, engine_name):
    script(project, "print('started', flush=True); time.sleep(4)")
    make(project, "recipe", f"ENGINE={engine_name}")
    first = background(["bash", "recipes/train.sh"], project, env=None)
    while "started" not in first.stdout.readline():
        assert first.poll() is None
    second = subprocess.run(
        ["bash", "recipes/train.sh"], cwd=project, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert (
        "opt/ml/checkpoints is in use by" in second.stderr.splitlines()[-1]
        and "make stop" in second.stderr
    )
    assert first.wait(60) == 0
    assert len(jobs(project)) == 1


def test_a_recipe_rewritten_while_its_job_runs_changes_nothing(project):
    script(
        project,
        "print('started', flush=True); time.sleep(2); open('/opt/ml/model/m', 'w').write('m')",
    )
    process = background(["make", "train"], project)
    while "started" not in process.stdout.readline():
        assert process.poll() is None
    (project / "recipes/train.sh").write_text("e\n" * 3)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and "Completed" in said, said
    assert (last_job(project) / "model.tar.gz").exists()


def test_archives_above_64_mb_wait_for_make_pack(project):
    script(project, "open('/opt/ml/model/big', 'wb').write(os.urandom(70 << 20))")
    done = make(project, "train")
    assert "70 MB in model and output/data; 'make pack' makes the archives" in done.stdout
    assert not (last_job(project) / "model.tar.gz").exists()
    done = make(project, "pack")
    assert done.returncode == 0 and (last_job(project) / "model.tar.gz").exists(), done.stdout
    shutil.rmtree(last_job(project))


def test_logs_stream_live_through_a_pipe(project):
    script(project, "print('first', flush=True); time.sleep(2); print('second')")
    process = background(["make", "train"], project)
    seen = {line.strip(): time.monotonic() for line in process.stdout}
    assert process.wait() == 0, seen
    assert seen["second"] - seen["first"] > 1.5


def test_the_log_holds_every_byte_and_short_output_is_not_lost(project):
    body = b"docker: what a line\n\xff\xfe partial"
    script(project, f"sys.stdout.buffer.write({body!r})")
    make(project, "train")
    assert (last_job(project) / "log").read_bytes() == body
    for body in (
        "a\n\nb",
        "\n",
        "docker",
        "docker: Error",
        "doc\n",
        "dö",
        "\0\0a\n",
        "docker\0x",
        "",
    ):
        script(project, f"sys.stdout.write({body!r})")
        make(project, "train", "ENGINE=sandbox")
        assert (last_job(project) / "log").read_text(encoding="utf-8") == body


def test_a_job_that_prints_a_character_at_a_time_is_heard_at_once(project):
    script(project, "sys.stdout.write('.'); sys.stdout.flush(); time.sleep(60)")
    process = background(
        ["make", "train", "ENGINE=sandbox", "INTERRUPT_GRACE=1"], project, stderr=None, text=False
    )
    assert process.stdout.read(1) == b"."
    assert eventually(lambda: (last_job(project) / "log").read_text() == ".", 5)
    process.terminate()
    make(project, "stop", "STOP_GRACE=1")
    process.communicate(timeout=30)


def test_a_path_with_blanks_quotes_commas_and_colons_works(baked, tmp_path, built):
    place = tmp_path / 'p,a "q" \'é:$HOME\\x' / "it"
    shutil.copytree(baked, place, symlinks=True)
    shutil.rmtree(place / "sm_local/.venv")
    script(
        place,
        "open('/opt/ml/input/data/training/new', 'w'); open('/opt/ml/model/m', 'w').write('m')",
    )
    done = make(place, "train")
    assert done.returncode == 0, done.stdout
    assert (last_job(place) / "model/m").exists() and not (
        place / "opt/ml/input/data/training/new"
    ).exists()


def test_command_line_values_win_and_are_forgotten(project):
    script(project, "print('HP', open('/opt/ml/input/config/hyperparameters.json').read())")
    (project / "opt/ml/input/config/hyperparameters.json").write_text(
        '{"epochs": "20", "lr": "0.1"}'
    )
    assert (
        'HP {"epochs":"3","lr":"0.1","name":"a b$HOME"}'
        in make(project, "train", "HP=epochs=3 name='a b$HOME'").stdout
    )
    assert 'HP {"epochs":"20","lr":"0.1"}' in make(project, "train").stdout
    assert (
        'HP {"epochs":"20","lr":"0.1"}'
        in make(
            project, "train", env=clean_environment(HP="epochs=9", IMAGE="leak:1", GPU="all")
        ).stdout
    )


def test_train_makes_no_use_of_aws_or_the_network(project, tmp_path):
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "aws").write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    (fake / "aws").chmod(0o755)
    done = make(
        project,
        "train",
        "DOCKER_ARGS=--network none",
        env=clean_environment(PATH=f"{fake}:{os.environ['PATH']}", HOME=str(tmp_path)),
    )
    assert done.returncode == 0 and not (tmp_path / "called").exists(), done.stdout


NETWORK = """
import socket
print("addresses", socket.gethostbyname("algo-1"), socket.gethostbyname(socket.gethostname()))
server = socket.create_server(("algo-1", 7777))
socket.create_connection(("algo-1", 7777), 2).close(); print("reached itself")
try: socket.create_connection((os.environ["OUTSIDE"], int(os.environ["PORT"])), 2); print("way out")
except OSError: print("no way out")
"""


@pytest.fixture
def outside(docker, built):
    """Return what a job can reach: a container on Docker's default bridge, or a loopback port."""
    server = docker.containers.run(
        built, ["python3", "-m", "http.server", "8000"], detach=True, remove=True, init=True
    )
    with socket.create_server(("127.0.0.1", 0)) as loopback:
        server.reload()
        yield {
            "docker": (server.attrs["NetworkSettings"]["IPAddress"], 8000),
            "sandbox": loopback.getsockname(),
        }
    server.kill()


def test_network_own_gives_algo_1_an_address_and_leaves_no_network(project, docker):
    script(project, NETWORK)
    (project / "job.yaml").write_text("Environment: {OUTSIDE: algo-1, PORT: '7777'}\n")
    done = make(project, "train", "NETWORK=own")
    assert done.returncode == 0 and "reached itself" in done.stdout, done.stdout
    first, second = re.search(r"addresses (\S+) (\S+)", done.stdout).groups()
    assert first == second != "127.0.0.1"
    assert docker.networks.list(filters={"label": f"sm-local.project={project}"}) == []


@pytest.mark.parametrize("engine_name", ["docker", "sandbox"])
def test_network_isolation_has_no_way_out(project, docker, outside, engine_name):
    script(project, NETWORK)
    address, port = outside[engine_name]
    for isolated, says in (("false", "\nway out\n"), ("true", "\nno way out\n")):
        (project / "job.yaml").write_text(
            f"EnableNetworkIsolation: {isolated}\n"
            f"Environment: {{OUTSIDE: {address}, PORT: '{port}'}}\n"
        )
        done = make(project, "train", f"ENGINE={engine_name}")
        assert done.returncode == 0 and "reached itself" in done.stdout and says in done.stdout, (
            done.stdout
        )
    assert docker.networks.list(filters={"label": f"sm-local.project={project}"}) == []
