"""Requests as people write them, and every line that they get to read."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "<<cookiecutter.project>>"
sys.path.insert(0, str(TEMPLATE))

from sm_local.errors import SmLocalError  # noqa: E402
from sm_local.request import reading as api  # noqa: E402
from sm_local.request import shapes  # noqa: E402

# A file, then what it is told: the lines that start with the file's name.
BROKEN = "\n" + (ROOT / "tests/broken_requests.txt").read_text()

# What a transcript cannot show: tabs, characters that are no text, and long files.
HOSTILE = [
    pytest.param(
        "ResourceConfig:\n\tInstanceCount: 1\n",
        ["job.yaml:2: a tab where only spaces are allowed; indent with spaces"],
        id="tab",
    ),
    pytest.param(
        "a: 1\nb: \x01\n",
        ["job.yaml:2: special characters are not allowed; check 'b: \\x01'"],
        id="control-character",
    ),
    pytest.param(
        '{\n\t"TrainingJobName": "a"\n\t"RoleArn": "b"\n}\n',
        ["job.yaml:3: expecting ',' delimiter; check '\"RoleArn\": \"b\"'"],
        id="json-without-comma",
    ),
    pytest.param(
        '{"TrainingJobName": "a",\n"TrainingJobName": "b"}',
        ["job.yaml:2: TrainingJobName is here twice, first on line 1; remove one"],
        id="json-duplicate",
    ),
    pytest.param(
        '{\n\t"TrainingJobName": "my_job",\n\t"ResourceConfig": {"InstanceCount": "2",\n'
        '\t\t"InstanceType": 3}\n}\n',
        [
            "job.yaml:2: TrainingJobName is 'my_job'; it must match "
            "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
            "job.yaml:3: ResourceConfig.InstanceCount is '2'; the API wants an integer; write 2",
            'job.yaml:4: ResourceConfig.InstanceType is 3; the API wants a string; write "3"',
        ],
        id="json-with-tabs",
    ),
    pytest.param(
        "[" * 500, [f"job.yaml:1: nested too deeply; check '{'[' * 59}…'"], id="deep-yaml"
    ),
    pytest.param(
        '{"a":' * 30000,
        [
            "job.yaml:1: nested too deeply; check "
            f"'{('{' + chr(34) + 'a' + chr(34) + ':') * 11}{{\"a\"…'"
        ],
        id="deep-json",
    ),
    pytest.param(
        "TrainingJobName: " + "a" * 64,
        ["job.yaml:1: TrainingJobName has 64 characters; the API wants at most 63"],
        id="long-name",
    ),
    pytest.param(
        "HyperParameters:\n  a: " + "x" * 2501 + "\n  " + "k" * 257 + ": v\n",
        [
            "job.yaml:2: HyperParameters.a has 2501 characters; the API wants at most 2500",
            f"job.yaml:3: HyperParameters.{'k' * 59}… (the key) has 257 characters; the API "
            "wants at most 256",
        ],
        id="long-hyperparameters",
    ),
    pytest.param(
        "HyperParameters:\n" + "".join(f"  k{i}: v\n" for i in range(101)),
        ["job.yaml:1: HyperParameters has 101 entries; the API wants at most 100"],
        id="many-hyperparameters",
    ),
    pytest.param(
        "Environment:\n  my-var: a\n  DEBUG: 1\n  LONG: " + "x" * 513,
        [
            "job.yaml:2: Environment.my-var (the key) is 'my-var'; it must match "
            "[a-zA-Z_][a-zA-Z0-9_]*",
            'job.yaml:3: Environment.DEBUG is 1; the API wants a string; write "1"',
            "job.yaml:4: Environment.LONG has 513 characters; the API wants at most 512",
        ],
        id="environment",
    ),
    pytest.param(
        "InputDataConfig:\n" + "".join(f"- ChannelName: c{i}\n" for i in range(21)),
        ["job.yaml:1: InputDataConfig has 21 items; the API wants at most 20"],
        id="many-channels",
    ),
    pytest.param(
        "InputDataConfig: &a [" + "*a, " * 5000 + "*a]",
        [
            "job.yaml:1: InputDataConfig has 5001 items; the API wants at most 20",
            *(
                f"job.yaml:1: InputDataConfig[{i}] is a list; the API wants a map; write 'key: "
                "value' lines below it"
                for i in range(20)
            ),
        ],
        id="a-list-of-itself",
    ),
    pytest.param(
        "ResourceConfig: {InstanceCount: " + "9" * 5000 + "0.5}",
        [f"job.yaml:1: ResourceConfig.InstanceCount is {'9' * 59}…; the API wants an integer"],
        id="many-digits",
    ),
]

FULL = """\
TrainingJobName: churn-2024-01-01
RoleArn: arn:aws:iam::123456789012:role/service-role/SageMakerRole
AlgorithmSpecification:
  TrainingImage: 123456789012.dkr.ecr.us-west-2.amazonaws.com/churn:latest
  TrainingInputMode: File
  ContainerEntrypoint: [/bin/bash, -c]
  ContainerArguments:
  - python /opt/ml/code/train.py
  EnableSageMakerMetricsTimeSeries: false
  MetricDefinitions:
  - Name: loss
    Regex: 'loss=([0-9.]+)'
  TrainingImageConfig:
    TrainingRepositoryAccessMode: Vpc
    TrainingRepositoryAuthConfig:
      TrainingRepositoryCredentialsProviderArn: arn:aws:lambda:us-west-2:123456789012:function:login
