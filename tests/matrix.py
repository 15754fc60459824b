"""The option matrix: engines, kinds of job and options, and the recipe of each combination."""

from __future__ import annotations

import json
from pathlib import Path

from sm_local import settings as setting
from sm_local.features import debugger
from sm_local.machine import AVAILABLE, EngineFacts, Gpu
from sm_local.plan import Plan
from sm_local.verbs import build, planning, pull, run, shell

ENGINES = {
    "docker": EngineFacts(
        "docker",
        "28.2.2",
        owns_files=True,
        can_overlay=True,
        same_kernel=True,
        arch="x86_64",
        cpus=8,
    ),
    "docker-with-gpu": EngineFacts(
        "docker",
        "28.2.2",
        owns_files=True,
        can_overlay=True,
        same_kernel=True,
        cpus=8,
        gpu=Gpu(AVAILABLE, "runtime 'nvidia'", "gpus", 4),
    ),
    "docker-cdi": EngineFacts(
        "docker",
        "28.2.2",
        owns_files=True,
        can_overlay=True,
        same_kernel=True,
        cpus=8,
        gpu=Gpu(AVAILABLE, "CDI", "cdi", 4),
    ),
    "desktop": EngineFacts(
        "docker", "28.2.2", desktop=True, same_kernel=False, arch="arm64", cpus=8
    ),
    "rootless": EngineFacts("docker", "28.2.2", same_kernel=True, cpus=8),
    "podman": EngineFacts(
        "podman", "5.2", can_overlay=True, overlay_is_cheap=True, same_kernel=True, cpus=8
    ),
    "sandbox": EngineFacts(
        "sandbox",
        "6.1",
        has_images=False,
        can_overlay=True,
        overlay_is_cheap=True,
        same_kernel=True,
    ),
}
DEFAULTS = {key: rule.default for key, rule in setting.RULES.items()}
SETTINGS = {**DEFAULTS, "IMAGE": "churn:latest", "DLC": "pytorch:2.13-cpu-amzn2023-sagemaker"}

TRAINING = {"ChannelName": "training"}
PIPED = {
    "ChannelName": "stream",
    "InputMode": "Pipe",
    "CompressionType": "Gzip",
    "RecordWrapperType": "RecordIO",
    "ShuffleConfig": {"Seed": 3},
    "DataSource": {
        "S3DataSource": {
            "S3DataType": "AugmentedManifestFile",
            "S3Uri": "s3://b/p/m.jsonl",
            "AttributeNames": ["a-ref", "b"],
            "S3DataDistributionType": "ShardedByS3Key",
        }
    },
}


def s3(name: str, uri: str, kind: str = "S3Prefix", mode: str = "File", **more) -> dict:
    """Return a channel whose data is in S3."""
    return {
        "ChannelName": name,
        "InputMode": mode,
        "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": uri, **more}},
    }


def hosts(count: int) -> dict:
    """Return the part of a request that asks for several hosts."""
    return {"ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": count}}


def for_group(channel: dict, name: str) -> dict:
    """Return a channel that one instance group gets."""
    source = channel.get("DataSource", {}).get("S3DataSource") or {
        "S3DataType": "S3Prefix",
        "S3Uri": "s3://b/extra",
    }
    return {**channel, "DataSource": {"S3DataSource": {**source, "InstanceGroupNames": [name]}}}


