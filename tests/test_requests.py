"""Requests as other tools print them, in tests/requests, and what is said of each.

`UPDATE_REQUESTS=1 pytest tests/test_requests.py` writes tests/requests/said.txt again: read its
diff.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sm_local.errors import SmLocalError
from sm_local.kinds import job as jobs
from sm_local.request import python
from sm_local.request.s3_uri import from_https
from sm_local.request.shapes import KINDS, TRAINING

HERE = Path(__file__).with_name("requests")
SAID = HERE / "said.txt"
FILES = sorted(path for path in HERE.iterdir() if path.suffix in (".yaml", ".json", ".py"))
SETTINGS = {"IMAGE": "churn:latest", "DLC": "pytorch:2.13-cpu", "REGION": "us-west-2"}


def load(name: str) -> jobs.Job:
    """Return the job of one of the files, in a folder that has the channel `training`."""
    shutil.copy(HERE / name, name)
    Path("opt/ml/input/data/training").mkdir(parents=True, exist_ok=True)
    return jobs.load(Path(), SETTINGS, {"JOB": name})


def said(name: str) -> str:
    """Return the lines that one of the files gets: notes, or the lines that it is refused with."""
    try:
        lines = load(name).notes or ("nothing",)
        return "".join(f"  {line}\n" for line in lines)
    except SmLocalError as error:
        return "".join(f"! {line}\n" for line in str(error).split("\n"))


def transcript() -> dict[str, str]:
    """Return what said.txt has of each file."""
    parts = SAID.read_text().split("## ")[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True, scope="module")
def _rewrite(tmp_path_factory):
    if os.environ.get("UPDATE_REQUESTS"):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path_factory.mktemp("requests"))
            SAID.write_text("".join(f"## {path.name}\n{said(path.name)}" for path in FILES))


@pytest.mark.parametrize("name", [path.name for path in FILES])
def test_what_is_said_of_it(name):
    assert said(name) == transcript()[name]


def test_there_are_many_and_no_other():
    assert len(FILES) >= 40
    assert transcript().keys() == {path.name for path in FILES}


UNWRAPPED = [
    ("kubernetes-ack.yaml", "churn-ack", {"epochs": "5", "lr": "0.01"}),
    ("kubernetes-status.yaml", "churn-status", {"epochs": "5", "lr": "0.01"}),
    ("kubernetes-operator.yaml", "", {"epochs": "5", "lr": "0.01"}),
    ("kubernetes-spec.yaml", "churn-spec", {}),
    ("states-parameters.json", "churn-states", {"epochs": "5"}),
    ("states-arguments.yaml", "churn-arguments", {}),
    ("pipeline.json", "", {"epochs": "5"}),
    ("search-one.json", "churn-found", {"epochs": "5"}),
    ("described.json", "churn-described", {"epochs": "5"}),
    ("described-list.json", "churn-alone", {}),
    ("python-dict.py", "churn-dict", {"epochs": "5", "name": "it's"}),
    ("python-described.py", "churn-notebook", {"epochs": "5"}),
    ("python-call.py", "churn-call", {"epochs": "5"}),
]


@pytest.mark.parametrize(("name", "stem", "values"), UNWRAPPED, ids=[one[0] for one in UNWRAPPED])
def test_what_is_unwrapped_is_the_job(name, stem, values):
    job = load(name)
    assert (job.request.get("TrainingJobName", ""), job.hyperparameters) == (stem, values)


def test_a_kubernetes_object_is_the_same_request():
    job = load("kubernetes-ack.yaml")
    assert job.request == {
        "TrainingJobName": "churn-ack",
        "RoleArn": "arn:aws:iam::111122223333:role/acme-training",
        "HyperParameters": {"epochs": "5", "lr": "0.01"},
        "Environment": {"MODE": "fast"},
        "AlgorithmSpecification": {"TrainingImage": "churn:latest", "TrainingInputMode": "File"},
        "InputDataConfig": [
            {
                "ChannelName": "training",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": "s3://acme-ml/churn/train",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://acme-ml/churn/out"},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": "ml.m5.xlarge",
            "VolumeSizeInGB": 20,
            "VolumeKmsKeyId": "alias/acme",
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "Tags": [{"Key": "team", "Value": "churn"}],
    }


def test_names_and_values_are_an_environment():
    assert load("kubernetes-spec.yaml").environment == {"MODE": "fast"}


def test_a_pipeline_s_parameters_have_their_default_values():
    hosts = load("pipeline.json").hosts
    assert [host.instance_type for host in hosts] == ["ml.m5.xlarge"] * 2


@pytest.mark.parametrize("name", [path.name for path in FILES if path.name.startswith("s3-")])
def test_an_https_address_is_s3_s(name):
    (channel,) = load(name).channels
    assert channel.s3_uri in {
        "s3://acme-ml/churn/train",
        "s3://acme.ml/churn/train set/",
        "s3://acme-gov/train/",
    }


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.com/bkt/key",
        "https://s3.us-west-2.amazonaws.com/",
        "https://s3.us-west-2.amazonaws.com.example.com/bkt/key",
        "https://bkt.s3.amazonaws.com/key?X-Amz-Signature=0",
        "s3://bkt/key",
    ],
)
def test_any_other_address_stays(uri):
    assert from_https(uri) == ""


def test_double_braces_are_one_line():
    Path("job.py").write_text("request = {'TrainingJobName': 'a', 'Tags': [{{'Key': 'b'}}]}\n")
    with pytest.raises(SmLocalError, match="which only the Python program around it knows"):
        jobs.load(Path(), SETTINGS, {"JOB": "job.py"})


def test_a_missing_built_in_image_can_be_replaced():
    assert load("built-in.yaml").remedy == (
        "pull it, or run the project's own in its place: 'make train IMAGE=churn:latest'"
    )


def test_a_file_that_holds_itself_ends():
    Path("loop.yaml").write_text("&a\nParameters: *a\n")
    with pytest.raises(SmLocalError):
        jobs.load(Path(), SETTINGS, {"JOB": "loop.yaml"})


def test_many_lines_before_a_request_take_no_time():
    text = "# a note\n\n" * 200 + "\n" * 200 + "TrainingJobName: churn\n"
    assert python.read(text, KINDS[TRAINING]) == []
    assert (
        len(python.read("# a note\n\n" * 200 + "a = {'TrainingJobName': 'b'}", KINDS[TRAINING]))
        == 1
    )
