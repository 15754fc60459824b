"""What SageMaker promises a training container. Pure: a Job in, values out; every rule names its source.

Sources: API: shapes of the SageMaker API model. DG: the Developer Guide's page of that name. Captured: files and
environments of real jobs, 2019 to 2025. docs/contract.md of the template has the whole list, and what is not confirmed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from .job import TENSORBOARD, TENSORS, Channel, Host, Job

HOST = "algo-1"  # names are algo-1 … algo-N without padding (DG:your-algorithms-training-algo-running-container)
TIME = "\0\0"  # stands in a file's text for what a job's name ends with, the time, which only the running recipe knows; no value has NULs
PARTITIONS = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
    ("eu-isoe-", "aws-iso-e"),
    ("eusc-", "aws-eusc"),
)


def compact(value: object) -> str:
    """Return JSON as the platform writes it: compact, in one line, without a newline at its end (captured)."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def command(job: Job) -> tuple[str, tuple[str, ...]]:
    """Return the entrypoint word ('' for the image's own) and the arguments (DG:your-algorithms-training-algo-dockerfile).

    `train` only when neither ContainerEntrypoint nor ContainerArguments is given. The engines' command line takes one
    entrypoint word; further ones go in front of the arguments, which gives the process the same argument list.
    """
    if not job.entrypoint and not job.arguments:
        return "", ("train",)
    return job.entrypoint[0] if job.entrypoint else "", job.entrypoint[1:] + job.arguments


