"""`make conform`: SageMaker's container contract, check by check, on every engine; and every check can fail."""
import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import clean_environment, make, need, need_podman
from sm_local import conform
from sm_local.conform import CHECKS, Context, judge

pytestmark = pytest.mark.linux
APPLETS = ("sh", "cat", "id", "pwd", "sed", "mkdir", "rm", "sleep", "grep", "find", "sort", "head", "nslookup", "wget")
NOWHERE_BUT_DOCKER = {18}  # credentials: docs/engines.md
NO_IMAGE = {3, 6, 18}  # the sandbox has no ENTRYPOINT, and the caller's own HOME
TOOLKIT = {40}  # tests/test_dlc.py and tests/test_sdk_v3.py run the real ones


def rows(project, *arguments: str) -> dict[int, tuple[str, str]]:
    """Return each check's verdict and what was seen."""
    done = subprocess.run(["make", "--silent", "conform", "JSON=1", *arguments], cwd=project, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=240, check=False, env=clean_environment())
    assert done.stdout.startswith("["), done.stdout + done.stderr
    found = {row["check"]: (row["verdict"], row["seen"]) for row in json.loads(done.stdout)}
    assert done.returncode == (2 if "differs" in {verdict for verdict, _ in found.values()} else 0)
    return found


def verdicts(found: dict[int, tuple[str, str]], verdict: str) -> dict[int, str]:
    return {number: seen for number, (said, seen) in found.items() if said == verdict}


@pytest.fixture(scope="module")
def busybox(docker, tmp_path_factory):
    """Return an image of busybox alone: no Python, no bash, no getent."""
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
    name = "sm-local-test-busybox:1"
    subprocess.run(["docker", "import", "--change", "ENV PATH=/usr/local/bin:/bin", root / "image.tar", name], check=True, capture_output=True)
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
    subprocess.run(["podman", "load", "--input", tmp_path / "image.tar"], check=True, capture_output=True)
    found = rows(project, "ENGINE=podman")
    assert verdicts(found, "differs") == {}
    assert verdicts(found, "cannot tell").keys() == TOOLKIT | NOWHERE_BUT_DOCKER


def test_the_sandbox_gives_what_it_can(project):
    found = rows(project, "ENGINE=sandbox")
    home = os.environ.get("HOME") != "/root" or os.geteuid() != 0  # its programs run as the caller, with his HOME
    assert verdicts(found, "differs").keys() == ({8} if home else set())
    assert verdicts(found, "cannot tell").keys() == TOOLKIT | NO_IMAGE


@pytest.mark.engine
def test_an_image_that_is_not_here_is_one_line(project, daemon):
    done = make(project, "conform", "ENGINE=docker", "IMAGE=nowhere/none:1", timeout=200)
    assert "sm-local: image 'nowhere/none:1' is not here; run 'make build', or 'docker pull nowhere/none:1'\n" in done.stdout and done.returncode == 2
    assert not list((project / "recipes").glob("conform-*"))


# Every check can fail


@pytest.fixture(scope="module")
def observed(baked, docker, built, tmp_path_factory):
    """Return what the probe saw on Docker: kept for the tests below, which spoil a copy each."""
    root = tmp_path_factory.mktemp("observed") / "p"
    shutil.copytree(baked, root, symlinks=True)
    make(root, "sm_local/.venv/aws", timeout=180)
    before = Path.cwd()
    os.chdir(root)
    try:
        with conform.observed(root, {"ENGINE": "docker"}) as context:
            kept = tmp_path_factory.mktemp("kept") / "place"
            shutil.copytree(context.place, kept, symlinks=True)
            runs = {name: replace(run, folder=kept / run.folder.relative_to(context.place)) for name, run in context.runs.items() if run.folder.name}
            yield replace(context, place=kept, runs={**context.runs, **runs})
    finally:
        os.chdir(before)