HyperParameters:
  epochs: "3"
  lr: '0.1'
  text: größe 🎉
Environment:
  MODE: fast
  MULTI: |
    one
    two
InputDataConfig:
- ChannelName: training
  ContentType: text/csv
  CompressionType: None
  RecordWrapperType: None
  InputMode: FastFile
  ShuffleConfig:
    Seed: 12345678901
  DataSource:
    S3DataSource:
      S3DataType: S3Prefix
      S3Uri: s3://bucket/training/
      S3DataDistributionType: FullyReplicated
- ChannelName: stream
  InputMode: Pipe
  CompressionType: Gzip
  DataSource:
    S3DataSource:
      S3DataType: AugmentedManifestFile
      S3Uri: s3://bucket/m.json
      S3DataDistributionType: ShardedByS3Key
      AttributeNames: [image, label]
- ChannelName: disk
  DataSource:
    FileSystemDataSource:
      FileSystemId: fs-0123456789abcdef0
      FileSystemAccessMode: ro
      FileSystemType: EFS
      DirectoryPath: /data
OutputDataConfig:
  S3OutputPath: s3://bucket/output
  KmsKeyId: alias/key
  CompressionType: GZIP
ResourceConfig:
  InstanceType: ml.g5.xlarge
  InstanceCount: 2
  VolumeSizeInGB: 50
VpcConfig:
  SecurityGroupIds: [sg-0123456789abcdef0]
  Subnets:
  - subnet-0123456789abcdef0
StoppingCondition:
  MaxRuntimeInSeconds: 3600
  MaxWaitTimeInSeconds: 7200
Tags:
- Key: größe
  Value: ''
EnableNetworkIsolation: false
EnableInterContainerTrafficEncryption: true
EnableManagedSpotTraining: true
CheckpointConfig:
  S3Uri: s3://bucket/checkpoints
  LocalPath: /opt/ml/checkpoints
DebugHookConfig:
  S3OutputPath: s3://bucket/debug
  CollectionConfigurations:
  - CollectionName: losses
    CollectionParameters: {save_interval: "10"}
DebugRuleConfigurations:
- RuleConfigurationName: LossNotDecreasing
  RuleEvaluatorImage: 895741380848.dkr.ecr.us-west-2.amazonaws.com/sagemaker-debugger-rules:latest
  RuleParameters: {rule_to_invoke: LossNotDecreasing}