GROUPS = {
    "ResourceConfig": {
        "InstanceGroups": [
            {"InstanceGroupName": "a", "InstanceType": "ml.g5.xlarge", "InstanceCount": 1},
            {"InstanceGroupName": "b", "InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
        ]
    }
}
JOBS = {
    "plain": {},
    "no-channels": {},  # in a folder that furnish() has not touched
    "checkpoints": {"CheckpointConfig": {"LocalPath": "/opt/ml/checkpoints"}},
    "dlc": {
        "AlgorithmSpecification": {
            "TrainingImage": "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch:2.13",
            "TrainingInputMode": "File",
        }
    },
    "other-image": {
        "AlgorithmSpecification": {"TrainingImage": "busybox", "TrainingInputMode": "File"}
    },
    "entrypoint": {
        "AlgorithmSpecification": {
            "ContainerEntrypoint": ["/bin/sh", "-c", "echo $HOME; it's"],
            "ContainerArguments": ["a b", ""],
        },
        "Environment": {"A": "it's $x", "B": ""},
    },
    "arguments": {"AlgorithmSpecification": {"ContainerArguments": ["x", "$(y)"]}},
    "isolated": {"EnableNetworkIsolation": True},
    "from-s3": {
        "InputDataConfig": [
            s3("a", "s3://b/p q/it's"),
            s3("b", "s3://b/p/", mode="FastFile"),
            s3("c", "s3://b/m", "ManifestFile"),
            {**PIPED, "ChannelName": "other"},
        ]
    },
    "fast-file": {"InputDataConfig": [{**TRAINING, "InputMode": "FastFile"}]},
    "pipe": {"InputDataConfig": [TRAINING, PIPED]},
    "two-hosts": {**hosts(2), "CheckpointConfig": {"LocalPath": "/state"}},
    "groups": {
        **GROUPS,
        "InputDataConfig": [
            TRAINING,
            for_group({"ChannelName": "extra"}, "b"),
            for_group(PIPED, "a"),
        ],
    },
    "shards": {
        **hosts(2),
        "InputDataConfig": [
            {
                "ChannelName": "training",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": "s3://b/training",
                        "S3DataDistributionType": "ShardedByS3Key",
                    }
                },
            },
            s3("many", "s3://b/many/", S3DataDistributionType="ShardedByS3Key"),
            {**PIPED, "ChannelName": "other"},
        ],
    },
    "uploads": {
        "DebugHookConfig": {"S3OutputPath": "s3://b/d"},
        "TensorBoardOutputConfig": {"S3OutputPath": "s3://b/t", "LocalPath": "/opt/tb"},
        "CheckpointConfig": {"LocalPath": "/opt/tb/deep"},
        "OutputDataConfig": {"S3OutputPath": "s3://b/o", "CompressionType": "NONE"},
        "ProfilerConfig": {"DisableProfiler": False},
        "StoppingCondition": {"MaxRuntimeInSeconds": 100},
        "HyperParameters": {"quoted": '"algo.py"', "e": "é\\u0000\\u0000"},
    },
    "role": {"RoleArn": "arn:aws:iam::111122223333:role/r"},
    "code-in-s3": {
        "HyperParameters": {"sagemaker_submit_directory": '"s3://b/x.tar.gz"'},
        "AlgorithmSpecification": {
            "TrainingImage": "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch:2.13"
        },
    },
}
OPTIONS = {
    "defaults": {},
    "no-gpu": {"GPU": "none"},
    "some-gpus": {"GPU": "0,1"},
    "read-only": {"CHANNELS": "ro"},
    "read-write": {"CHANNELS": "rw"},
    "baked": {"CODE": "baked"},
    "mounted": {"CODE": "mount"},
    "own-network": {"NETWORK": "own"},
    "limits": {"LIMITS": "on"},
    "pack": {"PACK": "always"},
    "some-limits": {"LIMITS": "memory,gpus"},
    "no-pack": {"PACK": "never"},
    "platform": {"PLATFORM": "linux/arm64"},
    "docker-args": {"DOCKER_ARGS": "--env 'A=b c' --publish 127.0.0.1:1:1"},
    "split-gpus": {"HOST_GPUS": "split"},
    "fast": {"FAST": "1"},
    "preloaded": {"FAST": "1", "PRELOAD": "json,torch"},
    "mps": {"HOST_GPUS": "mps"},
    "credentials": {"CREDENTIALS": "session"},
    "role": {"CREDENTIALS": "role"},
    "files-of-2020": {"CONFIG_FILES": "2020"},
    "manifests": {"MANIFESTS": "on"},
    "graces": {"STOP_GRACE": "7", "INTERRUPT_GRACE": "3", "SHM": "8g", "NOFILE": "99"},
    "region": {"REGION": "us-east-1"},
    "slices": {"SAMPLE": "1%", "MAX_SECONDS": "60"},
    "pdb": {"PDB": "1"},
    "company": {"HTTPS_PROXY": "http://me:secret@p:3128", "CA_BUNDLE": "/etc/ca.pem"},
}


def furnish(root: Path) -> None:
    """Make the channels' folders."""
    for name in ("training", "stream", "extra"):
        (root / "opt/ml/input/data" / name).mkdir(parents=True)


def request(name: str) -> dict:
    """Return a job's whole request."""
    return {
        "TrainingJobName": "Churn-1",
        **hosts(1),
        "RoleArn": "arn:aws:iam::111122223333:role/r",
        **JOBS[name],
    }


def plan(engine: str, job: str = "plain", option: str = "defaults", alone: bool = False) -> Plan:
    """Return a plan; furnish() has made the current folder a project. Raises SmLocalError."""
    Path("job.yaml").write_text(json.dumps(request(job)))
    facts = planning.engine_of(ENGINES[engine])
    return planning.make_plan("training", {**SETTINGS, **OPTIONS[option]}, {}, facts, alone)


def write(verb: str, engine: str, job: str = "plain", option: str = "defaults") -> str:
    """Return a recipe. Raises SmLocalError for what is refused."""
    values, where = {**SETTINGS, **OPTIONS[option]}, planning.engine_of(ENGINES[engine])
    if verb == "build":
        return build.build({**values, "PLATFORM": "linux/amd64"}, where).text()
    if verb == "pull-dlc":
        return pull.pull(values, where, "us-west-2").text()
    planned = plan(engine, job, option, alone=verb == "shell")
    if verb == "shell":
        return shell.shell(planned, where).text()
    if verb == "debug":
        planned = debugger.debugged(planned, values, where.facts)
    return run.run(verb, planned, where).text()
