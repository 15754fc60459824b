"""What SageMaker promises a container, as real jobs had it.

The text of every config file, names, environment and command.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace

import pytest
from plans import (
    DOCKER,
    JOB,
    ONE,
    SANDBOX,
    SETTINGS,
    TRAINING,
    WITH_GPU,
    environment,
    hosts,
    option,
    planned,
    settled,
    words,
)
from sm_local.engines import ENGINES
from sm_local.errors import SmLocalError
from sm_local.features.limits import instances
from sm_local.kinds import contract, training
from sm_local.kinds import job as jobs
from sm_local.kinds.channels import Channel
from sm_local.kinds.common import compact, hostname
from sm_local.kinds.job import Host
from sm_local.machine import AVAILABLE, EngineFacts, Gpu
from sm_local.plan import STAMP
from sm_local.request import shapes
from sm_local.script import call, quote
from sm_local.verbs import planning

# How the container is started


@pytest.mark.parametrize(
    ("entrypoint", "arguments", "command"),
    [
        pytest.param((), (), ("", ("train",)), id="neither"),
        pytest.param(("/bin/sh",), (), ("/bin/sh", ()), id="entrypoint"),
        pytest.param(
            ("/bin/bash", "-c", "a b"),
            (),
            ("/bin/bash", ("-c", "a b")),
            id="entrypoint-of-several-words",
        ),
        pytest.param((), ("x", ""), ("", ("x", "")), id="arguments"),
        pytest.param(
            ("python3", "-u"), ("a.py", "$HOME"), ("python3", ("-u", "a.py", "$HOME")), id="both"
        ),
    ],
)
def test_the_entrypoint_and_the_arguments(entrypoint, arguments, command):
    """Of an entrypoint of several words, all but the first stand in front of the arguments."""
    first, rest = command
    lines = words(replace(JOB, entrypoint=entrypoint, arguments=arguments))
    assert lines[-1] == [*(["--entrypoint", first] if first else []), '"$built"', *rest]


@pytest.mark.parametrize(
    ("region", "host", "name"),
    [
        pytest.param("us-west-2", "algo-1", "ip-10-0-0-1.us-west-2.compute.internal", id="region"),
        pytest.param("us-east-1", "algo-1", "ip-10-0-0-1.ec2.internal", id="us-east-1"),
        pytest.param("us-east-2", "algo-12", "ip-10-0-0-12.us-east-2.compute.internal", id="host"),
    ],
)
def test_the_host_name(region, host, name):
    assert hostname(region, host) == name


def test_the_host_name_is_algo_1_s_by_default():
    assert hostname("us-west-2") == hostname("us-west-2", "algo-1")


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("us-west-2", "aws"),
        ("eu-central-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("us-isof-south-1", "aws-iso-f"),
        ("eu-isoe-west-1", "aws-iso-e"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_the_arn_has_the_name_in_lower_case(region, partition):
    assert (
        contract.arn_prefix(replace(JOB, region=region))
        == f"arn:{partition}:sagemaker:{region}:111122223333:training-job/churn-1"
    )


def test_the_arn_is_one_that_the_api_takes():
    assert re.fullmatch(shapes.SHAPES["TrainingJobArn"]["pattern"], contract.arn_prefix(JOB))


# Environment

PLATFORM = {"AWS_REGION": "us-west-2", "DMLC_INTERFACE": "eth0"}
ARN = "arn:aws:sagemaker:us-west-2:111122223333:training-job/"
NAMED = {
    "TRAINING_JOB_NAME": f"Churn-1{STAMP}",
    "TRAINING_JOB_ARN": f"{ARN}churn-1{STAMP}",
}


@pytest.mark.parametrize(
    ("gpu", "environment"),
    [
        pytest.param(False, {**PLATFORM, "NVIDIA_VISIBLE_DEVICES": "void"}, id="cpu"),
        pytest.param(True, PLATFORM, id="gpu"),
    ],
)
def test_what_the_platform_sets(gpu, environment):
    (container,) = planned(JOB, WITH_GPU if gpu else DOCKER).containers
    assert container.variables == {**NAMED, **environment}


@pytest.mark.parametrize(
    ("where", "gpu", "request_s", "seen"),
    [
        pytest.param(
            DOCKER, "auto", {}, {**NAMED, **PLATFORM, "NVIDIA_VISIBLE_DEVICES": "void"}, id="cpu"
        ),
        pytest.param(WITH_GPU, "auto", {}, {**NAMED, **PLATFORM}, id="gpu"),
        pytest.param(
            WITH_GPU,
            "none",
            {},
            {**NAMED, **PLATFORM, "NVIDIA_VISIBLE_DEVICES": "void"},
            id="gpu-not-wanted",
        ),
        pytest.param(
            SANDBOX,
            "auto",
            {},
            {**NAMED, **PLATFORM, "NVIDIA_VISIBLE_DEVICES": "void"},
            id="sandbox",
        ),
        pytest.param(
            DOCKER,
            "auto",
            {"A": "1\n$x", "AWS_REGION": "eu-west-1", "TRAINING_JOB_NAME": "mine"},
            {
                **NAMED,
                **PLATFORM,
                "NVIDIA_VISIBLE_DEVICES": "void",
                "A": "1\n$x",
                "AWS_REGION": "eu-west-1",
                "TRAINING_JOB_NAME": "mine",
            },
            id="the-request-wins",
        ),
    ],
)
def test_the_whole_environment(where, gpu, request_s, seen):
    job = replace(JOB, environment=request_s, settings=settled(GPU=gpu))
    assert environment(planned(job, where).containers[0]) == seen


def test_the_environment_of_a_deep_learning_container(tmp_path):
    (tmp_path / "job.yaml").write_text(
        "TrainingJobName: Churn-1\nRoleArn: arn:aws:iam::111122223333:role/sagemaker\n"
    )
    job = jobs.load(tmp_path, SETTINGS, {"IMAGE": "dlc"})
    assert environment(planned(job).containers[0]) == {
        **NAMED,
        **PLATFORM,
        "NVIDIA_VISIBLE_DEVICES": "void",
        "SAGEMAKER_PROGRAM": "train.py",
    }


def test_the_assignments_are_bash_words():
    job = replace(JOB, stem="a", environment={"A": "it's", "B": "$x `y`\n'", "C": ""})
    expected = [
        'TRAINING_JOB_NAME=a"$stamp"',
        f'TRAINING_JOB_ARN={ARN}a"$stamp"',
        "AWS_REGION=us-west-2",
        "DMLC_INTERFACE=eth0",
        "NVIDIA_VISIBLE_DEVICES=void",
        'A="it\'s"',
        'B="\\$x \\`y\\`\n\'"',
        "C=''",
    ]
    assert option(words(job), "--env")[1::2] == expected
    assert [call(*line) for line in words(job, SANDBOX)][2:-1] == expected


# /opt/ml/input/config

RESOURCES = (
    '{"current_host":"algo-1","current_instance_type":"ml.c5.xlarge",'
    '"current_group_name":"homogeneousCluster","hosts":["algo-1"],'
    '"instance_groups":[{"instance_group_name":"homogeneousCluster",'
    '"instance_type":"ml.c5.xlarge","hosts":["algo-1"]}],'
    '"network_interface_name":"eth0","topology":null}'
)
INPUTS = (
    '{"training":{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated",'
    '"RecordWrapperType":"None"}}'
)
BASE = {
    "hyperparameters.json": "{}",
    "inputdataconfig.json": INPUTS,
    "resourceconfig.json": RESOURCES,
    "metric-definition-regex.json": "[]",
}


def config(job: jobs.Job, name: str, host: Host | None = None) -> str:
    """Return the text of one file as a host sees it."""
    return training.config_files(job, host or job.hosts[0])[name]


def test_the_files_of_a_plain_job():
    assert training.config_files(JOB, ONE) == BASE


def test_resourceconfig_of_one_host():
    assert config(JOB, "resourceconfig.json") == RESOURCES


def test_resourceconfig_of_two_hosts_as_captured():
    job = replace(JOB, hosts=hosts(2))
    captured = (
        '{"current_host":"algo-%d","current_instance_type":"ml.c5.xlarge",'
        '"current_group_name":"homogeneousCluster","hosts":["algo-1","algo-2"],'
        '"instance_groups":[{"instance_group_name":"homogeneousCluster",'
        '"instance_type":"ml.c5.xlarge","hosts":["algo-1","algo-2"]}],'
        '"network_interface_name":"eth0","topology":null}'
    )
    assert [config(job, "resourceconfig.json", host) for host in job.hosts] == [
        captured % 1,
        captured % 2,
    ]


def test_hosts_are_sorted_as_text():
    job = replace(JOB, hosts=hosts(12))
    assert contract.resource_config(job, job.hosts[10]) == {
        "current_host": "algo-11",
        "current_instance_type": "ml.c5.xlarge",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1", "algo-10", "algo-11", "algo-12", *(f"algo-{n}" for n in range(2, 10))],
        "instance_groups": [
            {
                "instance_group_name": "homogeneousCluster",
                "instance_type": "ml.c5.xlarge",
                "hosts": [f"algo-{n}" for n in range(1, 13)],
            }
        ],
        "network_interface_name": "eth0",
        "topology": None,
    }


GROUPS = (
    Host("algo-1", "z", "ml.c5.xlarge"),
    Host("algo-2", "a", "ml.g5.xlarge"),
    Host("algo-3", "a", "ml.g5.xlarge"),
)


@pytest.mark.parametrize("host", GROUPS, ids=lambda host: host.name)
def test_resourceconfig_of_instance_groups(host):
    assert json.loads(config(replace(JOB, hosts=GROUPS), "resourceconfig.json", host)) == {
        "current_host": host.name,
        "current_instance_type": host.instance_type,
        "current_group_name": host.group,
        "hosts": ["algo-1", "algo-2", "algo-3"],
        "instance_groups": [
            {"instance_group_name": "z", "instance_type": "ml.c5.xlarge", "hosts": ["algo-1"]},
            {
                "instance_group_name": "a",
                "instance_type": "ml.g5.xlarge",
                "hosts": ["algo-2", "algo-3"],
            },
        ],
        "network_interface_name": "eth0",
        "topology": None,
    }


@pytest.mark.parametrize(
    ("channels", "text"),
    [
        pytest.param((), "{}", id="none"),
        pytest.param((TRAINING,), INPUTS, id="file"),
        pytest.param((replace(TRAINING, mode="FastFile"),), INPUTS, id="fastfile-is-called-file"),
        pytest.param(
            (replace(TRAINING, content_type="text/csv"),),
            '{"training":{"ContentType":"text/csv","TrainingInputMode":"File",'
            '"S3DistributionType":"FullyReplicated","RecordWrapperType":"None"}}',
            id="content-type",
        ),
        pytest.param(
            (replace(TRAINING, distribution="ShardedByS3Key"),),
            '{"training":{"TrainingInputMode":"File",'
            '"S3DistributionType":"ShardedByS3Key","RecordWrapperType":"None"}}',
            id="sharded",
        ),
        pytest.param(
            (replace(TRAINING, record_wrapper="RecordIO"),),
            '{"training":{"TrainingInputMode":"File",'
            '"S3DistributionType":"FullyReplicated","RecordWrapperType":"RecordIO"}}',
            id="record-io",
        ),
        pytest.param(
            (Channel("train", "x", content_type="text/libsvm"), Channel("validation", "y")),
            '{"train":{"ContentType":"text/libsvm","TrainingInputMode":"File",'
            '"S3DistributionType":"FullyReplicated","RecordWrapperType":"None"},'
            '"validation":{"TrainingInputMode":"File",'
            '"S3DistributionType":"FullyReplicated","RecordWrapperType":"None"}}',
            id="two-as-documented",
        ),
    ],
)
def test_inputdataconfig(channels, text):
    assert config(replace(JOB, channels=channels), "inputdataconfig.json") == text


FOR_ALL, FOR_A, FOR_BOTH = (
    Channel("all", "x"),
    Channel("for-a", "y", groups=("a",)),
    Channel("both", "z", groups=("z", "a")),
)


@pytest.mark.parametrize(
    ("host", "channels"),
    [
        pytest.param(GROUPS[0], (FOR_ALL, FOR_BOTH), id="z"),
        pytest.param(GROUPS[1], (FOR_ALL, FOR_A, FOR_BOTH), id="a"),
    ],
)
def test_a_host_gets_the_channels_of_its_group(host, channels):
    job = replace(JOB, hosts=GROUPS, channels=(FOR_ALL, FOR_A, FOR_BOTH))
    assert contract.host_channels(job, host) == channels
    assert list(json.loads(config(job, "inputdataconfig.json", host))) == [
        channel.name for channel in channels
    ]


def test_hyperparameters_are_written_as_they_are():
    values = {"z": "1", "quoted": '"algo.py"', "a": "é\n\\", "empty": ""}
    assert (
        config(replace(JOB, hyperparameters=values), "hyperparameters.json")
        == '{"z":"1","quoted":"\\"algo.py\\"","a":"é\\n\\\\","empty":""}'
    )


METRICS = {
    "AlgorithmSpecification": {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}]}
}
HOOK = {
    "S3OutputPath": "s3://sagemaker-test",
    "LocalPath": "/opt/ml/output/tensors",
    "CollectionConfigurations": [{"CollectionName": "weights"}],
}
ELSEWHERE = {
    "S3OutputPath": "s3://b",
    "LocalPath": "/tensors",
    "CollectionConfigurations": [{"CollectionName": "a", "CollectionParameters": {"k": "v"}}],
}
SMDEBUG = (
    '{"S3OutputPath":"s3://sagemaker-test","LocalPath":"/opt/ml/output/tensors",'
    '"HookParameters":null,'
    '"CollectionConfigurations":[{"CollectionName":"weights",'
    '"CollectionParameters":null}],"DebugHookSpecification":null}'
)


@pytest.mark.parametrize(
    ("changes", "files"),
    [
        pytest.param(
            {"request": METRICS}, {"metric-definition-regex.json": None}, id="metric-definitions"
        ),
        pytest.param(
            {"request": {"AlgorithmSpecification": {"MetricDefinitions": []}}},
            {},
            id="no-metric-definitions",
        ),
        pytest.param(
            {"checkpoints": "/state"},
            {"checkpointconfig.json": '{"LocalPath":"/state"}'},
            id="checkpoints",
        ),
        pytest.param(
            {
                "request": {
                    "TensorBoardOutputConfig": {"S3OutputPath": "s3://b/t", "LocalPath": "/tb"}
                }
            },
            {"tensorboardoutputconfig.json": '{"S3OutputPath":"s3://b/t","LocalPath":"/tb"}'},
            id="tensorboard",
        ),
        pytest.param(
            {"request": {"TensorBoardOutputConfig": {"S3OutputPath": "s3://b/t"}}},
            {
                "tensorboardoutputconfig.json": (
                    '{"S3OutputPath":"s3://b/t","LocalPath":"/opt/ml/output/tensorboard/"}'
                )
            },
            id="tensorboard-default",
        ),
        pytest.param(
            {"request": {"DebugHookConfig": HOOK}},
            {"debughookconfig.json": SMDEBUG},
            id="debug-hook-as-in-smdebug",
        ),
        pytest.param(
            {"request": {"DebugHookConfig": ELSEWHERE}},
            {
                "debughookconfig.json": (
                    '{"S3OutputPath":"s3://b","LocalPath":"/tensors","HookParameters":null,'
                    '"CollectionConfigurations":'
                    '[{"CollectionName":"a","CollectionParameters":{"k":"v"}}],'
                    '"DebugHookSpecification":null}'
                )
            },
            id="debug-hook-elsewhere",
        ),
        pytest.param(
            {
                "request": {
                    "DebugHookConfig": {"S3OutputPath": "s3://b", "HookParameters": {"a": "1"}}
                }
            },
            {
                "debughookconfig.json": (
                    '{"S3OutputPath":"s3://b","LocalPath":"/opt/ml/output/tensors",'
                    '"HookParameters":{"a":"1"},'
                    '"CollectionConfigurations":null,"DebugHookSpecification":null}'
                )
            },
            id="debug-hook-default",
        ),
        pytest.param(
            {"request": {"ProfilerConfig": {"DisableProfiler": True}}},
            {},
            id="profiler-is-not-known",
        ),
    ],
)
def test_the_files_that_a_request_asks_for(changes, files):
    expected = {name: text for name, text in {**BASE, **files}.items() if text is not None}
    assert training.config_files(replace(JOB, **changes), ONE) == expected


# Access, network and limits


@pytest.mark.parametrize(("mode", "read_only"), [("File", False), ("FastFile", True)])
def test_only_fastfile_channels_are_read_only(mode, read_only):
    assert replace(TRAINING, mode=mode).is_writable != read_only


@pytest.mark.parametrize("where", [DOCKER, SANDBOX], ids=lambda where: where.name)
def test_a_fastfile_channel_is_mounted_read_only_whatever_the_setting(where):
    job = replace(
        JOB,
        channels=(replace(TRAINING, mode="FastFile"), Channel("b", "opt/ml/input/data/b")),
        settings=settled(CHANNELS="rw"),
    )
    mounts = [mount for mount in planned(job, where).mounts if mount.channel]
    assert [(mount.source, mount.target, mount.mode) for mount in mounts] == [
        ("opt/ml/input/data/training", "/opt/ml/input/data/training", "ro"),
        ("opt/ml/input/data/b", "/opt/ml/input/data/b", "rw"),
    ]


HOSTNAME = "ip-10-0-0-1.us-west-2.compute.internal"
SANDBOXED = f"{HOSTNAME} 2g '127.0.0.1 algo-1 {HOSTNAME}'"


@pytest.mark.parametrize(
    ("isolated", "docker_s", "sandbox_s"),
    [
        pytest.param(
            True,
            "own_network --driver bridge --internal",
            f"in_namespaces {SANDBOXED} --net",
            id="isolated",
        ),
        pytest.param(
            False, "own_network --driver bridge", f"in_namespaces {SANDBOXED}", id="not-isolated"
        ),
    ],
)
def test_isolation_is_a_network_without_a_way_out(isolated, docker_s, sandbox_s):
    job = replace(JOB, isolated=isolated, settings=settled(NETWORK="own"))
    assert ENGINES["docker"](DOCKER).before(planned(job))[-1] == docker_s
    plan = planned(job, SANDBOX)
    assert ENGINES["sandbox"](SANDBOX).furnish(plan, plan.containers[0])[-1] == sandbox_s


@pytest.mark.parametrize(
    ("changes", "own"),
    [
        pytest.param({}, False, id="bridge"),
        pytest.param({"isolated": True}, True, id="isolated"),
        pytest.param({"hosts": hosts(2)}, True, id="two-hosts"),
        pytest.param({"settings": settled(NETWORK="own")}, True, id="wanted"),
    ],
)
def test_which_jobs_have_a_network_of_their_own(changes, own):
    assert planned(replace(JOB, **changes)).own_network == own


@pytest.mark.parametrize(
    ("instance_type", "figures"), [("ml.c5.xlarge", (4, 0, 8)), ("ml.g5.12xlarge", (48, 4, 192))]
)
def test_the_figures_of_an_instance_type(instance_type, figures):
    assert instances()[instance_type] == figures


@pytest.mark.parametrize(
    ("setting_s", "cpus", "flags"),
    [
        pytest.param("off", 8, [], id="off"),
        pytest.param("on", 8, ["--cpus", "4", "--memory", "8g", "--memory-swap", "8g"], id="on"),
        pytest.param("memory,gpus", 8, ["--memory", "8g", "--memory-swap", "8g"], id="memory"),
        pytest.param("cpus", 8, ["--cpus", "4"], id="cpus"),
        pytest.param(
            "on",
            2,
            ["--cpus", "2", "--memory", "8g", "--memory-swap", "8g"],
            id="no-more-than-there-are",
        ),
        pytest.param(
            "on",
            0,
            ["--cpus", "4", "--memory", "8g", "--memory-swap", "8g"],
            id="an-engine-that-does-not-say",
        ),
    ],
)
def test_the_limits_of_a_container(setting_s, cpus, flags):
    job = replace(JOB, settings=settled(LIMITS=setting_s))
    assert option(words(job, replace(DOCKER, cpus=cpus)), "--cpus", "--memory") == flags


NO_IMAGE = (
    "ContainerArguments alone go to an image's entrypoint, "
    "and the sandbox has no image; add ContainerEntrypoint"
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"settings": settled(LIMITS="on")},
            "LIMITS=on: the sandbox cannot limit a job; use ENGINE=docker or ENGINE=podman",
            id="limits",
        ),
        pytest.param(
            {"checkpoints": "/state"},
            "b.json: CheckpointConfig.LocalPath is /state; "
            "the sandbox can show folders below /opt only",
            id="checkpoints",
        ),
        pytest.param({"arguments": ("a",)}, f"b.json: {NO_IMAGE}", id="arguments-alone"),
    ],
)
def test_the_sandbox_refuses_what_it_cannot_do_and_an_engine_does_not(changes, said):
    job = replace(JOB, file="b.json", **changes)
    with pytest.raises(SmLocalError) as caught:
        planned(job, SANDBOX)
    assert str(caught.value) == said
    planned(job, DOCKER)


def test_the_sandbox_refuses_an_image_and_an_engine_takes_it(tmp_path, monkeypatch):
    (tmp_path / "job.yaml").write_text("TrainingJobName: a\n")
    monkeypatch.chdir(tmp_path)

    def plan(facts):
        engine = planning.engine_of(facts)
        return planning.make_plan("training", SETTINGS, {"IMAGE": "a:1"}, engine)

    with pytest.raises(SmLocalError) as caught:
        plan(SANDBOX)
    assert str(caught.value) == (
        "IMAGE=a:1: the sandbox has no images; use ENGINE=docker or ENGINE=podman"
    )
    assert plan(DOCKER).image == "a:1"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="plain"),
        pytest.param({"entrypoint": ("sh",)}, id="entrypoint"),
        pytest.param(
            {"entrypoint": ("sh",), "arguments": ("-c", "x")}, id="entrypoint-and-arguments"
        ),
        pytest.param({"checkpoints": "/opt/state"}, id="checkpoints-below-opt"),
    ],
)
def test_the_sandbox_takes_what_it_can_do(changes):
    planned(replace(JOB, **changes), SANDBOX)


def test_an_instance_type_without_figures_cannot_be_a_limit():
    new = replace(ONE, instance_type="ml.new")
    job = replace(JOB, file="b.json", hosts=(new,), settings=settled(LIMITS="on"))
    with pytest.raises(SmLocalError) as caught:
        planned(job)
    assert str(caught.value) == (
        "b.json: LIMITS=on, but there are no figures for ml.new (sm_local/instances.tsv); "
        "set LIMITS=off"
    )


@pytest.mark.parametrize(
    ("gpu", "wanted", "name", "flags"),
    [
        pytest.param("gpus", "auto", "docker", ["--gpus", "all"], id="auto"),
        pytest.param("", "auto", "docker", [], id="auto-without"),
        pytest.param("", "required", "docker", ["--gpus", "all"], id="required-anyway"),
        pytest.param("gpus", "none", "docker", [], id="none"),
        pytest.param("gpus", "0,2", "docker", ["--gpus", '"device=0,2"'], id="devices"),
        pytest.param(
            "cdi",
            "0,2",
            "docker",
            ["--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=2"],
            id="cdi",
        ),
        pytest.param("cdi", "required", "docker", ["--device", "nvidia.com/gpu=all"], id="cdi-all"),
        pytest.param(
            "cdi", "all", "docker", ["--device", "nvidia.com/gpu=all"], id="cdi-all-in-a-word"
        ),
        pytest.param(
            "gpus", "1", "podman", ["--device", "nvidia.com/gpu=1"], id="podman-knows-cdi-only"
        ),
        pytest.param("cdi", "auto", "podman", ["--device", "nvidia.com/gpu=all"], id="podman"),
    ],
)
def test_how_gpus_are_asked_for(gpu, wanted, name, flags):
    facts = EngineFacts(name, gpu=Gpu(AVAILABLE, "", gpu))
    lines = words(replace(JOB, settings=settled(GPU=wanted)), facts)
    assert option(lines, "--gpus", "--device") == flags


@pytest.mark.parametrize(
    ("arch", "source", "wanted", "platform"),
    [
        ("x86_64", "dlc", "", ""),
        ("arm64", "own", "", ""),
        ("arm64", "dlc", "", "linux/amd64"),
        ("aarch64", "dlc", "", "linux/amd64"),
        ("arm64", "dlc", "linux/arm64", "linux/arm64"),
        ("x86_64", "own", "linux/386", "linux/386"),
    ],
)
def test_deep_learning_containers_are_amd64_only(arch, source, wanted, platform):
    job = replace(JOB, source=source, settings=settled(PLATFORM=wanted))
    flags = option(words(job, replace(DOCKER, arch=arch)), "--platform")
    assert flags == (["--platform", platform] if platform else [])


NAMES = (*NAMED, *PLATFORM, "NVIDIA_VISIBLE_DEVICES")
SET = tuple(f"{start}{name}=" for start in ("", "--env ") for name in NAMES)


def lines(job: jobs.Job, facts: EngineFacts, shell: bool = False) -> str:
    """Return a command as a recipe shows it, the environment left out."""
    plan, engine = planned(job, facts), ENGINES[facts.name](facts)
    (container,) = plan.containers
    command = (engine.shell if shell else engine.run)(plan, container)
    shown = [call(*line) for line in command if line]
    return "\n".join(line for line in shown if not line.startswith(SET))


PLAIN = """\
docker run --rm --pull never --name "$name" --cidfile "$at/container-id"
--label sm-local.project="$PWD" --label sm-local.job="$job" --label sm-local.recipe="$recipe"
--hostname ip-10-0-0-1.us-west-2.compute.internal --add-host algo-1:127.0.0.1
--shm-size 2g "${limits[@]}"
"${mounts[@]}"
"$built" train"""


def test_the_command_of_a_plain_job():
    assert lines(JOB, DOCKER) == PLAIN


@pytest.mark.parametrize(
    ("changes", "old", "new"),
    [
        pytest.param(
            {"isolated": True},
            "--add-host algo-1:127.0.0.1",
            '--network "$job-$$" --network-alias algo-1',
            id="own-network",
        ),
        pytest.param(
            {"entrypoint": ("sh", "-c"), "arguments": ("echo $x",)},
            '"$built" train',
            '--entrypoint sh "$built" -c "echo \\$x"',
            id="entrypoint",
        ),
        pytest.param(
            {"settings": settled(LIMITS="on")},
            '"${mounts[@]}"',
            '--cpus 4 --memory 8g --memory-swap 8g\n"${mounts[@]}"',
            id="limits",
        ),
        pytest.param(
            {"settings": settled(PLATFORM="linux/386")},
            '"${mounts[@]}"',
            '--platform linux/386\n"${mounts[@]}"',
            id="platform",
        ),
        pytest.param(
            {"settings": settled(GPU="0,1")},
            '"${mounts[@]}"',
            '--gpus \'"device=0,1"\'\n"${mounts[@]}"',
            id="gpu",
        ),
        pytest.param(
            {"settings": settled(DOCKER_ARGS="-v 'a b':/c --label $x")},
            '"${mounts[@]}"\n',
            '"${mounts[@]}"\n-v \'a b:/c\' --label "\\$x"\n',
            id="more-arguments",
        ),
        pytest.param({"settings": settled(SHM="8g")}, "--shm-size 2g", "--shm-size 8g", id="shm"),
    ],
)
def test_what_changes_the_command(changes, old, new):
    assert old in PLAIN
    assert lines(replace(JOB, **changes), DOCKER) == PLAIN.replace(old, new)


def test_a_shell_is_the_same_container_with_a_terminal():
    program = "'if command -v bash >/dev/null; then exec bash; else exec sh; fi'"
    shell = f'"${{terminal[@]}}" --entrypoint sh "$built" -c {program}'
    assert lines(JOB, DOCKER, shell=True) == PLAIN.replace('"$built" train', shell)


@pytest.mark.parametrize(
    ("there", "wanted", "visible", "void"),
    [
        pytest.param(True, "auto", [], False, id="all-there-are"),
        pytest.param(True, "1,2", ["CUDA_VISIBLE_DEVICES=1,2"], False, id="chosen"),
        pytest.param(True, "none", ["CUDA_VISIBLE_DEVICES=''"], True, id="not-wanted"),
        pytest.param(False, "auto", ["CUDA_VISIBLE_DEVICES=''"], True, id="none-there"),
    ],
)
def test_the_gpus_of_the_sandbox(there, wanted, visible, void):
    facts = replace(SANDBOX, gpu=Gpu(AVAILABLE, "") if there else SANDBOX.gpu)
    job = replace(JOB, settings=settled(GPU=wanted))
    shown = [call(*line) for line in words(job, facts)]
    assert [line for line in shown if line.startswith("CUDA_")] == visible
    assert ("NVIDIA_VISIBLE_DEVICES=void" in shown) == void
    assert "NVIDIA_" not in "".join(shown) or void


def test_the_sandbox_runs_container_train_in_a_clean_environment():
    start = (
        '"${sandbox[@]}" env -i PATH="$PATH" HOME="${HOME:-/root}" '
        f"HOSTNAME={HOSTNAME}\nCUDA_VISIBLE_DEVICES=''\n"
    )
    assert lines(JOB, SANDBOX) == start + '"$PWD"/container/train'
    job = replace(JOB, entrypoint=("sh", "-c"), arguments=("$x",))
    assert lines(job, SANDBOX) == start + 'sh -c "\\$x"'
    more = 'PATH="$PWD/container:$PATH" TERM="${TERM:-dumb}"\nCUDA'
    shell = start.replace("CUDA", more) + "bash"
    assert lines(JOB, SANDBOX, shell=True) == shell


# The files of 2020, as one real job of that time had them (names shortened): two hosts, a sharded
# channel, spot, a debugger without collections

JOB_OF_2020 = {
    "EnableManagedSpotTraining": True,
    "HyperParameters": {"arg1": "5"},
    "InputDataConfig": [
        {
            "ChannelName": "data",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": "s3://b/d",
                    "S3DataDistributionType": "ShardedByS3Key",
                }
            },
        }
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://b/o"},
    "ResourceConfig": {"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30},
    "RoleArn": "arn:aws:iam::111122223333:role/r",
    "StoppingCondition": {"MaxRuntimeInSeconds": 900, "MaxWaitTimeInSeconds": 900},
    "DebugHookConfig": {"S3OutputPath": "s3://b/o"},
    "CheckpointConfig": {"S3Uri": "s3://b/state", "LocalPath": "/state"},
}


@pytest.fixture
def files_of_2020(tmp_path) -> dict[str, str]:
    (tmp_path / "opt/ml/input/data/data").mkdir(parents=True)
    (tmp_path / "job.yaml").write_text(json.dumps({"TrainingJobName": "Task1", **JOB_OF_2020}))
    job = jobs.load(tmp_path, settled(CONFIG_FILES="2020"), {})
    return training.config_files(job, job.hosts[0])


def test_trainingjobconfig_is_the_request_with_other_enums(files_of_2020):
    assert files_of_2020["trainingjobconfig.json"] == (
        '{"EnableInterContainerTrafficEncryption":false,"EnableNetworkIsolation":false,'
        '"EnableManagedSpotTraining":true,"HyperParameters":{"arg1":"5"},'
        '"InputDataConfig":[{"ChannelName":"data",'
        '"DataSource":{"S3DataSource":{"S3DataType":"S3_PREFIX","S3Uri":"s3://b/d",'
        '"S3DataDistributionType":"SHARDED_BY_S3_KEY"}},"CompressionType":"NONE",'
        '"RecordWrapperType":"NONE"}],'
        '"OutputDataConfig":{"KmsKeyId":"","S3OutputPath":"s3://b/o"},'
        '"ResourceConfig":{"InstanceCount":2,"InstanceType":"ml.m5.large",'
        '"VolumeSizeInGB":30},'
        f'"RoleArn":"arn:aws:iam::111122223333:role/r","Tags":[],"BaseTags":[],'
        f'"TrainingJobName":"Task1{STAMP}",'
        '"StoppingCondition":{"MaxRuntimeInSeconds":900,"MaxWaitTimeInSeconds":900},'
        '"AlgorithmSpecification":{"MetricDefinitions":[],"TrainingImage":"churn:latest",'
        '"TrainingInputMode":"File"},'
        f'"TrainingJobArn":"arn:aws:sagemaker:us-west-2:111122223333:training-job/task1{STAMP}",'
        '"DebugHookConfig":{"S3OutputPath":"s3://b/o",'
        '"LocalPath":"/opt/ml/output/tensors"},'
        '"CheckpointConfig":{"S3Uri":"s3://b/state","LocalPath":"/state"}}'
    )


def test_init_config_is_for_the_agent(files_of_2020):
    assert files_of_2020["init-config.json"] == (
        '{"inputMode":"FILE",'
        '"channels":{"data":{"s3DataSource":{"s3DataType":"S3_PREFIX","s3Uri":"s3://b/d",'
        '"s3DataDistributionType":"SHARDED_BY_S3_KEY",'
        '"attributeNames":null},"fileSystemDataSource":null,"compressionType":"NONE",'
        '"recordWrapper":"NONE","shuffleConfig":null,"inputMode":"FILE",'
        '"sharded":true}},"checkpointChannel":{"name":"checkpoints",'
        '"channel":{"s3DataSource":{"s3DataType":"S3_PREFIX","s3Uri":"s3://b/state",'
        '"s3DataDistributionType":null,"attributeNames":null},'
        '"fileSystemDataSource":null,"compressionType":null,"recordWrapper":null,'
        '"shuffleConfig":null,'
        '"inputMode":"FILE","sharded":false},"outputPath":"/opt/ml/checkpoints",'
        '"allowEmpty":true},"hostConfig":{"clusterSize":2,"hostNumber":1},'
        '"enableAdditionalPlatformLoggingForCustomer":false,"jobRunInfo":{"jobRunNumber":1}}'
    )
    assert files_of_2020["upstreamoutputdataconfig.json"] == "[]"


def test_the_time_of_the_name_is_put_in_by_the_recipe():
    assert quote(compact({"its": f"a{STAMP}"})) == """'{"its":"a'"$stamp"'"}'"""


def test_code_in_s3_is_the_toolkit_s_affair():
    for uri, mounted in (
        ('"s3://b/sourcedir.tar.gz"', False),
        ("s3://b/x", False),
        ('"/opt/ml/code"', True),
    ):
        job = replace(JOB, source="dlc", hyperparameters={"sagemaker_submit_directory": uri})
        assert mounts_code(job, EngineFacts("docker")) is mounted
    assert mounts_code(replace(JOB, source="other"), SANDBOX)


def mounts_code(job: jobs.Job, facts: EngineFacts) -> bool:
    """Return whether a host gets the project's code/."""
    return planned(job, facts).runs_code


@pytest.mark.parametrize("text", ["\ue000", "\\u0000\\u0000", "\\\\u0000"])
def test_no_value_is_taken_for_the_time(text):
    word = quote(compact({"a": text}))
    assert "stamp" not in word
    done = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"a": text}