TensorBoardOutputConfig:
  S3OutputPath: s3://bucket/tensorboard
ExperimentConfig:
  ExperimentName: churn
  TrialName: first
ProfilerConfig:
  S3OutputPath: s3://bucket/profiler
  ProfilingIntervalInMilliseconds: 500
  DisableProfiler: false
RetryStrategy:
  MaximumRetryAttempts: 2
RemoteDebugConfig:
  EnableRemoteDebug: false
InfraCheckConfig:
  EnableInfraCheck: true
SessionChainingConfig:
  EnableSessionTagChaining: true
"""

DESCRIBED = {
    "TrainingJobName": "churn-2024-05-01-10-00-00-000",
    "TrainingJobArn": (
        "arn:aws:sagemaker:us-west-2:123456789012:training-job/churn-2024-05-01-10-00-00-000"
    ),
    "ModelArtifacts": {"S3ModelArtifacts": "s3://bucket/output/churn/output/model.tar.gz"},
    "TrainingJobStatus": "Completed",
    "SecondaryStatus": "Completed",
    "HyperParameters": {"epochs": "3", "sagemaker_program": '"train.py"', "face": "\U0001f600"},
    "AlgorithmSpecification": {
        "TrainingImage": "123456789012.dkr.ecr.us-west-2.amazonaws.com/churn:latest",
        "TrainingInputMode": "File",
        "EnableSageMakerMetricsTimeSeries": False,
    },
    "RoleArn": "arn:aws:iam::123456789012:role/service-role/SageMakerRole",
    "InputDataConfig": [
        {
            "ChannelName": "training",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": "s3://bucket/training",
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
            "CompressionType": "None",
            "RecordWrapperType": "None",
        }
    ],
    "OutputDataConfig": {
        "KmsKeyId": "",
        "S3OutputPath": "s3://bucket/output",
        "CompressionType": "GZIP",
    },
    "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
    "CreationTime": "2024-05-01T10:00:00.123000+00:00",
    "TrainingStartTime": 1714557600.5,
    "SecondaryStatusTransitions": [
        {
            "Status": "Starting",
            "StartTime": "2024-05-01T10:00:00.123000+00:00",
            "StatusMessage": "Preparing the instances for training",
        }
    ],
    "FinalMetricDataList": [
        {"MetricName": "loss", "Value": 0.25, "Timestamp": "2024-05-01T10:05:00+00:00"}
    ],
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
    "TrainingTimeInSeconds": 120,
    "BillableTimeInSeconds": 120,
    "ProfilingStatus": "Disabled",
}
DROPPED = (
    "TrainingJobArn",
    "ModelArtifacts",
    "TrainingJobStatus",
    "SecondaryStatus",
    "CreationTime",
    "TrainingStartTime",
    "SecondaryStatusTransitions",
    "FinalMetricDataList",
    "TrainingTimeInSeconds",
    "BillableTimeInSeconds",
    "ProfilingStatus",
)


def transcripts() -> list:
    """Return a pytest.param of file and lines for each case in BROKEN."""
    cases = re.split(r"(?m)^## (.+)\n", BROKEN.replace("BOTOCORE", shapes.API["botocore"]))[1:]
    return [
        pytest.param(*parted(text), id=name.replace(" ", "-"))
        for name, text in zip(cases[::2], cases[1::2])
    ]


def parted(text: str) -> tuple[str, list[str]]:
    """Part a case into the file and what is said of it."""
    lines = text.strip("\n").split("\n")
    said = [line for line in lines if line.startswith("job.yaml:")]
    return "".join(f"{line}\n" for line in lines if line not in said), said


def read(text: str | bytes, name: str = "job.yaml") -> api.Request:
    """Read a request from a file in the working folder."""
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return api.read(Path(name))


def refused(text: str | bytes, name: str = "job.yaml") -> list[str]:
    """Return the lines that a request is refused with."""
    with pytest.raises(SmLocalError) as caught:
        read(text, name)
    return str(caught.value).split("\n")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("text", "lines"), [*transcripts(), *HOSTILE])
def test_a_broken_request_is_told_everything_at_once(text, lines):
    assert refused(text) == lines


def test_there_are_many_broken_requests():
    assert len(transcripts()) >= 60


@pytest.mark.parametrize(
    "text", ["", "\n", "# only a comment\n", "---\n", "---\n...\n", "{}", "~", "\ufeff", "--- {}\n"]
)
def test_an_empty_file_is_an_empty_request(text):
    assert read(text) == api.Request({}, ())


def test_a_full_request_passes_as_it_is():
    from ruamel.yaml import YAML

    request = read(FULL)
    assert request == api.Request(YAML(typ="safe", pure=True).load(FULL), ())
    assert list(request.body) == [
        line.partition(":")[0] for line in FULL.splitlines() if re.match(r"\w", line)
    ]


@pytest.mark.parametrize(
    "style",
    [{"indent": 4}, {"indent": "\t"}, {"separators": (",", ":")}, {"ensure_ascii": False}],
    ids=str,
)
def test_json_and_yaml_say_the_same(style):
    body = read(FULL).body
    body["HyperParameters"]["odd"] = 'tab\there, \u2028 \x85 \U0001f600 " \\ / <<'
    body["HyperParameters"]["\U0001f600"] = "1.10"
    assert read(json.dumps(body, **style), "job.json") == api.Request(body, ())


def test_values_are_plain_and_keep_their_text():
    text = (
        "HyperParameters: {lr: '1.10', flag: \"yes\", word: yes, time: 1:30, tagged: "
        "!!str 010}\nResourceConfig: {InstanceCount: 0x2}\n"
    )
    body = read(text).body
    assert body == {
        "HyperParameters": {
            "lr": "1.10",
            "flag": "yes",
            "word": "yes",
            "time": "1:30",
            "tagged": "010",
        },
        "ResourceConfig": {"InstanceCount": 2},
    }
    assert {type(value) for value in (body, *body["HyperParameters"].values())} == {dict, str}


def test_anchors_and_merges_work():
    text = (
        "HyperParameters: &all {epochs: '3', lr: '0.1'}\n"
        "Environment:\n  <<: [*all, {A: x, lr: unseen}]\n  epochs: '4'\n  B: &b y\n  C: *b\n"
        "InputDataConfig:\n- &train {ChannelName: training, ContentType: text/csv}\n- <<: "
        "*train\n  ChannelName: validation\n"
    )
    assert read(text).body == {
        "HyperParameters": {"epochs": "3", "lr": "0.1"},
        "Environment": {"epochs": "4", "B": "y", "C": "y", "lr": "0.1", "A": "x"},
        "InputDataConfig": [
            {"ChannelName": "training", "ContentType": "text/csv"},
            {"ChannelName": "validation", "ContentType": "text/csv"},
        ],
    }


def test_merges_that_double_at_every_level_take_no_time():
    levels = "".join(f"  k{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}]}}\n" for i in range(1, 60))
    lines = refused(
        "HyperParameters:\n  k0: &m0 {a: b}\n" + levels + "Environment:\n  <<: *m59\n  c: d\n"
    )
    assert len(lines) == 60
    assert set(lines) == {
        f"job.yaml:{i + 2}: HyperParameters.k{i} is a map; the API wants a string; write it as "
        "JSON in quotes"
        for i in range(60)
    }


def test_any_part_may_be_left_out():
    text = (
        "AlgorithmSpecification: {}\nInputDataConfig: [{ChannelName: a, DataSource: "
        "{S3DataSource: {}}}]\nOutputDataConfig: {}\n"
        "ResourceConfig: {}\nStoppingCondition: {}\nCheckpointConfig: {}\nDebugHookConfig: {}\n"
        "TensorBoardOutputConfig: {}\n"
    )
    assert read(text).notes == ()


def test_an_unknown_instance_type_is_a_note():
    groups = "[{InstanceGroupName: a, InstanceCount: 1, InstanceType: local}]"
    request = read(f"ResourceConfig:\n  InstanceGroups: {groups}\n")
    assert request.body["ResourceConfig"]["InstanceGroups"][0]["InstanceType"] == "local"
    unknown = f"this copy of the API (botocore {shapes.API['botocore']}) does not know it"
    assert request.notes == (
        f"job.yaml:2: ResourceConfig.InstanceGroups[0].InstanceType is 'local'; {unknown}",
    )
    (near,) = read("ResourceConfig:\n  InstanceType: ml.p5.480xlarge\n").notes
    assert near.startswith(
        f"job.yaml:2: ResourceConfig.InstanceType is 'ml.p5.480xlarge'; {unknown}, but "
        "ml.p5.48xlarge, "
    )


@pytest.mark.parametrize("style", ["json", "yaml"])
def test_what_describe_prints_is_a_request(style):
    from ruamel.yaml import YAML

    with Path("job.yaml").open("w", encoding="utf-8") as file:
        json.dump(DESCRIBED, file, indent=4) if style == "json" else YAML().dump(DESCRIBED, file)
    request = api.read(Path("job.yaml"))
    assert request.body == {key: value for key, value in DESCRIBED.items() if key not in DROPPED}
    assert request.notes == (
        "job.yaml: left out what only DescribeTrainingJob has: TrainingJobArn, ModelArtifacts, "
        "TrainingJobStatus and 8 more",
    )


def test_what_a_newer_describe_prints_is_dropped_with_a_note():
    text = (
        "TrainingJobStatus: Completed\nNewInMay: 1\n"
        "ResourceConfig: {InstancePreferences: [{InstanceType: ml.m5.large, InstanceCount: "
        "2}], SelectedInstanceType: ml.m5.large}\n"
    )
    assert read(text) == api.Request(
        {
            "ResourceConfig": {
                "InstancePreferences": [{"InstanceType": "ml.m5.large", "InstanceCount": 2}]
            }
        },
        (
            "job.yaml: left out what only DescribeTrainingJob has: TrainingJobStatus, "
            "ResourceConfig.SelectedInstanceType",
            "job.yaml:2: NewInMay is not a key of the API; remove it",
        ),
    )


def test_a_described_job_that_was_edited_wrongly_is_refused():
    text = "TrainingJobStatus: Completed\nResourceConfig: {InstanceCount: two}\n"
    assert refused(text) == [
        "job.yaml:2: ResourceConfig.InstanceCount is 'two'; the API wants an integer"
    ]


def test_files_that_cannot_be_read():
    Path("folder").mkdir()
    with pytest.raises(
        SmLocalError,
        match=r"^no/job\.yaml: no such file; make one, an empty file is a request too$",
    ):
        api.read(Path("no/job.yaml"))
    with pytest.raises(
        SmLocalError,
        match=r"^folder: cannot be read \(Is a directory\); make it a file that you may read$",
    ):
        api.read(Path("folder"))
    assert refused(b"TrainingJobName: a\nTags: [\xe9]\n") == [
        "job.yaml:2: byte 0xe9 is not UTF-8; save the file as UTF-8"
    ]
    assert refused('{"Tags": []}'.encode("utf-16")) == [
        "job.yaml:1: byte 0xff is not UTF-8; save the file as UTF-8"
    ]


def test_every_pattern_can_be_checked():
    for name, shape in shapes.SHAPES.items():
        assert re.compile(shapes.translated(shape.get("pattern", ""))), name
    assert not list(shapes.misfits("AthenaCatalog", "aé\U0001f600"))


def test_what_may_be_left_out_is_what_the_api_requires():
    for name, keys in shapes.MAY_BE_LEFT_OUT.items():
        assert keys <= {*shapes.SHAPES[name]["required"]}, name
    assert shapes.SHAPES.keys() >= shapes.OPEN_ENUMS


def refresh_api():
    """Import tools/refresh_api.py."""
    spec = importlib.util.spec_from_file_location("refresh_api", ROOT / "tools" / "refresh_api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def botocore_model() -> dict:
    """Return the SageMaker model of the botocore that is installed, or skip."""
    pytest.importorskip("botocore")
    return refresh_api().model()


def test_botocore_takes_what_passes_here():
    from ruamel.yaml import YAML

    model = botocore_model()
    from botocore.model import ServiceModel
    from botocore.validate import ParamValidator

    shape = ServiceModel(model).shape_for("CreateTrainingJobRequest")
    assert ParamValidator().validate(read(FULL).body, shape).generate_report() == ""
    assert ParamValidator().validate(YAML(typ="safe").load(FULL), shape).generate_report() == ""


def test_api_json_is_what_refresh_api_cuts():
    model = botocore_model()
    import botocore

    if botocore.__version__ != shapes.API["botocore"]:
        pytest.skip(
            f"api.json is of botocore {shapes.API['botocore']}, here is {botocore.__version__}"
        )
    assert (shapes.API["apiVersion"], shapes.SHAPES) == (
        model["metadata"]["apiVersion"],
        refresh_api().cut(model["shapes"]),
    )
    assert Path(shapes.__file__).with_name("api.json").read_text() == refresh_api().render(
        botocore.__version__, model
    )


def test_refresh_api_replaces_the_file_or_leaves_it_alone(tmp_path, monkeypatch, capsys):
    tool = refresh_api()
    monkeypatch.setattr(tool, "API", tmp_path / "api.json")
    monkeypatch.setattr(tool.botocore, "__version__", "9.9.9")
    tool.API.write_text("old")
    monkeypatch.setattr(tool, "model", lambda: {"shapes": {}})
    assert (tool.main([]), tool.API.read_text()) == (1, "old")
    assert (tool.main(["x"]), tool.API.read_text()) == (2, "old")
    string = {"type": "string", "documentation": "<p>long</p>"}
    request = {"type": "structure", "members": {"A": {"shape": "S", "documentation": "x"}}}
    model = {
        "metadata": {"apiVersion": "2017-07-24"},
        "shapes": dict.fromkeys(tool.ROOTS, request) | {"S": string, "Unused": string},
    }
    monkeypatch.setattr(tool, "model", lambda: model)
    assert tool.main([]) == 0
    assert tool.API.read_text() == (
        '{\n"botocore": "9.9.9",\n"apiVersion": "2017-07-24",\n"shapes": {\n'
        '"CreateProcessingJobRequest": {"type": "structure", "members": {"A": "S"}},\n'
        '"CreateTrainingJobRequest": {"type": "structure", "members": {"A": "S"}},\n'
        '"DescribeProcessingJobResponse": {"type": "structure", "members": {"A": "S"}},\n'
        '"DescribeTrainingJobResponse": {"type": "structure", "members": {"A": "S"}},\n'
        '"S": {"type": "string"}\n}\n}\n'
    )
    assert capsys.readouterr().out == "api.json: 5 shapes from botocore 9.9.9\n"


# CreateProcessingJob


PROCESSING = """\
AppSpecification: {ContainerEntrypoint: [python3, /opt/ml/processing/input/code/x.py]}
ProcessingInputs:
- {InputName: code, S3Input: {LocalPath: /opt/ml/processing/input/code}}
- {InputName: data, S3Input: {S3Uri: 's3://b/k', S3DataType: S3Prefix, LocalPath: /opt/ml/x}}
ProcessingOutputConfig:
  Outputs: [{OutputName: result, S3Output: {LocalPath: /opt/ml/processing/output}}]
