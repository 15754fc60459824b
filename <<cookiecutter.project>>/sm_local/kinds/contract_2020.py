"""Config files that jobs of 2020 had, and jobs of today do not: CONFIG_FILES=2020. Pure."""

from __future__ import annotations

import re

from ..plan import STAMP
from .channels import Channel
from .common import compact
from .contract import arn_prefix, host_channels
from .job import TENSORS, Host, Job


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
    request, algorithm = job.request, job.request.get("AlgorithmSpecification", {})
    config = {
        "EnableInterContainerTrafficEncryption": request.get(
            "EnableInterContainerTrafficEncryption", False
        ),
        "EnableNetworkIsolation": job.isolated,
        "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
        "HyperParameters": job.hyperparameters,
        "InputDataConfig": [described_channel(channel, request) for channel in job.channels],
        "OutputDataConfig": {"KmsKeyId": "", **request.get("OutputDataConfig", {})},
        "ResourceConfig": request.get("ResourceConfig"),
        "RoleArn": request.get("RoleArn"),
        "Tags": request.get("Tags", []),
        "BaseTags": request.get("Tags", []),
        "TrainingJobName": job.stem + STAMP,
        "StoppingCondition": request.get("StoppingCondition"),
        "AlgorithmSpecification": {
            "MetricDefinitions": algorithm.get("MetricDefinitions", []),
            "TrainingImage": job.image,
            "TrainingInputMode": algorithm.get("TrainingInputMode", "File"),
        },
        "TrainingJobArn": arn_prefix(job) + STAMP,
        "DebugHookConfig": debugger_paths(request),
        "CheckpointConfig": request.get("CheckpointConfig"),
    }
    return {key: value for key, value in config.items() if value is not None}


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
    """Return init-config.json, which is for the platform's own agent.

    Its checkpoint path stays the default one (captured).
    """
    config: dict = {
        "inputMode": job.request.get("AlgorithmSpecification", {})
        .get("TrainingInputMode", "File")
        .upper(),
        "channels": {
            channel.name: agent_channel(
                s3_source(channel, job.request), channel.mode.upper(), channel
            )
            for channel in host_channels(job, host)
        },
    }
    if job.checkpoints:
        source = {"S3Uri": job.request["CheckpointConfig"].get("S3Uri", "")}
        config["checkpointChannel"] = {
            "name": "checkpoints",
            "channel": agent_channel(source, "FILE", None),
            "outputPath": "/opt/ml/checkpoints",
            "allowEmpty": True,
        }
    return {
        **config,
        "hostConfig": {"clusterSize": len(job.hosts), "hostNumber": job.hosts.index(host) + 1},
        "enableAdditionalPlatformLoggingForCustomer": False,
        "jobRunInfo": {"jobRunNumber": 1},
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
