"""Config files that jobs of 2020 had, and jobs of today do not: CONFIG_FILES=2020. Pure."""

from __future__ import annotations

import re

from ..plan import STAMP
from .channels import Channel
from .common import compact
from .contract import arn_prefix, host_channels
from .job import TENSORS, Host, Job

ENCRYPTED = "EnableInterContainerTrafficEncryption"


def config_files(job: Job, host: Host) -> dict[str, str]:
    """Return what jobs of 2020 also had (captured 2020-10): name, text.

    Those of 2022 lacked some of it, or had other keys.
    """
    files: dict[str, object] = {
        "trainingjobconfig.json": training_job_config(job),
        "upstreamoutputdataconfig.json": [],
        "init-config.json": init_config(job, host),
    }
    return {name: compact(value) for name, value in files.items()}


def training_job_config(job: Job) -> dict:
    """Return trainingjobconfig.json: the request without Environment.

    Its enums are in upper snake case, except TrainingInputMode.
    """
    asked = job.request
    config = {
        ENCRYPTED: asked.get(ENCRYPTED, False),
        "EnableNetworkIsolation": job.isolated,
        "EnableManagedSpotTraining": asked.get("EnableManagedSpotTraining", False),
        "HyperParameters": job.hyperparameters,
        "InputDataConfig": [described_channel(channel, asked) for channel in job.channels],
        "OutputDataConfig": {"KmsKeyId": "", **asked.get("OutputDataConfig", {})},
        "ResourceConfig": asked.get("ResourceConfig"),
        "RoleArn": asked.get("RoleArn"),
        "Tags": asked.get("Tags", []),
        "BaseTags": asked.get("Tags", []),
        "TrainingJobName": job.stem + STAMP,
        "StoppingCondition": asked.get("StoppingCondition"),
        "AlgorithmSpecification": algorithm(job),
        "TrainingJobArn": arn_prefix(job) + STAMP,
        "DebugHookConfig": debugger_paths(asked),
        "CheckpointConfig": asked.get("CheckpointConfig"),
    }
    return {key: value for key, value in config.items() if value is not None}


def algorithm(job: Job) -> dict:
    """Return AlgorithmSpecification as trainingjobconfig.json has it."""
    asked = job.request.get("AlgorithmSpecification", {})
    return {
        "MetricDefinitions": asked.get("MetricDefinitions", []),
        "TrainingImage": job.image,
        "TrainingInputMode": asked.get("TrainingInputMode", "File"),
    }


def debugger_paths(request: dict) -> dict | None:
    """Return what trainingjobconfig.json says of the debugger."""
    asked = request.get("DebugHookConfig")
    return asked and {
        "S3OutputPath": asked.get("S3OutputPath", ""),
        "LocalPath": asked.get("LocalPath", TENSORS),
    }


def described_channel(channel: Channel, request: dict) -> dict:
    """Return a channel as trainingjobconfig.json has it."""
    s3 = s3_source(channel, request)
    return {
        "ChannelName": channel.name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": snake(s3.get("S3DataType", "S3Prefix")),
                "S3Uri": s3.get("S3Uri", ""),
                "S3DataDistributionType": snake(channel.distribution),
            }
        },
        "CompressionType": snake(channel.compression),
        "RecordWrapperType": snake(channel.record_wrapper),
    }


def init_config(job: Job, host: Host) -> dict:
    """Return init-config.json, which is for the platform's own agent."""
    asked, channels = job.request.get("AlgorithmSpecification", {}), host_channels(job, host)
    return {
        "inputMode": asked.get("TrainingInputMode", "File").upper(),
        "channels": {
            one.name: agent_channel(s3_source(one, job.request), one.mode.upper(), one)
            for one in channels
        },
        **checkpoint_channel(job),
        "hostConfig": {"clusterSize": len(job.hosts), "hostNumber": job.hosts.index(host) + 1},
        "enableAdditionalPlatformLoggingForCustomer": False,
        "jobRunInfo": {"jobRunNumber": 1},
    }


def checkpoint_channel(job: Job) -> dict:
    """Return the checkpoints as init-config.json has them: at the default path (captured)."""
    if not job.checkpoints:
        return {}
    source = {"S3Uri": job.request["CheckpointConfig"].get("S3Uri", "")}
    return {
        "checkpointChannel": {
            "name": "checkpoints",
            "channel": agent_channel(source, "FILE", None),
            "outputPath": "/opt/ml/checkpoints",
            "allowEmpty": True,
        }
    }


def agent_channel(s3: dict, mode: str, channel: Channel | None) -> dict:
    """Return a channel as init-config.json has it.

    The checkpoints have neither distribution nor compression there.
    """
    return {
        "s3DataSource": {
            "s3DataType": snake(s3.get("S3DataType", "S3Prefix")),
            "s3Uri": s3.get("S3Uri", ""),
            "s3DataDistributionType": channel and snake(channel.distribution),
            "attributeNames": s3.get("AttributeNames"),
        },
        "fileSystemDataSource": None,
        "compressionType": channel and snake(channel.compression),
        "recordWrapper": channel and snake(channel.record_wrapper),
        "shuffleConfig": {"seed": channel.seed} if channel and channel.seed is not None else None,
        "inputMode": mode,
        "sharded": bool(channel and channel.distribution == "ShardedByS3Key"),
    }


def s3_source(channel: Channel, request: dict) -> dict:
    """Return the request's S3DataSource of a channel; {} when it has none."""
    entries = [
        entry
        for entry in request.get("InputDataConfig", [])
        if entry["ChannelName"] == channel.name
    ]
    return (entries or [{}])[0].get("DataSource", {}).get("S3DataSource", {})


def snake(name: str) -> str:
    """Return an enum's value in upper snake case: S3_PREFIX, SHARDED_BY_S3_KEY (captured)."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()