ProcessingResources: {ClusterConfig: {InstanceType: ml.m5.large, InstanceCount: 1}}
StoppingCondition: {MaxRuntimeInSeconds: 3600}
Environment: {MODE: fast}
"""


def process(text: str) -> api.Request:
    """Read a processing job's request."""
    Path("job.yaml").write_text(text)
    return api.read(Path("job.yaml"), shapes.PROCESSING)


@pytest.mark.parametrize("text", ["", "ProcessingResources: {}\nAppSpecification: {}", PROCESSING])
def test_a_processing_job_may_leave_out_what_a_local_run_does_not_need(text):
    assert process(text).notes == ()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(
            "ResourceConfig: {}",
            ["job.yaml:1: ResourceConfig is not a key of the API; did you mean NetworkConfig?"],
            id="a-training-job's",
        ),
        pytest.param(
            "InstanceType: ml.m5.large",
            [
                "job.yaml:1: InstanceType is not a key of the API here; "
                "it belongs in ProcessingResources.ClusterConfig"
            ],
            id="home",
        ),
        pytest.param(
            "AppSpecification: {RoleArn: x}",
            [
                "job.yaml:1: AppSpecification.RoleArn is not a key of the API here; "
                "it belongs at the top"
            ],
            id="top",
        ),
        pytest.param(
            "ProcessingInputs: [{S3Input: {}}]\nStoppingCondition: {MaxRuntimeInSeconds: 1d}",
            [
                "job.yaml:1: ProcessingInputs[0].InputName is missing; "
                "add it, the API demands it here",
                "job.yaml:2: StoppingCondition.MaxRuntimeInSeconds is '1d'; "
                "the API wants an integer",
            ],
            id="values",
        ),
        pytest.param(
            "StoppingCondition: {MaxRuntimeInSeconds: 777601}",
            [
                "job.yaml:1: StoppingCondition.MaxRuntimeInSeconds is 777601; "
                "the API wants at most 777600"
            ],
            id="no-rule-of-training-jobs",
        ),
    ],
)
def test_a_broken_processing_job_is_told_everything_at_once(text, lines):
    with pytest.raises(SmLocalError) as caught:
        process(text)
    assert str(caught.value).split("\n") == lines


