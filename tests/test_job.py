"""A request, the tree and the settings make a Job: which wins, what is refused and how."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies
from sm_local import settings as setting
from sm_local.errors import SmLocalError
from sm_local.kinds import channels
from sm_local.kinds import job as jobs
from sm_local.kinds.job import Channel, Host
from sm_local.request import shapes

DLC = "pytorch:2.13-cpu-amzn2023-sagemaker"
AWS_IMAGE = f"763104351884.dkr.ecr.us-west-2.amazonaws.com/{DLC}"
SETTINGS = {
    **{key: rule.default for key, rule in setting.RULES.items()},
    "IMAGE": "churn:latest",
    "DLC": DLC,
}
ONE_HOST = (Host("algo-1", "homogeneousCluster", "ml.m5.xlarge"),)
HYPERPARAMETERS = "opt/ml/input/config/hyperparameters.json"


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch) -> Path:
    """Work in a project called churn that has one channel, training."""
    root = tmp_path / "churn"
    (root / "opt/ml/input/data/training").mkdir(parents=True)
    (root / "opt/ml/input/config").mkdir()
    monkeypatch.chdir(root)
    return root


def load(body: dict | None = None, **values: str) -> jobs.Job:
    """Return the Job of a request; `values` come from the command line."""
    Path(values.get("JOB", "job.yaml")).write_text(json.dumps(body or {}))
    return jobs.load(Path(), SETTINGS, values)


def refused(body: dict, **values: str) -> str:
    """Return the error message for a request that is refused."""
    with pytest.raises(SmLocalError) as caught:
        load(body, **values)
    return str(caught.value)


def algorithm(**members) -> dict:
    """Return a request with an AlgorithmSpecification."""
    return {"AlgorithmSpecification": members}


def resources(**members) -> dict:
    """Return a request with a ResourceConfig."""
    return {"ResourceConfig": members}


def inputs(*channels: dict) -> dict:
    """Return a request with channels."""
    return {"InputDataConfig": list(channels)}


def group(name: str, kind: str, count: int) -> dict:
    """Return an instance group."""
    return {"InstanceGroupName": name, "InstanceType": kind, "InstanceCount": count}


FROM_THE_TREE = jobs.Job(
    file="job.yaml",
    stem="churn",
    image="churn:latest",
    source="own",
    entrypoint=(),
    arguments=(),
    hyperparameters={},
    environment={},
    channels=(Channel("training", "opt/ml/input/data/training"),),
    checkpoints="",
    hosts=ONE_HOST,
    region="us-west-2",
    account="123456789012",
    isolated=False,
    request={},
    settings=SETTINGS,
    notes=(),
)
FULL = {
    "TrainingJobName": "Churn-1",
    "HyperParameters": {"epochs": "3"},
    "AlgorithmSpecification": {
        "TrainingImage": AWS_IMAGE,
        "TrainingInputMode": "FastFile",
        "ContainerEntrypoint": ["python3", "-u"],
        "ContainerArguments": ["a.py", ""],
    },
    "RoleArn": "arn:aws:iam::111122223333:role/sagemaker",
    "InputDataConfig": [
        {
            "ChannelName": "training",
            "ContentType": "text/csv",
            "RecordWrapperType": "RecordIO",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": "s3://b/c",
                    "S3DataDistributionType": "ShardedByS3Key",
                    "InstanceGroupNames": ["b"],
                }
            },
        }
    ],
    "ResourceConfig": {
        "InstanceGroups": [group("b", "ml.c5.xlarge", 1), group("a", "ml.m5.large", 2)]
    },
    "EnableNetworkIsolation": True,
    "CheckpointConfig": {"S3Uri": "s3://b/d", "LocalPath": "/state/"},
    "Environment": {"LEVEL": "a=b\n'c'"},
    "ProfilerConfig": {"S3OutputPath": "s3://b/p"},
}


def test_an_empty_request_is_filled_in_from_the_tree():
    assert load() == FROM_THE_TREE


def test_a_full_request():
    assert load(FULL) == replace(
        FROM_THE_TREE,
        stem="Churn-1",
        image=AWS_IMAGE,
        source="dlc",
        remedy=f"run 'make pull-dlc DLC={AWS_IMAGE}'",
        entrypoint=("python3", "-u"),
        arguments=("a.py", ""),
        hyperparameters={"epochs": "3"},
        environment={"LEVEL": "a=b\n'c'", "SAGEMAKER_PROGRAM": "train.py"},
        channels=(
            Channel(
                "training",
                "opt/ml/input/data/training",
                "FastFile",
                "text/csv",
                "ShardedByS3Key",
                "RecordIO",
                ("b",),
                "s3://b/c",
            ),
        ),
        checkpoints="/state",
        hosts=(
            Host("algo-1", "b", "ml.c5.xlarge"),
            Host("algo-2", "a", "ml.m5.large"),
            Host("algo-3", "a", "ml.m5.large"),
        ),
        account="111122223333",
        isolated=True,
        request=FULL,
        notes=(
            "ProfilerConfig is not emulated: no profilerconfig.json, whose content no source tells",
        ),
    )


@pytest.mark.parametrize(
    ("body", "values", "chosen"),
    [
        pytest.param({}, {}, ("churn:latest", "own"), id="settings"),
        pytest.param(algorithm(TrainingImage="other:1"), {}, ("other:1", "other"), id="request"),
        pytest.param(
            algorithm(TrainingImage="other:1"),
            {"IMAGE": "third:2"},
            ("third:2", "other"),
            id="command-line-over-request",
        ),
        pytest.param(
            algorithm(TrainingImage="other:1"),
            {"IMAGE": "churn:latest"},
            ("churn:latest", "named"),
            id="whatever-has-the-own-name",
        ),
        pytest.param(
            algorithm(TrainingImage="churn:latest"),
            {},
            ("churn:latest", "own"),
            id="own-in-the-request",
        ),
        pytest.param(algorithm(TrainingImage=AWS_IMAGE), {}, (AWS_IMAGE, "dlc"), id="aws-registry"),
        pytest.param({}, {"IMAGE": "dlc"}, (f"sm-local/dlc/{DLC}", "dlc"), id="dlc"),
        pytest.param(
            algorithm(TrainingImage="other:1"),
            {"IMAGE": "dlc"},
            (f"sm-local/dlc/{DLC}", "dlc"),
            id="dlc-over-request",
        ),
        pytest.param(
            {},
            {"IMAGE": f"public.ecr.aws/deep-learning-containers/{DLC}"},
            (f"public.ecr.aws/deep-learning-containers/{DLC}", "dlc"),
            id="gallery",
        ),
        pytest.param(
            {},
            {"IMAGE": "111122223333.dkr.ecr.us-west-2.amazonaws.com/a:1"},
            ("111122223333.dkr.ecr.us-west-2.amazonaws.com/a:1", "other"),
            id="ecr",
        ),
        pytest.param(
            algorithm(AlgorithmName="my-algorithm"),
            {},
            ("churn:latest", "own"),
            id="algorithm-resource",
        ),
    ],
)
def test_the_image_and_where_it_comes_from(body, values, chosen):
    job = load(body, **values)
    assert (job.image, job.source) == chosen


@pytest.mark.parametrize(
    ("body", "values", "said"),
    [
        pytest.param(
            algorithm(TrainingImage="--privileged"),
            {},
            "job.yaml:1: AlgorithmSpecification.TrainingImage is '--privileged'",
            id="request",
        ),
        pytest.param({}, {"IMAGE": "two words"}, "IMAGE is 'two words'", id="command-line"),
        pytest.param({}, {"IMAGE": "a//b"}, "IMAGE is 'a//b'", id="empty-part"),
        pytest.param({}, {"IMAGE": "A:B:C"}, "IMAGE is 'A:B:C'", id="two-tags"),
    ],
)
def test_an_image_that_is_no_name_is_refused(body, values, said):
    assert refused(body, **values) == f"{said}; write an image name such as my-model:latest"


def test_settings_without_an_image_are_refused():
    Path("job.yaml").write_text("")
    with pytest.raises(
        SmLocalError,
        match="^settings.env: IMAGE is empty; name the image that 'make build' makes, such as "
        "IMAGE=my-model:latest$",
    ):
        jobs.load(Path(), {**SETTINGS, "IMAGE": ""}, {})


@pytest.mark.parametrize(
    ("file", "body", "hp", "chosen"),
    [
        pytest.param(None, {}, "", {}, id="none"),
        pytest.param(
            {"epochs": "20", "lr": "0.1"}, {}, "", {"epochs": "20", "lr": "0.1"}, id="file"
        ),
        pytest.param(
            {"epochs": "20", "lr": "0.1"},
            {"HyperParameters": {"epochs": "3"}},
            "",
            {"epochs": "3"},
            id="request-instead-of-file",
        ),
        pytest.param(
            {"epochs": "20"}, {"HyperParameters": {}}, "", {}, id="an-empty-map-in-the-request"
        ),
        pytest.param(
            {"epochs": "20", "lr": "0.1"},
            {},
            "epochs=1 new='a b'",
            {"epochs": "1", "lr": "0.1", "new": "a b"},
            id="command-line-over-file",
        ),
        pytest.param(
            None,
            {"HyperParameters": {"a": "1", "b": "2"}},
            "b=",
            {"a": "1", "b": ""},
            id="command-line-over-request",
        ),
    ],
)
def test_hyperparameters(file, body, hp, chosen):
    if file is not None:
        Path(HYPERPARAMETERS).write_text(json.dumps(file))
    assert load(body, HP=hp).hyperparameters == chosen


@pytest.mark.parametrize(
    ("image", "environment", "hp", "chosen"),
    [
        pytest.param("", {}, "", {}, id="own"),
        pytest.param("other:1", {"A": "$HOME `x`"}, "", {"A": "$HOME `x`"}, id="other"),
        pytest.param("dlc", {"A": "1"}, "", {"A": "1", "SAGEMAKER_PROGRAM": "train.py"}, id="dlc"),
        pytest.param(
            "dlc",
            {"SAGEMAKER_PROGRAM": "b.py"},
            "",
            {"SAGEMAKER_PROGRAM": "b.py"},
            id="dlc-the-request-wins",
        ),
        pytest.param("dlc", {}, "sagemaker_program=c.py", {}, id="dlc-as-a-hyperparameter"),
    ],
)
def test_the_environment(image, environment, hp, chosen):
    assert load({"Environment": environment}, IMAGE=image, HP=hp).environment == chosen


@pytest.mark.parametrize("where", ["file", "request"])
def test_a_toolkit_is_not_told_its_script_twice(where):
    program = {"sagemaker_program": "c.py"}
    Path(HYPERPARAMETERS).write_text(json.dumps(program if where == "file" else {}))
    assert (
        load({"HyperParameters": program} if where == "request" else {}, IMAGE="dlc").environment
        == {}
    )


def folders(*names: str) -> None:
    """Make folders for channels."""
    for name in names:
        Path("opt/ml/input/data", name).mkdir()


def test_every_folder_is_a_channel_without_inputdataconfig():
    folders("b", "A.1_x-y", ".hidden")
    Path("opt/ml/input/data/file.txt").write_text("")
    names = ("A.1_x-y", "b", "training")
    assert load().channels == tuple(Channel(name, f"opt/ml/input/data/{name}") for name in names)
    modes = [channel.mode for channel in load(algorithm(TrainingInputMode="FastFile")).channels]
    assert modes == ["FastFile", "FastFile", "FastFile"]


def test_a_tree_without_folders_has_no_channels():
    Path("opt/ml/input/data/training").rmdir()
    assert load().channels == ()


@pytest.mark.parametrize(
    ("entry", "channel"),
    [
        pytest.param({}, Channel("x", "opt/ml/input/data/x"), id="name-alone"),
        pytest.param(
            {"InputMode": "FastFile"},
            Channel("x", "opt/ml/input/data/x", mode="FastFile"),
            id="mode",
        ),
        pytest.param(
            {"ContentType": "text/csv"},
            Channel("x", "opt/ml/input/data/x", content_type="text/csv"),
            id="content-type",
        ),
        pytest.param(
            {"InputMode": "Pipe", "RecordWrapperType": "RecordIO"},
            Channel("x", "opt/ml/input/data/x", mode="Pipe", record_wrapper="RecordIO"),
            id="record-wrapper",
        ),
        pytest.param(
            {"DataSource": {"S3DataSource": {"S3DataDistributionType": "ShardedByS3Key"}}},
            Channel("x", "opt/ml/input/data/x", distribution="ShardedByS3Key"),
            id="distribution",
        ),
        pytest.param(
            {"DataSource": {"FileSystemDataSource": {"FileSystemId": "fs-12345678901"}}},
            Channel("x", "opt/ml/input/data/x"),
            id="file-system",
        ),
    ],
)
def test_inputdataconfig_wins_over_the_folders(entry, channel):
    folders("x", "y")
    vpc = {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}}
    assert load({**inputs({"ChannelName": "x", **entry}), **vpc}).channels == (channel,)


def test_a_channel_s_own_mode_wins_over_the_job_s():
    folders("b")
    body = {
        **inputs({"ChannelName": "b"}, {"ChannelName": "training", "InputMode": "File"}),
        **algorithm(TrainingInputMode="FastFile"),
    }
    assert [(channel.name, channel.mode) for channel in load(body).channels] == [
        ("b", "FastFile"),
        ("training", "File"),
    ]


NAME = "a channel's name has letters, digits, '.', '-' and '_' (at most 64); rename the folder"
REFUSED = [
    pytest.param(
        inputs({"ChannelName": "x"}),
        "FILE:1: channel 'x' has no folder opt/ml/input/data/x; put its data there",
        id="no-folder",
    ),
    pytest.param(inputs({"ChannelName": ".."}), f"opt/ml/input/data/..: {NAME}", id="dots"),
    pytest.param(inputs({"ChannelName": "."}), f"opt/ml/input/data: {NAME}", id="dot"),
    pytest.param(
        resources(InstanceCount=0),
        "FILE:1: ResourceConfig asks for 0 hosts; this machine runs 1 to 64",
        id="no-host",
    ),
    pytest.param(
        resources(InstanceCount=65),
        "FILE:1: ResourceConfig asks for 65 hosts; this machine runs 1 to 64",
        id="65-hosts",
    ),
    pytest.param(
        resources(InstanceCount=10**15),
        f"FILE:1: ResourceConfig.InstanceCount is {10**15}; the API wants an integer of 32 bits",
        id="hosts-without-end",
    ),
    pytest.param(
        resources(InstanceGroups=[group("a", "ml.m5.large", 60), group("b", "ml.m5.large", 5)]),
        "FILE:1: ResourceConfig asks for 65 hosts; this machine runs 1 to 64",
        id="65-hosts-in-groups",
    ),
    *[
        pytest.param(
            {"CheckpointConfig": {"LocalPath": path}},
            f"FILE:1: CheckpointConfig.LocalPath is {path!r}; write an absolute path such as "
            "/opt/ml/checkpoints, without '.' and '..'",
            id=f"checkpoints-{path}",
        )
        for path in ("state", "/", "//state", "", "/opt/../tmp/x", "/..", "/a/.", "/a/./b")
    ],
    *[
        pytest.param(
            {"CheckpointConfig": {"LocalPath": path}},
            f"FILE:1: CheckpointConfig.LocalPath is {path!r}, which would hide the platform's "
            f"{own}; write another one, such as /opt/ml/checkpoints",
            id=f"checkpoints-{path}",
        )
        for path, own in (
            ("/opt", "/opt/ml/input"),
            ("/opt/ml/", "/opt/ml/input"),
            ("/opt/ml/input/config", "/opt/ml/input"),
            ("/opt/ml/model", "/opt/ml/model"),
            ("/opt/ml/output/", "/opt/ml/output"),
            ("/opt/ml/code", "/opt/ml/code"),
        )
    ],
]


def test_two_folders_at_one_place_are_refused():
    body = {
        "CheckpointConfig": {},
        "DebugHookConfig": {"S3OutputPath": "s3://b/c", "LocalPath": "/opt/ml/checkpoints/"},
    }
    assert refused(body) == (
        "job.yaml:1: DebugHookConfig.LocalPath is '/opt/ml/checkpoints', as "
        "CheckpointConfig's is; write another one"
    )


@pytest.mark.parametrize("file", ["job.yaml", "other.json"])
@pytest.mark.parametrize(("body", "said"), REFUSED)
def test_a_refusal_names_the_file_and_what_to_do(body, said, file):
    assert refused(body, JOB=file) == said.replace("FILE", file)


@pytest.mark.parametrize("name", ["two words", "a+b", "a,b", "x" * 65])
def test_a_folder_whose_name_is_no_channel_is_refused(name):
    folders(name)
    assert refused({}) == f"opt/ml/input/data/{name}: {NAME}"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param({}, "", id="none"),
        pytest.param({"CheckpointConfig": {}}, "/opt/ml/checkpoints", id="default"),
        pytest.param(
            {"CheckpointConfig": {"S3Uri": "s3://b/c"}},
            "/opt/ml/checkpoints",
            id="default-beside-a-uri",
        ),
        pytest.param({"CheckpointConfig": {"LocalPath": "/state"}}, "/state", id="elsewhere"),
        pytest.param(
            {"CheckpointConfig": {"LocalPath": "/a b/c,X/"}}, "/a b/c,X", id="slash-at-the-end"
        ),
        pytest.param(
            {"CheckpointConfig": {"LocalPath": "/opt/ml/model/..steps"}},
            "/opt/ml/model/..steps",
            id="in-the-model",
        ),
    ],
)
def test_checkpoints(body, path):
    assert load(body).checkpoints == path


@pytest.mark.parametrize(
    ("config", "hosts"),
    [
        pytest.param({}, ONE_HOST, id="default"),
        pytest.param(
            {"InstanceType": "ml.g5.xlarge"},
            (Host("algo-1", "homogeneousCluster", "ml.g5.xlarge"),),
            id="one",
        ),
        pytest.param(
            {"InstanceType": "ml.c5.xlarge", "InstanceCount": 64},
            tuple(Host(f"algo-{n}", "homogeneousCluster", "ml.c5.xlarge") for n in range(1, 65)),
            id="as-many-as-may-be",
        ),
        pytest.param(
            {
                "InstanceGroups": [
                    group("z", "ml.c5.xlarge", 2),
                    group("none", "ml.c5.xlarge", 0),
                    group("a", "ml.m5.large", 1),
                ]
            },
            (
                Host("algo-1", "z", "ml.c5.xlarge"),
                Host("algo-2", "z", "ml.c5.xlarge"),
                Host("algo-3", "a", "ml.m5.large"),
            ),
            id="groups",
        ),
    ],
)
def test_hosts(config, hosts):
    assert load(resources(**config)).hosts == hosts


@pytest.mark.parametrize(
    ("role", "account"),
    [
        pytest.param("arn:aws:iam::111122223333:role/x", "111122223333", id="aws"),
        pytest.param(
            "arn:aws-cn:iam::044455556666:role/service-role/x", "044455556666", id="china"
        ),
        pytest.param("", "123456789012", id="none"),
    ],
)
def test_the_account_is_the_role_s(role, account):
    assert load({"RoleArn": role} if role else {}).account == account


def sharded(name: str) -> dict:
    """Return a channel that SageMaker would shard among the hosts."""
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": {"S3DataDistributionType": "ShardedByS3Key"}},
    }


BY_NAME = {
    "ChannelName": "training",
    "DataSource": {"S3DataSource": {"S3Uri": "s3://b/ShardedByS3Key"}},
}
PROFILER = "ProfilerConfig is not emulated: no profilerconfig.json, whose content no source tells"

METRICS = (
    "AlgorithmSpecification.MetricDefinitions is not emulated: no metrics are made of the log, and "
    "no metric-definition-regex.json, whose form with metrics no source tells"
)


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        pytest.param(inputs(sharded("training")) | resources(InstanceCount=2), (), id="sharded"),
        pytest.param({"ProfilerConfig": {"DisableProfiler": True}}, (PROFILER,), id="profiler"),
        pytest.param(
            algorithm(MetricDefinitions=[{"Name": "loss", "Regex": "loss=(.*?);"}]),
            (METRICS,),
            id="metrics",
        ),
        pytest.param(
            {"TrainingJobStatus": "Completed", "ProfilerConfig": {"DisableProfiler": True}},
            ("job.yaml: left out what only DescribeTrainingJob has: TrainingJobStatus", PROFILER),
            id="those-of-the-request-first",
        ),
    ],
)
def test_what_is_said_before_the_run(body, notes):
    folders("x", "y")
    assert load(body).notes == notes


def test_a_request_with_problems_is_refused_under_its_own_name():
    assert refused({"ResourceConfig": {"InstanceCount": "2"}}, JOB="b.json") == (
        "b.json:1: ResourceConfig.InstanceCount is '2'; the API wants an integer; write 2"
    )


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        pytest.param("churn", "churn", id="plain"),
        pytest.param("X-Churn-2-X", "X-Churn-2-X", id="case-is-kept"),
        pytest.param("a--b---c", "a--b---c", id="hyphens-inside"),
        pytest.param("my_model.v2", "my-model-v2", id="other-characters"),
        pytest.param("  --häß--lich--", "h-lich", id="hyphens-at-the-ends"),
        pytest.param("日本", "job", id="nothing-left"),
        pytest.param("", "job", id="empty"),
        pytest.param("a" * 63, "a" * 44, id="long"),
        pytest.param("a" * 43 + "-b", "a" * 43, id="cut-behind-a-hyphen"),
        pytest.param("$(id)`x`'\"\n/../", "id-x", id="shell"),
    ],
)
def test_the_stem_of_a_name(name, stem):
    assert jobs.stem(name) == stem


@pytest.mark.parametrize(
    ("body", "stem"),
    [
        pytest.param({"TrainingJobName": "Given-1"}, "Given-1", id="request"),
        pytest.param({}, "churn", id="folder"),
    ],
)
def test_a_job_is_called_as_its_request_else_as_its_folder(body, stem):
    assert load(body).stem == stem


@given(
    strategies.text() | strategies.text(alphabet="aZ0-_ .é", min_size=40),
    strategies.sampled_from(["-20261123-104512", "-20261123-104512-99"]),
)
@example("-" * 70, "-20261123-104512-99")
@example("a" * 43 + "-" + "b", "-20261123-104512-99")
@settings(deadline=None)
def test_the_name_of_a_job_is_one_that_the_api_takes(name, suffix):
    job, shape = jobs.stem(name) + suffix, shapes.SHAPES["TrainingJobName"]
    assert re.fullmatch(shape["pattern"], job, re.ASCII) and len(job) <= shape["max"]


@given(strategies.from_regex(r"[a-zA-Z0-9](-[a-zA-Z0-9]|[a-zA-Z0-9]){0,20}", fullmatch=True))
@settings(deadline=None)
def test_a_name_that_the_api_takes_and_that_leaves_room_is_kept(name):
    assert jobs.stem(name) == name


def test_a_link_in_a_channel_s_place_that_leads_nowhere_is_refused():
    (channels.CHANNELS / "mounted").symlink_to("/nowhere/data")
    assert (
        refused({}) == "opt/ml/input/data/mounted: is a link to /nowhere/data, which is not there; "
        "mount it, or remove the link"
    )


def test_too_many_hyperparameters_with_those_of_the_command_line():
    body = {"HyperParameters": {f"k{n}": "" for n in range(100)}}
    assert (
        refused(body, HP="a=1 b=2")
        == "HP: 102 hyperparameters with those of HP; the API takes at most 100"
    )


@pytest.mark.parametrize(
    ("resources", "hosts"),
    [
        (
            {
                "InstancePreferences": [
                    {"InstanceType": "ml.p4d.24xlarge", "InstanceCount": 2},
                    {"InstanceType": "ml.p5.48xlarge", "InstanceCount": 1},
                ]
            },
            2,
        ),
        ({"InstancePreferences": [{"InstanceType": "ml.p4d.24xlarge"}], "InstanceCount": 3}, 3),
    ],
)
def test_of_preferences_the_first_is_taken_and_said(resources, hosts):
    job = load({"ResourceConfig": resources})
    assert [host.instance_type for host in job.hosts] == ["ml.p4d.24xlarge"] * hosts
    first = f"{hosts} x ml.p4d.24xlarge"
    assert job.notes == (f"ResourceConfig.InstancePreferences: the first is taken, {first}",)