SPOILT = [
    (1, "train", "argv", "/bin/sh\0/usr/local/bin/serve\0"),
    (2, "entrypoint", "argv", f"/bin/sh\0{conform.PROBE}\0train\0"),
    (3, "arguments", "argv", f"/bin/sh\0{conform.PROBE}\0/root\0"),
    (4, "both", "argv", f"/bin/sh\0-c\0{conform.PROBE} $HOME two words --flag\0"),
    (7, "entrypoint", "tty", "yes\n"),
    (7, "entrypoint", "argv", "/sbin/docker-init\0--\0/bin/sh\0"),
    (8, "entrypoint", "uid", "1000\n"),
    (8, "entrypoint", "home", "/\n"),
    (9, "train", "mounts", "x /opt/ml ext4 rw 0 0\n"),
    (9, "train", "mounts", "x /opt/ml/code ext4 rw 0 0\n"),
    (10, "train", "writable", "/opt/ml/model\n"),
    (10, "train", "tree", "/opt/ml/model/left-over\n"),
    (11, "both", "config/hyperparameters.json", '{"epochs":3}'),
    (11, "train", "config/hyperparameters.json", '{"a":"1"}'),
    (12, "both", "config/inputdataconfig.json", '{"fast":{"TrainingInputMode":"FastFile"}}'),
    (13, "train", "config/resourceconfig.json", '{"current_host":"algo-1","hosts":["algo-1"],"network_interface_name":"eth0"}'),
    (14, "hosts:algo-1", "tree", "/opt/ml/input/data/only\n"),
    (14, "hosts:algo-2", "config/resourceconfig.json", '{"current_group_name":"one","instance_groups":[]}'),
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
    (26, "pipe", "epoch-stream-1", "34"),
    (26, "pipe", "tree", "/opt/ml/input/data/stream\n"),
    (27, "pipe", "epoch-records-1", "01234"),
    (27, "pipe", "epoch-zipped-1", "\x1f\x8b"),
]


@pytest.mark.engine
@pytest.mark.parametrize(("number", "where", "file", "text"), SPOILT, ids=[f"{number}-{where}-{file}-{n}" for n, (number, where, file, _) in enumerate(SPOILT)])
def test_a_check_notices(observed, tmp_path, number, where, file, text):
    check = next(check for one, _, check in CHECKS if one == number)
    assert judge(check, observed)[0] == "as there"
    name, _, host = where.partition(":")
    run = observed.runs[name]
    shutil.copytree(run.folder, tmp_path / run.folder.name, symlinks=True)
    spoilt = replace(run, folder=tmp_path / run.folder.name)
    for path in (spoilt.folder / host / "output/data/seen" / file, *([spoilt.folder / file] if file.startswith("config/") and text is None else [])):
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    context: Context = replace(observed, runs={**observed.runs, name: spoilt})
    assert judge(check, context)[0] == "differs"


@pytest.mark.engine
@pytest.mark.parametrize(("number", "name", "said", "status"), [
    pytest.param(6, "no-program", "sm-local: Completed in 1 s", 0, id="a-missing-program-that-runs"),
    pytest.param(22, "bad-manifest", "sm-local: Completed in 1 s", 0, id="a-bad-manifest-that-runs"),
    pytest.param(25, "fast-partial", "sm-local: Completed in 1 s", 0, id="a-partial-prefix-that-runs"),
])
def test_a_refusal_that_does_not_come_is_noticed(observed, number, name, said, status):
    check = next(check for one, _, check in CHECKS if one == number)
    spoilt = replace(observed.runs[name], said=said, status=status)
    assert judge(check, replace(observed, runs={**observed.runs, name: spoilt}))[0] == "differs"


@pytest.mark.engine
def test_every_check_but_those_on_requests_alone_is_spoilt_somewhere():
    numbers = {number for number, *_ in SPOILT} | {6, 22, 25}
    assert {number for number, *_ in CHECKS} - numbers == {5, 40}  # 5: tests/test_api.py; 40: judged nowhere here
