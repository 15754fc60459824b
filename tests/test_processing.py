"""`make process`: a processing job's containers, on every engine."""

import json
import shutil
import subprocess
from pathlib import Path

import matrix
import pytest
from conftest import TEMPLATE, jobs, make, need_podman
from sm_local.errors import SmLocalError
from sm_local.kinds import processing
from sm_local.plan import STAMP, Code, Mount

REQUEST = {
    "ProcessingJobName": "Churn-1",
    "AppSpecification": {
        "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/process.py"],
        "ContainerArguments": ["--rows", "a & b"],
    },
    "Environment": {"Z": "1", "A": "<2>"},
    "ProcessingInputs": [
        {"InputName": "training", "S3Input": {"LocalPath": "/opt/ml/processing/input/code/data"}},
        {"InputName": "code", "S3Input": {"LocalPath": "/opt/ml/processing/input/code"}},
    ],
    "ProcessingOutputConfig": {
        "Outputs": [{"OutputName": "train", "S3Output": {"LocalPath": "/opt/ml/processing/train"}}]
    },
    "RoleArn": "arn:aws:iam::111122223333:role/r",
}


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """Return a folder that is a project as far as a plan looks at it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "opt/ml/input/data/training").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(request: dict):
    """Return the plan of a request in the current folder."""
    Path("processing.yaml").write_text(json.dumps(request))
    return processing.plan(Path(), matrix.SETTINGS, {})


def test_the_plan_of_a_request(root):
    planned = plan(REQUEST)
    (container,) = planned.containers
    assert (planned.kind, planned.stem, planned.image, planned.image_source) == (
        "processing",
        "Churn-1",
        "churn:latest",
        "own",
    )
    assert (planned.archives, planned.locked, planned.checks) == ("never", "", ())
    assert container.entrypoint == ("python3", "/opt/ml/processing/input/code/process.py")
    assert container.command == ("--rows", "a & b")
    assert container.variables == {"AWS_REGION": "us-west-2"}
    assert container.environment == {"Z": "1", "A": "<2>"}
    code = "/opt/ml/processing/input/code"
    assert container.layout == (
        Mount("config", "/opt/ml/config", own=True),
        Code(code),
        Mount("opt/ml/input/data/training", f"{code}/data", "cow", channel="training"),
        Mount("output", "/opt/ml/output", own=True),
        Mount("output/data/train", "/opt/ml/processing/train", own=True),
    )
    assert container.folders == ("config", "output/metrics/cloudwatch", "output/data/train")


def test_the_config_files_as_captured(root):
    files = plan(REQUEST).containers[0].files
    assert files["resourceconfig.json"] == '{"current_host":"algo-1","hosts":["algo-1"]}'
    text = files["processingjobconfig.json"]
    assert text.startswith(
        '{"ProcessingJobArn":"arn:aws:sagemaker:us-west-2:111122223333:processing-job/churn-1'
        f'{STAMP}","ProcessingJobName":"Churn-1{STAMP}","Environment":'
        '{"A":"\\u003c2\\u003e","Z":"1"},"AppSpecification":{"ImageUri":"churn:latest",'
        '"ContainerEntrypoint":["python3","/opt/ml/processing/input/code/process.py"],'
        '"ContainerArguments":["--rows","a \\u0026 b"]},"ProcessingInputs":[{"InputName":'
        '"training","AppManaged":false,"S3Input":{"LocalPath":'
    )
    assert text.endswith(
        '"ProcessingResources":{"ClusterConfig":{"InstanceCount":1,"InstanceType":"ml.m5.xlarge",'
        '"VolumeSizeInGB":30,"VolumeKmsKeyId":null}},"RoleArn":"arn:aws:iam::111122223333:role/r",'
        '"StoppingCondition":{"MaxRuntimeInSeconds":86400}}'
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"ProcessingInputs": [{"InputName": "none", "S3Input": {}}]},
            "processing.yaml:1: input 'none' has no folder opt/ml/input/data/none; "
            "put its data there",
            id="no-folder",
        ),
        pytest.param(
            {"ProcessingInputs": [{"InputName": "code", "S3Input": {"LocalPath": "/opt/ml/x"}}]},
            "processing.yaml:1: S3Input.LocalPath is '/opt/ml/x'; "
            "it must begin with /opt/ml/processing/",
            id="local-path",
        ),
    ],
)
def test_what_cannot_be_is_refused(root, changes, said):
    with pytest.raises(SmLocalError) as caught:
        plan({**REQUEST, **changes})
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("app", "what"),
    [
        ("{}", "without ContainerEntrypoint the image's own program runs"),
        ("{ContainerArguments: [a]}", "ContainerArguments alone go to an image's entrypoint"),
    ],
)
def test_the_sandbox_needs_an_entrypoint(project, app, what):
    (project / "p.yaml").write_text(f"AppSpecification: {app}\n")
    done = make(project, "process", "JOB=p.yaml", "ENGINE=sandbox")
    said = f"p.yaml: {what}, and the sandbox has no image; add ContainerEntrypoint"
    assert done.returncode == 2 and f"sm-local: {said}" in done.stdout.splitlines()


def outcome(project: Path) -> list[int]:
    """Return how many lines the default project's script left in its two outputs."""
    (job,) = jobs(project)
    assert (job / "status").read_text().startswith("Completed")
    assert (project / "opt/ml/output").resolve() == job / "output"
    files = [job / f"output/data/{name}/train.csv" for name in ("train", "test")]
    return [len(path.read_text().splitlines()) for path in files]


def test_the_default_project_in_the_sandbox(project):
    done = make(project, "process", "ENGINE=sandbox")
    assert done.returncode == 0, done.stdout
    assert outcome(project) == [276, 70]


@pytest.mark.engine
def test_the_default_project_in_docker(project, built):
    done = make(project, "process", "ENGINE=docker")
    assert done.returncode == 0, done.stdout
    assert outcome(project) == [276, 70]
    assert f"output/data: {jobs(project)[0].relative_to(project)}/output/data" in done.stdout


@pytest.mark.engine
@pytest.mark.linux
def test_the_default_project_in_podman(project, built, tmp_path):
    need_podman()
    image = tmp_path / "image.tar"
    subprocess.run(["docker", "save", "--output", image, built], check=True)
    subprocess.run(["podman", "load", "--input", image], check=True, capture_output=True)
    done = make(project, "process", "ENGINE=podman", f"IMAGE={built}")
    assert done.returncode == 0, done.stdout
    assert outcome(project) == [276, 70]


# A name may not be there at once, and is gone when its host has ended.
MEET = """import socket, time
for _ in range(100):
    try:
        socket.gethostbyname("algo-1"), socket.gethostbyname("algo-2")
        break
    except OSError:
        time.sleep(0.2)
else:
    raise SystemExit("a host was never there")
print("there", flush=True)
time.sleep(5)
"""


@pytest.mark.engine
def test_two_hosts_are_done_when_both_are(project, built):
    shutil.copy(TEMPLATE / "processing.yaml", project / "two.yaml")
    with (project / "two.yaml").open("a") as file:
        file.write("ProcessingResources: {ClusterConfig: {InstanceCount: 2}}\n")
    (project / "code/process.py").write_text(MEET)
    done = make(project, "process", "JOB=two.yaml", "ENGINE=docker")
    assert done.returncode == 0, done.stdout
    assert {"algo-1 | there", "algo-2 | there"} <= set(done.stdout.splitlines())