def test_what_describe_prints_of_a_processing_job_is_a_request():
    request = process(
        "ProcessingJobStatus: Completed\n"
        "ProcessingResources: {ClusterConfig: {InstanceCount: 1, SelectedInstanceCount: 1}}\n"
        "ResponseMetadata: {}\n"
    )
    assert request.body == {"ProcessingResources": {"ClusterConfig": {"InstanceCount": 1}}}
    assert request.notes == (
        "job.yaml: left out what only DescribeProcessingJob has: ProcessingJobStatus, "
        "ProcessingResources.ClusterConfig.SelectedInstanceCount, ResponseMetadata",
    )


def test_half_a_character_is_no_text():
    assert refused('{"HyperParameters": {"a": "\\ud800"}}') == [
        "job.yaml:1: HyperParameters.a is not Unicode text; write it in UTF-8"
    ]


def test_a_json_file_is_told_what_json_takes():
    value = '"[1, \\"é\\"]"'
    assert refused('{"HyperParameters": {"größe": [1, "\\u00e9"]}}') == [
        f"job.yaml:1: HyperParameters.größe is a list; the API wants a string; write {value}"
    ]


def test_json_that_yaml_would_not_take_as_it_stands():
    key = "\u00e9" * 256
    text = (
        '{"HyperParameters"\n : {"'
        + "\\u00e9" * 256
        + r'": "\\u00e9 \u0022 \ud83d\ude00 \" : x"}, "RoleArn": 1}'
    )
    assert refused(text, "job.json") == [
        'job.json:2: RoleArn is 1; the API wants a string; write "1"'
    ]
    assert read(text.replace(', "RoleArn": 1', "")).body == {
        "HyperParameters": {key: '\\u00e9 " \U0001f600 " : x'}
    }
