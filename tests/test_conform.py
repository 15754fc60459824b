"""`make conform` compares a container with SageMaker's contract, check by check.

On every engine; and every check can fail.
"""

import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import PROJECT, clean_environment, make, need, need_podman
from debugging import free_port, link_debugger
from sm_local.verbs import checks, conform
from sm_local.verbs.checks import CHECKS, PROBE, Context, Image, Run, judge

pytestmark = pytest.mark.linux
APPLETS = (
    "sh",
    "cat",
    "id",
    "pwd",
    "sed",
    "mkdir",
    "rm",
    "sleep",
    "grep",
    "find",
    "sort",
    "head",
    "nslookup",
    "wget",
)
NOWHERE_BUT_DOCKER = {18}  # credentials: docs/engines.md
NO_IMAGE = {3, 6, 18}  # the sandbox has no ENTRYPOINT, and the caller's HOME
TOOLKIT = {40}  # tests/test_dlc.py and tests/test_sdk_v3.py run the real ones


def rows(project, *arguments: str) -> dict[int, tuple[str, str]]:
    """Return each check's verdict and what was seen."""
    done = subprocess.run(
        ["make", "--silent", "conform", "JSON=1", *arguments],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=clean_environment(),
    )
    assert done.stdout.startswith("["), done.stdout + done.stderr
    found = {row["check"]: (row["verdict"], row["seen"]) for row in json.loads(done.stdout)}
    assert done.returncode == (2 if "differs" in {verdict for verdict, _ in found.values()} else 0)
    return found


def verdicts(found: dict[int, tuple[str, str]], verdict: str) -> dict[int, str]:
    return {number: seen for number, (said, seen) in found.items() if said == verdict}


@pytest.fixture(scope="module")
def busybox(docker, tmp_path_factory):
    """Return an image with busybox only: no Python, no bash, no getent."""
    root = tmp_path_factory.mktemp("busybox")
    for folder in ("bin", "tmp", "root", "etc"):
        (root / folder).mkdir()
    shutil.copy(need("busybox", "busybox-static"), root / "bin/busybox")
    for name in APPLETS:
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    with tarfile.open(root / "image.tar", "w") as archive:
        for path in root.iterdir():
            archive.add(path, path.name)
    name = f"{PROJECT}-busybox:1"
    subprocess.run(
        ["docker", "import", "--change", "ENV PATH=/usr/local/bin:/bin", root / "image.tar", name],
        check=True,
        capture_output=True,
    )
    yield name
    docker.images.remove(name, force=True)


@pytest.mark.engine
def test_docker_gives_what_sagemaker_gives(project, built):
    found = rows(project, "ENGINE=docker")
    assert verdicts(found, "differs") == {}
    assert verdicts(found, "cannot tell").keys() == TOOLKIT
    assert len(found) == 28


@pytest.mark.engine
def test_so_does_an_image_of_a_stranger_s(project, busybox):
    found = rows(project, "ENGINE=docker", f"IMAGE={busybox}")
    assert verdicts(found, "differs") == {}
    assert verdicts(found, "cannot tell").keys() == TOOLKIT


@pytest.mark.engine
def test_podman_gives_what_sagemaker_gives(project, built, tmp_path):
    need_podman()
    subprocess.run(["docker", "save", "--output", tmp_path / "image.tar", built], check=True)
    subprocess.run(
        ["podman", "load", "--input", tmp_path / "image.tar"], check=True, capture_output=True
    )
    found = rows(project, "ENGINE=podman", f"IMAGE={built}")
    assert verdicts(found, "differs") == {}
    assert verdicts(found, "cannot tell").keys() == TOOLKIT | NOWHERE_BUT_DOCKER


def differs_in_the_sandbox() -> set[int]:
    """Return the checks that differ: its programs run as the caller, with the caller's HOME."""
    home = os.environ.get("HOME") != "/root" or os.geteuid() != 0
    return {8} if home else set()


def test_the_sandbox_gives_what_it_can(project):
    found = rows(project, "ENGINE=sandbox")
    assert verdicts(found, "differs").keys() == differs_in_the_sandbox()
    assert verdicts(found, "cannot tell").keys() == TOOLKIT | NO_IMAGE


@pytest.mark.engine
def test_a_parked_container_gives_the_same(project, built):
    found = rows(project, "ENGINE=docker", "FAST=1")
    assert verdicts(found, "differs") == {}
    assert verdicts(found, "cannot tell").keys() == TOOLKIT


