"""A training job as it was asked for: the request, the tree under opt/ml and HP, in one value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import SmLocalError
from ..request import hyperparameters, reading
from ..request.nodes import short
from ..request.rules import ALGORITHM, IMAGE, dig
from .channels import CHANNELS, Channel, choose_channels
from .common import Host, account, check_host_count, choose_image, stem

OWN_FOLDERS = ("/opt/ml/input", "/opt/ml/model", "/opt/ml/output", "/opt/ml/code")
# LocalPath's defaults: smdebug's own, API:TensorBoardOutputConfig, API:CheckpointConfig.
TENSORS, TENSORBOARD = "/opt/ml/output/tensors", "/opt/ml/output/tensorboard/"
CHECKPOINTS = "/opt/ml/checkpoints"
UPLOADED = {
    "tensors": ("DebugHookConfig", TENSORS),
    "tensorboard": ("TensorBoardOutputConfig", TENSORBOARD),
}
COUNT = "ResourceConfig.InstanceCount"

# Accepted, but not emulated although the container would see a difference: named before the run.
NOT_EMULATED = {
    "ProfilerConfig": "no profilerconfig.json, whose content no source tells",
    "ResourceConfig.KeepAlivePeriodInSeconds": "no /opt/ml/sagemaker/warmpoolcache",
    "AlgorithmSpecification.MetricDefinitions": (
        "no metrics are made of the log, and no metric-definition-regex.json, whose form with "
        "metrics no source tells"
    ),
}


@dataclass(frozen=True)
class Job:
    """All that the request and the tree say; nothing of it depends on this machine."""

    file: str  # the request's file, for messages
    stem: str  # the job's name is this and the time
    image: str
    source: str  # of the image: own, named, dlc or other
    entrypoint: tuple[str, ...]
    arguments: tuple[str, ...]
    hyperparameters: dict[str, str]
    environment: dict[str, str]
    channels: tuple[Channel, ...]
    checkpoints: str  # path in the container, '' without CheckpointConfig
    hosts: tuple[Host, ...]
    region: str
    account: str
    isolated: bool  # EnableNetworkIsolation: no network but the job's own hosts
    request: dict  # as job.yaml has it
    settings: dict[str, str]
    notes: tuple[str, ...] = ()  # a line each, said before the run
    uploaded: dict[str, str] = field(default_factory=dict)  # more folders: name, path inside
    remedy: str = "run 'make build'"  # what to do when the image is missing


def load(root: Path, settings: dict[str, str], given: dict[str, str]) -> Job:
    """Read the job that `make` was asked for. Raises SmLocalError.

    `given` are the command line's values.
    """
    request = reading.read(root / given.get("JOB", "job.yaml"))
    body = request.body
    algorithm = body.get("AlgorithmSpecification", {})
    image = choose_image(request, IMAGE, algorithm.get("TrainingImage", ""), settings, given)
    values, notes = choose_hyperparameters(root, body, given)
    folders = local_paths(request)
    return Job(
        file=request.file,
        stem=stem(body.get("TrainingJobName") or root.resolve().name),
        image=image.name,
        source=image.source,
        remedy=image.remedy,
        hyperparameters=values,
        environment=choose_environment(body, image.source, values),
        checkpoints=folders.get("CheckpointConfig", ""),
        region=settings["REGION"],
        settings=settings,
        uploaded={name: folders[key] for name, (key, _) in UPLOADED.items() if key in folders},
        **asked_for(request, root, algorithm, (*notes, *replaced(request, image.name))),
    )


def asked_for(
    request: reading.Request, root: Path, algorithm: dict, notes: tuple[str, ...]
) -> dict[str, Any]:
    """Return the values of Job that the request alone decides, and the channels' folders."""
    body = request.body
    channels = choose_channels(request, root, algorithm.get("TrainingInputMode", "File"))
    hosts = choose_hosts(request, body.get("ResourceConfig", {}))
    return {
        "entrypoint": tuple(algorithm.get("ContainerEntrypoint", ())),
        "arguments": tuple(algorithm.get("ContainerArguments", ())),
        "channels": channels,
        "hosts": hosts,
        "account": account(body.get("RoleArn", "")),
        "isolated": body.get("EnableNetworkIsolation", False),
        "request": body,
        "notes": request.notes + notes + not_emulated(body, hosts),
    }