def hostname(region: str, host: str = HOST) -> str:
    """Return the kernel's host name: never algo-1, which is only a name that resolves (captured)."""
    return f"ip-10-0-0-{host.rpartition('-')[2]}." + (
        "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    )


def arn_prefix(job: Job) -> str:
    """Return TRAINING_JOB_ARN up to the time: the job's name stands there in lower case (captured)."""
    partition = next((name for prefix, name in PARTITIONS if job.region.startswith(prefix)), "aws")
    return f"arn:{partition}:sagemaker:{job.region}:{job.account}:training-job/{job.stem.lower()}"


def platform_environment(job: Job, gpu: bool) -> dict[str, str]:
    """Return what the platform sets beside the job's name and ARN: no SM_*, no AWS_DEFAULT_REGION (captured).

    NVIDIA_VISIBLE_DEVICES is `void` on instances without a GPU (captured).
    """
    values = {"AWS_REGION": job.region, "DMLC_INTERFACE": "eth0"}
    return values if gpu else {**values, "NVIDIA_VISIBLE_DEVICES": "void"}


def hyperparameters(job: Job) -> dict[str, str]:
    """Return hyperparameters.json: flat, every value a string (DG:your-algorithms-training-algo-running-container)."""
    return job.hyperparameters


def host_channels(job: Job, host: Host) -> tuple[Channel, ...]:
    """Return the channels that a host gets: those for its group, and those for none (DG:train-heterogeneous-cluster)."""
    return tuple(
        channel for channel in job.channels if not channel.groups or host.group in channel.groups
    )


def input_data_config(job: Job, host: Host) -> dict[str, dict[str, str]]:
    """Return inputdataconfig.json: no S3 URI, ContentType only when set (DG, captured)."""
    return {channel.name: describe(channel) for channel in host_channels(job, host)}


def describe(channel: Channel) -> dict[str, str]:
    """Return what inputdataconfig.json says of a channel; a FastFile channel is called File there (DG)."""
    mode = "Pipe" if channel.mode == "Pipe" else "File"
    content_type = {"ContentType": channel.content_type} if channel.content_type else {}
    return {
        **content_type,
        "TrainingInputMode": mode,
        "S3DistributionType": channel.distribution,
        "RecordWrapperType": channel.record_wrapper,
    }


def shard(job: Job, host: Host, channel: Channel) -> tuple[int, int]:
    """Return which of how many parts of a channel's objects a host gets; which rule deals them out is not documented."""
    hosts = [one for one in job.hosts if channel in host_channels(job, one)]
    return (hosts.index(host), len(hosts)) if channel.distribution == "ShardedByS3Key" else (0, 1)


def resource_config(job: Job, host: Host) -> dict:
    """Return resourceconfig.json as one host sees it: seven keys in this order (captured 2025-12).

    `hosts` is sorted as text, algo-10 before algo-2 (DG); a homogeneous job has one group, homogeneousCluster (captured
    2022 on). The order of a group's hosts is not promised, and neither is which group gets which numbers.
    """
    groups: dict[str, dict] = {}
    for one in job.hosts:
        group = {"instance_group_name": one.group, "instance_type": one.instance_type, "hosts": []}
        groups.setdefault(one.group, group)["hosts"].append(one.name)
    return {
        "current_host": host.name,
        "current_instance_type": host.instance_type,
        "current_group_name": host.group,
        "hosts": sorted(one.name for one in job.hosts),
        "instance_groups": list(groups.values()),
        "network_interface_name": "eth0",
        "topology": None,
    }


def config_files(job: Job, host: Host) -> dict[str, str]:
    """Return the files of a host's /opt/ml/input/config and their text: three documented ones, and what the request asks for."""
    files = {
        "hyperparameters.json": hyperparameters(job),
        "inputdataconfig.json": input_data_config(job, host),
        "resourceconfig.json": resource_config(job, host),
        **metric_definitions(job),
        **checkpoint_config(job),
        **debug_hook_config(job.request),
        **tensorboard_config(job.request),
        **(files_of_2020(job, host) if job.settings["CONFIG_FILES"] == "2020" else {}),
    }
    return {name: compact(value) for name, value in files.items()}


def metric_definitions(job: Job) -> dict[str, list]:
    """Return metric-definition-regex.json: [] in jobs without definitions (captured 2020, 2022); with some, no source tells."""
    return (
        {}
        if job.request.get("AlgorithmSpecification", {}).get("MetricDefinitions")
        else {"metric-definition-regex.json": []}
    )


def checkpoint_config(job: Job) -> dict[str, dict]:
    """Return checkpointconfig.json: the path alone, not the S3 URI (captured 2020)."""
    return {"checkpointconfig.json": {"LocalPath": job.checkpoints}} if job.checkpoints else {}


def debug_hook_config(request: dict) -> dict[str, dict]:
    """Return debughookconfig.json, as the smdebug library's own test has it; LocalPath's default is smdebug's."""
    asked = request.get("DebugHookConfig")
    if not asked:
        return {}
    collections = [
        {
            "CollectionName": item.get("CollectionName"),
            "CollectionParameters": item.get("CollectionParameters"),
        }
        for item in asked.get("CollectionConfigurations", [])
    ]
    return {
        "debughookconfig.json": {
            "S3OutputPath": asked.get("S3OutputPath"),
            "LocalPath": asked.get("LocalPath", TENSORS),
            "HookParameters": asked.get("HookParameters"),
            "CollectionConfigurations": collections or None,
            "DebugHookSpecification": None,
        }
    }


def tensorboard_config(request: dict) -> dict[str, dict]:
    """Return tensorboardoutputconfig.json (captured 2020; LocalPath's default: API:TensorBoardOutputConfig)."""
    asked = request.get("TensorBoardOutputConfig")
    if not asked:
        return {}
    return {
        "tensorboardoutputconfig.json": {
            "S3OutputPath": asked.get("S3OutputPath"),
            "LocalPath": asked.get("LocalPath", TENSORBOARD),
        }
    }


def files_of_2020(job: Job, host: Host) -> dict[str, object]:
    """Return what jobs of 2020 had besides (captured 2020-10); those of 2022 had no longer all of it, or other keys."""
    return {
        "trainingjobconfig.json": training_job_config(job),
        "upstreamoutputdataconfig.json": [],
        "init-config.json": init_config(job, host),
    }


def training_job_config(job: Job) -> dict:
    """Return trainingjobconfig.json: the request, its enums in upper snake case except TrainingInputMode, and no Environment."""
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
        "TrainingJobName": job.stem + TIME,
        "StoppingCondition": request.get("StoppingCondition"),
        "AlgorithmSpecification": {
            "MetricDefinitions": algorithm.get("MetricDefinitions", []),
            "TrainingImage": job.image,
            "TrainingInputMode": algorithm.get("TrainingInputMode", "File"),
        },
        "TrainingJobArn": arn_prefix(job) + TIME,
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
    """Return init-config.json, which is for the platform's own agent; its checkpoint path stays the default one (captured)."""
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
    """Return a channel as init-config.json has it; the checkpoints', which is none, has no distribution and no compression."""
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


def limits(instance_type: str) -> tuple[int, int, int]:
    """Return vCPUs, GPUs and GiB of memory of an instance type; KeyError for one that the table does not have."""
    table = (
        (Path(__file__).parent.parent / "instances.tsv").read_text(encoding="utf-8").splitlines()
    )
    figures = {
        name: tuple(map(int, rest))
        for name, *rest in (line.split("\t") for line in table if not line.startswith("#"))
    }
    return figures[instance_type]


def leaves_files_loose(job: Job) -> bool:
    """Tell whether the request asks for the files themselves instead of archives (API:OutputDataConfig)."""
    return job.request.get("OutputDataConfig", {}).get("CompressionType") == "NONE"


def has_code_in_s3(job: Job) -> bool:
    """Tell whether the toolkit is told to fetch its code from S3 (TK): a string, which the SDK encodes as JSON."""
    return job.hyperparameters.get("sagemaker_submit_directory", "").strip('"').startswith("s3://")


def read_only(channel: Channel) -> bool:
    """Tell whether the container may not write: a FastFile channel is a read-only mount (DG:model-access-training-data)."""
    return channel.mode == "FastFile" or channel.read_only