def debugged(project, engine: str) -> dict[int, tuple[str, str]]:
    """Return what the probe saw under a debugger that nobody joins."""
    link_debugger(project)
    ports = free_port(2 * len(conform.REQUESTS))
    return rows(project, "VERB=debug", f"ENGINE={engine}", f"DEBUG_PORT={ports}")


@pytest.mark.engine
def test_a_container_under_the_debugger_gives_the_same(project, built):
    found = debugged(project, "docker")
    assert verdicts(found, "differs") == {}
    assert verdicts(found, "cannot tell").keys() == TOOLKIT


def test_so_does_a_debugged_job_in_the_sandbox(project):
    found = debugged(project, "sandbox")
    assert verdicts(found, "differs").keys() == differs_in_the_sandbox()
    # no debugger reaches several hosts there
    assert verdicts(found, "cannot tell").keys() == TOOLKIT | NO_IMAGE | {14, 24}


IMAGES = {
    "another-program": 'ENTRYPOINT ["/bin/sleep", "100"]\nCMD ["1"]\nWORKDIR /tmp',
    "a-program-on-path-that-the-probe-calls": (
        'ENTRYPOINT ["python3", "-c", "import time; time.sleep(100)"]\nENV SM_OWN=1'
    ),
    "a-shell-that-passes-on": 'ENTRYPOINT ["bash", "-c", "exec \\"$@\\"", "--"]\nCMD ["/bin/bash"]',
    "a-train-of-its-own-first-on-path": (
        "RUN mkdir /first && ln -s /bin/sleep /first/train\nENV PATH=/first:/usr/bin:/bin"
    ),
    "no-passwd-file": "RUN rm /etc/passwd",
}


@pytest.fixture
def image(request, docker, base_image) -> str:
    """Return an image built from the base image and a few lines."""
    name = f"{PROJECT}-conform:1"
    text = f"FROM {base_image}\n{request.param}\n"
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", name, "-"],
        input=text,
        text=True,
        check=True,
        capture_output=True,
    )
    yield name
    docker.images.remove(name, force=True)


@pytest.mark.engine
@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES.keys(), indirect=True)
def test_an_image_s_own_programs_do_not_train_meanwhile(project, image):
    found = rows(project, "ENGINE=docker", f"IMAGE={image}")
    assert verdicts(found, "differs") == {}
    assert verdicts(found, "cannot tell").keys() == TOOLKIT


@pytest.mark.engine
@pytest.mark.parametrize("image", ["ENTRYPOINT sleep 100"], ids=["shell-form"], indirect=True)
def test_an_entrypoint_that_takes_no_words_tells_nothing(project, image):
    found = rows(project, "ENGINE=docker", f"IMAGE={image}")
    reason = "the image's ENTRYPOINT is the shell's 'sleep 100', which leaves out what it is given"
    assert verdicts(found, "differs") == {}
    assert {
        number: seen
        for number, seen in verdicts(found, "cannot tell").items()
        if number not in TOOLKIT
    } == {1: reason, 3: reason}


@pytest.mark.engine
@pytest.mark.parametrize(
    ("image", "reason"),
    [
        pytest.param(
            "RUN useradd -u 1000 app\nUSER app",
            "may not write to /opt/ml/output/data: it is uid=1000(app)",
            id="another-user",
        ),
        pytest.param("RUN rm /bin/sh", "no /bin/sh in the image", id="no-shell"),
    ],
    indirect=["image"],
)
def test_an_image_in_which_the_probe_cannot_run_says_why(project, image, reason):
    found = rows(project, "ENGINE=docker", f"IMAGE={image}")
    assert verdicts(found, "differs") == {}
    assert reason in found[2][1] and verdicts(found, "as there").keys() == {5, 6}


@pytest.mark.engine
def test_an_image_that_is_not_here_is_one_line(project, daemon):
    done = make(project, "conform", "ENGINE=docker", "IMAGE=nowhere/none:1", timeout=200)
    assert (
        "sm-local: image 'nowhere/none:1' is not here; run 'make build', or 'docker pull "
        "nowhere/none:1'\n"
    ) in done.stdout and done.returncode == 2
    assert not list((project / "recipes").glob("conform-*"))


def test_the_probe_runs_as_train_and_as_debug_alone(project):
    done = make(project, "conform", "ENGINE=sandbox", "VERB=process")
    assert "sm-local: VERB=process: 'make conform' runs its jobs as VERB=train or VERB=debug\n" in (
        done.stdout
    )


# Every check can fail