def choose_hosts(request: reading.Request, resources: dict) -> tuple[Host, ...]:
    """Return algo-1 … algo-N; those of instance groups are numbered in the request's order.

    Of InstancePreferences SageMaker takes the first of which there is capacity: here the first.
    """
    wanted = {**resources, **resources.get("InstancePreferences", [{}])[0]}
    alone = {
        "InstanceGroupName": "homogeneousCluster",
        "InstanceType": wanted.get("InstanceType", "ml.m5.xlarge"),
        "InstanceCount": wanted.get("InstanceCount", 1),
    }
    groups = resources.get("InstanceGroups") or [alone]
    count = sum(group["InstanceCount"] for group in groups)
    check_host_count(count, request, COUNT, "ResourceConfig")
    kinds = [group for group in groups for _ in range(group["InstanceCount"])]
    return tuple(
        Host(f"algo-{n}", group["InstanceGroupName"], group["InstanceType"])
        for n, group in enumerate(kinds, 1)
    )


def local_paths(request: reading.Request) -> dict[str, str]:
    """Return where the folders that the request asks for are in the container. Raises."""
    defaults = {"CheckpointConfig": CHECKPOINTS, **dict(UPLOADED.values())}
    wanted = {name: default for name, default in defaults.items() if name in request.body}
    paths = {name: local_path(request, name, default) for name, default in wanted.items()}
    one_folder_each(request, paths)
    return paths


def local_path(request: reading.Request, config: str, default: str) -> str:
    """Return where one folder is in the container. Raises SmLocalError."""
    path = request.body[config].get("LocalPath", default)
    where = f"{request.where(f'{config}.LocalPath')}: {config}.LocalPath is {short(path)!r}"
    if not re.fullmatch(r"(/(?!\.\.?(/|$))[^/\n]+)+/?", path):
        raise SmLocalError(
            f"{where}; write an absolute path such as {default}, without '.' and '..'"
        )
    path = path.rstrip("/")
    for own in OWN_FOLDERS:
        if f"{own}/".startswith(f"{path}/") or path.startswith("/opt/ml/input/"):
            raise SmLocalError(
                f"{where}, which would hide the platform's {own}; "
                f"write another one, such as {default}"
            )
    return path


def one_folder_each(request: reading.Request, paths: dict[str, str]) -> None:
    """Raise SmLocalError for two folders at one place in the container."""
    for n, (config, path) in enumerate(paths.items()):
        for other in [*paths][:n]:
            if path == paths[other]:
                where = f"{request.where(f'{config}.LocalPath')}: {config}.LocalPath"
                raise SmLocalError(
                    f"{where} is {short(path)!r}, as {other}'s is; write another one"
                )


def choose_hyperparameters(
    root: Path, body: dict, given: dict[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return job.yaml's hyperparameters, else the file's, and notes; HP changes single ones."""
    notes: tuple[str, ...] = ()
    values = body.get("HyperParameters")
    if values is None:
        request = hyperparameters.read(root)
        values, notes = request.body, request.notes
    values = dict(values)
    values.update(hyperparameters.split(given.get("HP", "")))
    if problem := hyperparameters.too_many(values, " with those of HP"):
        raise SmLocalError(f"HP: {problem}")
    return values, notes


def choose_environment(body: dict, source: str, values: dict[str, str]) -> dict[str, str]:
    """Return the request's Environment.

    A Deep Learning Container's toolkit is told which script to run (TK:environment.py:589). It
    takes this variable before the hyperparameter of that meaning, so a job with the
    hyperparameter must not get it.
    """
    environment = dict(body.get("Environment", {}))
    if source == "dlc" and "sagemaker_program" not in values:
        environment.setdefault("SAGEMAKER_PROGRAM", "train.py")
    return environment


def not_emulated(body: dict, hosts: tuple[Host, ...]) -> tuple[str, ...]:
    """Name what would change what the container sees, and is left out here."""
    left_out = {key: effect for key, effect in NOT_EMULATED.items() if dig(body, key)}
    notes = [f"{key} is not emulated: {effect}" for key, effect in left_out.items()]
    notes += [
        f"InputDataConfig[{n}].DataSource.FileSystemDataSource is the folder "
        f"{CHANNELS / entry['ChannelName']} here, whatever its file system is"
        for n, entry in enumerate(body.get("InputDataConfig", []))
        if "FileSystemDataSource" in entry.get("DataSource", {})
    ]
    if "InstancePreferences" in body.get("ResourceConfig", {}):
        first = f"{len(hosts)} x {hosts[0].instance_type}"
        notes.append(f"ResourceConfig.InstancePreferences: the first is taken, {first}")
    return tuple(notes)


def replaced(request: reading.Request, image: str) -> tuple[str, ...]:
    """Name the image that runs in place of an algorithm resource, which has none here."""
    name = dig(request.body, ALGORITHM)
    where = f"{request.where(ALGORITHM)}: {ALGORITHM}"
    return (f"{where} is {name!r}, which only SageMaker has; image {image} runs",) if name else ()
