"""What SageMaker promises a training container, as values. Pure; every rule names its source.

Sources: API: shapes of the SageMaker API model. DG: the Developer Guide's page of that name. TK:
the sagemaker-training toolkit. Captured: files and environments of real jobs, 2019 to 2025. The
template's docs/contract.md has the whole list, and what is not confirmed.
"""

from __future__ import annotations

from .channels import Channel
from .common import compact, partition
from .job import TENSORBOARD, TENSORS, Host, Job


def arn_prefix(job: Job) -> str:
    """Return TRAINING_JOB_ARN up to the time: the job's name is in lower case (captured)."""
    prefix = f"arn:{partition(job.region)}:sagemaker:{job.region}:{job.account}"
    return f"{prefix}:training-job/{job.stem.lower()}"


def platform_environment(job: Job) -> dict[str, str]:
    """Return what the platform sets besides the job's name and ARN and what tells of GPUs.

    No SM_*, no AWS_DEFAULT_REGION (captured).
    """
    return {"AWS_REGION": job.region, "DMLC_INTERFACE": "eth0"}


def hyperparameters(job: Job) -> dict[str, str]:
    """Return hyperparameters.json: flat, every value a string.

    DG:your-algorithms-training-algo-running-container.
    """
    return job.hyperparameters


def host_channels(job: Job, host: Host) -> tuple[Channel, ...]:
    """Return the channels for a host's group, and those for none.

    DG:train-heterogeneous-cluster.
    """
    return tuple(
        channel for channel in job.channels if not channel.groups or host.group in channel.groups
    )


def input_data_config(job: Job, host: Host) -> dict[str, dict[str, str]]:
    """Return inputdataconfig.json: no S3 URI, ContentType only when set (DG, captured)."""
    return {channel.name: describe(channel) for channel in host_channels(job, host)}


def describe(channel: Channel) -> dict[str, str]:
    """Return a channel as inputdataconfig.json has it; FastFile is called File there (DG)."""
    mode = "Pipe" if channel.mode == "Pipe" else "File"
    content_type = {"ContentType": channel.content_type} if channel.content_type else {}
    return {
        **content_type,
        "TrainingInputMode": mode,
        "S3DistributionType": channel.distribution,
        "RecordWrapperType": channel.record_wrapper,
    }


def shard(job: Job, host: Host, channel: Channel) -> tuple[int, int]:
    """Return which of how many parts of a channel's objects a host gets.

    Which rule deals them out is not documented.
    """
    hosts = [one for one in job.hosts if channel in host_channels(job, one)]
    return (hosts.index(host), len(hosts)) if channel.distribution == "ShardedByS3Key" else (0, 1)


def resource_config(job: Job, host: Host) -> dict:
    """Return resourceconfig.json as one host sees it: seven keys in this order (captured 2025-12).

    `hosts` is sorted as text, algo-10 before algo-2 (DG). A homogeneous job has one group,
    homogeneousCluster (captured 2022 on). Neither the order of a group's hosts nor which group
    gets which numbers is promised.
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
    """Return the files of /opt/ml/input/config and their text.

    Three are documented; the others are there when the request asks for them.
    """
    files = {
        "hyperparameters.json": hyperparameters(job),
        "inputdataconfig.json": input_data_config(job, host),
        "resourceconfig.json": resource_config(job, host),
        **metric_definitions(job),
        **checkpoint_config(job),
        **debug_hook_config(job.request),
        **tensorboard_config(job.request),
    }
    return {name: compact(value) for name, value in files.items()}


def metric_definitions(job: Job) -> dict[str, list]:
    """Return metric-definition-regex.json: [] in jobs without definitions (captured 2020, 2022).

    What it holds with some, no source tells.
    """
    return (
        {}
        if job.request.get("AlgorithmSpecification", {}).get("MetricDefinitions")
        else {"metric-definition-regex.json": []}
    )


def checkpoint_config(job: Job) -> dict[str, dict]:
    """Return checkpointconfig.json: the path alone, not the S3 URI (captured 2020)."""
    return {"checkpointconfig.json": {"LocalPath": job.checkpoints}} if job.checkpoints else {}


def debug_hook_config(request: dict) -> dict[str, dict]:
    """Return debughookconfig.json, as smdebug's own test has it; so is LocalPath's default."""
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
    """Return tensorboardoutputconfig.json (captured 2020).

    LocalPath's default: API:TensorBoardOutputConfig.
    """
    asked = request.get("TensorBoardOutputConfig")
    if not asked:
        return {}
    return {
        "tensorboardoutputconfig.json": {
            "S3OutputPath": asked.get("S3OutputPath"),
            "LocalPath": asked.get("LocalPath", TENSORBOARD),
        }
    }


def leaves_files_loose(job: Job) -> bool:
    """Return whether the request wants the files, not archives (API:OutputDataConfig)."""
    return job.request.get("OutputDataConfig", {}).get("CompressionType") == "NONE"


def has_code_in_s3(job: Job) -> bool:
    """Return whether the toolkit fetches its code from S3 (TK); the SDK encodes the URI as JSON."""
    return job.hyperparameters.get("sagemaker_submit_directory", "").strip('"').startswith("s3://")