@pytest.fixture(scope="module")
def observed(baked, docker, built, tmp_path_factory):
    """Return what the probe saw on Docker; the tests below each break one thing in a copy."""
    root = tmp_path_factory.mktemp("observed") / "p"
    shutil.copytree(baked, root, symlinks=True)
    make(root, "sm_local/.venv/aws", timeout=180)
    before = Path.cwd()
    os.chdir(root)
    try:
        with conform.observed(root, {"ENGINE": "docker"}) as context:
            kept = tmp_path_factory.mktemp("kept") / "place"
            shutil.copytree(context.place, kept, symlinks=True)
            runs = {
                name: replace(run, folder=kept / run.folder.relative_to(context.place))
                for name, run in context.runs.items()
                if run.folder.name
            }
            yield replace(context, place=kept, runs={**context.runs, **runs})
    finally:
        os.chdir(before)


SPOILT = [
    (1, "train", "argv", "/bin/sh\0/usr/local/bin/serve\0"),
    (1, "train", "argv", "/bin/sh\0-c\0train\0bash\0"),
    (2, "entrypoint", "argv", f"/bin/sh\0{PROBE}\0train\0"),
    (3, "arguments", "argv", f"/bin/sh\0{PROBE}\0/root\0"),
    (4, "both", "argv", f"/bin/sh\0-c\0{PROBE} $HOME two words --flag\0"),
    (7, "entrypoint", "tty", "yes\n"),
    (7, "entrypoint", "argv", "/sbin/docker-init\0--\0/bin/sh\0"),
    (8, "entrypoint", "uid", "1000\n"),
    (8, "entrypoint", "home", "/home/app\n"),
    (9, "entrypoint", "mounts", "x /opt/ml ext4 rw 0 0\n"),
    (9, "entrypoint", "mounts", "x /opt/ml/code ext4 rw 0 0\n"),
    (10, "entrypoint", "writable", "/opt/ml/model\n"),
    (10, "entrypoint", "tree", "/opt/ml/model/left-over\n"),
    (11, "both", "config/hyperparameters.json", '{"epochs":3}'),
    (11, "entrypoint", "config/hyperparameters.json", '{"a":"1"}'),
    (12, "both", "config/inputdataconfig.json", '{"fast":{"TrainingInputMode":"FastFile"}}'),
    (
        13,
        "entrypoint",
        "config/resourceconfig.json",
        '{"current_host":"algo-1","hosts":["algo-1"],"network_interface_name":"eth0"}',
    ),
    (14, "hosts:algo-1", "tree", "/opt/ml/input/data/only\n"),
    (
        14,
        "hosts:algo-2",
        "config/resourceconfig.json",
        '{"current_group_name":"one","instance_groups":[]}',
    ),
    (15, "both", "config/checkpointconfig.json", None),
    (16, "both", "environ", "TRAINING_JOB_NAME=x\0SM_HOSTS=[]\0"),
    (16, "both", "environ", "AWS_REGION=x\0"),
    (17, "both", "environ", "LONG=x\0"),
    (18, "isolated", "environ", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://x\0"),
    (18, "credentials", "environ", "A=b\0"),
    (18, "credentials", "credentials", '"AccessKeyId":\n'),
    (19, "entrypoint", "hostname", "algo-1\n"),
    (19, "entrypoint", "resolved", ""),
    (19, "hosts:algo-2", "resolved", "algo-2\n"),
    (20, "data", "files-noslash", "./q/a\n"),
    (21, "data", "files-partial", "./-data.csv\n"),
    (21, "data", "files-single", ""),
    (22, "data", "files-listed", "./a\n./deep/b\n"),
    (23, "data", "manifest-whole", "s3://bkt/p/a\n"),
    (23, "hosts:algo-2", "manifest-many", "many/\ns3://bkt/many/1\n"),
    (24, "hosts:algo-1", "files-many", "./0\n./1\n./2\n./3\n"),
    (24, "hosts:algo-2", "files-few", "./one\n"),
    (25, "both", "writable", "/opt/ml/input/data/fast/\n"),
    (25, "both", "tree", "/opt/ml/input/data/train\n"),
    (26, "pipe", "epoch-stream-1", "34"),
    (26, "pipe", "tree", "/opt/ml/input/data/stream\n"),
    (27, "pipe", "epoch-records-1", "01234"),
    (27, "pipe", "epoch-zipped-1", "\x1f\x8b"),
]


@pytest.mark.engine
@pytest.mark.parametrize(
    ("number", "where", "file", "text"),
    SPOILT,
    ids=[f"{number}-{where}-{file}-{n}" for n, (number, where, file, _) in enumerate(SPOILT)],
)
def test_a_check_notices(observed, tmp_path, number, where, file, text):
    check = next(check for one, _, check in CHECKS if one == number)
    assert judge(check, observed)[0] == "as there"
    name, _, host = where.partition(":")
    run = observed.runs[name]
    shutil.copytree(run.folder, tmp_path / run.folder.name, symlinks=True)
    spoilt = replace(run, folder=tmp_path / run.folder.name)
    path = spoilt.folder / host / "output/data/seen" / file
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    context: Context = replace(observed, runs={**observed.runs, name: spoilt})
    assert judge(check, context)[0] == "differs"


@pytest.mark.engine
@pytest.mark.parametrize(
    ("number", "name", "said", "status"),
    [
        pytest.param(
            6, "no-program", "sm-local: Completed in 1 s", 0, id="a-missing-program-that-runs"
        ),
        pytest.param(
            22, "bad-manifest", "sm-local: Completed in 1 s", 0, id="a-bad-manifest-that-runs"
        ),
        pytest.param(
            25, "fast-partial", "sm-local: Completed in 1 s", 0, id="a-partial-prefix-that-runs"
        ),
    ],
)
def test_a_refusal_that_does_not_come_is_noticed(observed, number, name, said, status):
    check = next(check for one, _, check in CHECKS if one == number)
    spoilt = replace(observed.runs[name], said=said, status=status)
    assert judge(check, replace(observed, runs={**observed.runs, name: spoilt}))[0] == "differs"


@pytest.mark.parametrize(
    ("own", "status", "said"),
    [
        pytest.param("SM_HOSTS=1\0", 1, "ExitCode 7", id="variables-are-missing"),
        pytest.param(None, 7, "ExitCode 7", id="the-script-s-own-exit-code"),
        pytest.param(None, 1, "AlgorithmError: , exit code: 1", id="no-reason"),
    ],
)
def test_a_toolkit_that_is_not_as_there_is_noticed(tmp_path, own, status, said):
    names = (
        "SM_HOSTS",
        "SM_CURRENT_HOST",
        "SM_CHANNEL_PROBE",
        "SM_MODEL_DIR",
        "SM_NUM_CPUS",
        "SM_TRAINING_ENV",
    )
    seen = tmp_path / "output/data/seen"
    seen.mkdir(parents=True)
    (seen / "argv").touch()
    (seen / "own-environ").write_text("".join(f"{name}=1\0" for name in names))
    context = Context({"toolkit": Run(1, "ExitCode 7", tmp_path)}, tmp_path, None, {}, Image())
    assert judge(checks.toolkits, context)[0] == "as there"
    (seen / "own-environ").write_text(own or (seen / "own-environ").read_text())
    assert (
        judge(checks.toolkits, replace(context, runs={"toolkit": Run(status, said, tmp_path)}))[0]
        == "differs"
    )


@pytest.mark.parametrize(
    ("check", "name", "given"),
    [
        pytest.param(checks.train_word, "train", ["/usr/local/bin/train"], id="train"),
        pytest.param(
            checks.arguments_alone, "arguments", ["/bin/sh", PROBE, "$HOME"], id="arguments"
        ),
    ],
)
def test_an_entrypoint_that_lost_its_own_words_is_noticed(tmp_path, check, name, given):
    seen = tmp_path / "output/data/seen"
    seen.mkdir(parents=True)
    context = Context(
        {name: Run(0, "", tmp_path)}, tmp_path, None, {}, Image(("/app/run", "serve"))
    )
    for own, verdict in ((["serve"], "as there"), ([], "differs")):
        (seen / "argv").write_text(
            "".join(f"{word}\0" for word in ["/bin/sh", "/app/run", *own, *given])
        )
        assert judge(check, context)[0] == verdict


def test_a_job_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(conform, "LONGEST", 0.5)
    (tmp_path / "job.sh").write_text(
        "trap 'echo stopped; exit 143' TERM; while :; do sleep 0.1; done\n"
    )
    assert conform.execute(tmp_path, "job") == (143, "stopped\n\nstopped after 0.5 s")


@pytest.mark.engine
def test_every_check_but_those_on_requests_alone_is_spoilt_somewhere():
    numbers = {number for number, *_ in SPOILT} | {6, 22, 25}
    assert {number for number, *_ in CHECKS} - numbers == {5, 40}  # 5: tests/test_api.py; 40: above
