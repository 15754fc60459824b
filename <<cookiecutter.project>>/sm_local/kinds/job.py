"""What a job is: job.yaml, the tree under opt/ml and the settings, read into one frozen Job."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from .. import images
from ..errors import SmLocalError
from ..request import hyperparameters, reading
from ..request.nodes import short
from ..request.rules import dig
from ..settings import IMAGE_NAME

CHANNELS = Path("opt/ml/input/data")
READY = "data/s3/.ready"
OWN_FOLDERS = ("/opt/ml/input", "/opt/ml/model", "/opt/ml/output", "/opt/ml/code")
TENSORS, TENSORBOARD = (
    "/opt/ml/output/tensors",
    "/opt/ml/output/tensorboard/",
)  # LocalPath's defaults: smdebug's, API:TensorBoardOutputConfig
UPLOADED = {
    "tensors": ("DebugHookConfig", TENSORS),
    "tensorboard": ("TensorBoardOutputConfig", TENSORBOARD),
}
CHECKPOINTS = "/opt/ml/checkpoints"  # CheckpointConfig.LocalPath's default (API:CheckpointConfig)
NAME_ROOM = (
    63 - len("-20261123-104512") - len("-99")
)  # a job's name has at most 63 characters (API:TrainingJobName)

MOST_HOSTS = 64

# Accepted, but not emulated although the container would see a difference: named once before the run.
NOT_EMULATED = {
    "ProfilerConfig": "no profilerconfig.json, whose content no source tells",
    "ResourceConfig.KeepAlivePeriodInSeconds": "no /opt/ml/sagemaker/warmpoolcache",
}


@dataclass(frozen=True)
class Channel:
    """One input channel: its folder here, and what inputdataconfig.json says of it."""

    name: str
    folder: str  # '' when its objects are in S3's mirror
    mode: str = "File"  # File, FastFile or Pipe
    content_type: str = ""
    distribution: str = "FullyReplicated"
    record_wrapper: str = "None"
    groups: tuple[str, ...] = ()  # instance groups that get it; () means all
    s3_uri: str = ""
    s3_type: str = "S3Prefix"
    compression: str = "None"  # of Pipe mode, as what follows
    seed: int | None = None  # of ShuffleConfig
    attributes: tuple[str, ...] = ()  # of an augmented manifest
    read_only: bool = False  # a file system's FileSystemAccessMode

    @property
    def is_remote(self) -> bool:
        """Tell whether its data comes from S3, by `make data`."""
        return not self.folder

    @property
    def ready(self) -> str:
        """Return the mark that `make data` leaves when all of it is here; '' for a folder of a person's own."""
        what = " ".join([self.s3_type, self.s3_uri, *self.attributes])
        return f"{READY}/{hashlib.sha256(what.encode()).hexdigest()[:16]}" if self.is_remote else ""


@dataclass(frozen=True)
class Host:
    """One of the job's containers."""

    name: str
    group: str
    instance_type: str


@dataclass(frozen=True)
class Job:
    """All that a recipe needs to know of a job; nothing of it depends on this machine."""

    file: str  # the request's file, for messages
    stem: str  # the job's name is this and the time
    image: str
    source: str  # own: `make build` makes it; dlc: `make pull-dlc` fetches it; other: a name to run as it is
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
    uploaded: dict[str, str] = field(
        default_factory=dict
    )  # further folders that are uploaded during a job: name, path in the container


def load(root: Path, settings: dict[str, str], given: dict[str, str]) -> Job:
    """Read the job that `make` was asked for; `given` are the command line's values. Raises SmLocalError."""
    path = root / given.get("JOB", "job.yaml")
    file, request = str(path), reading.read(path)
    body = request.body
    algorithm, resources = body.get("AlgorithmSpecification", {}), body.get("ResourceConfig", {})
    image, source = choose_image(request, algorithm.get("TrainingImage", ""), settings, given)
    channels, hosts = (
        choose_channels(request, root, algorithm.get("TrainingInputMode", "File")),
        choose_hosts(request, resources),
    )
    values = choose_hyperparameters(root, body, given)
    checkpoints = local_path(request, "CheckpointConfig", CHECKPOINTS)
    uploaded = {
        name: path
        for name, (config, default) in UPLOADED.items()
        if (path := local_path(request, config, default))
    }
    one_folder_each(
        request,
        {
            "CheckpointConfig": checkpoints,
            **{UPLOADED[name][0]: path for name, path in uploaded.items()},
        },
    )
    return Job(
        file=file,
        stem=stem(body.get("TrainingJobName") or root.resolve().name),
        image=image,
        source=source,
        entrypoint=tuple(algorithm.get("ContainerEntrypoint", ())),
        arguments=tuple(algorithm.get("ContainerArguments", ())),
        hyperparameters=values,
        environment=choose_environment(body, source, values),
        channels=channels,
        checkpoints=checkpoints,
        hosts=hosts,
        region=settings["REGION"],
        account=account(body.get("RoleArn", "")),
        isolated=body.get("EnableNetworkIsolation", False),
        request=body,
        settings=settings,
        uploaded=uploaded,
        notes=request.notes + not_emulated(body, channels, hosts),
    )


def stem(name: str) -> str:
    """Return the part of a job's name that stays: what the API allows, short enough for the time behind it."""
    legal = re.fullmatch(r"[A-Za-z0-9](-*[A-Za-z0-9])*", name)
    return (name if legal else re.sub(r"[^A-Za-z0-9]+", "-", name))[:NAME_ROOM].strip("-") or "job"


def account(role: str) -> str:
    """Return the account of a role, or the one that AWS uses in its examples."""
    found = re.match(r"arn:[^:]+:iam::(\d{12}):", role)
    return found.group(1) if found else "123456789012"


def choose_image(
    request: reading.Request, training_image: str, settings: dict[str, str], given: dict[str, str]
) -> tuple[str, str]:
    """Return the image and where it comes from. The command line wins over job.yaml, job.yaml over the settings."""
    image = given.get("IMAGE") or training_image or settings["IMAGE"]
    if image == "dlc":
        return images.dlc_local(settings["DLC"]), "dlc"
    if not image:
        raise SmLocalError(
            "settings.env: IMAGE is empty; name the image that 'make build' makes, such as IMAGE=my-model:latest"
        )
    if not re.fullmatch(IMAGE_NAME, image):  # a `-` in front would make it an option of the engine
        path = "AlgorithmSpecification.TrainingImage"
        where = "IMAGE" if given.get("IMAGE") else f"{request.where(path)}: {path}"
        raise SmLocalError(f"{where} is {image!r}; write an image name such as my-model:latest")
    if image == settings["IMAGE"]:
        return image, "own"
    return image, "dlc" if images.is_dlc(image) else "other"


def choose_hosts(request: reading.Request, resources: dict) -> tuple[Host, ...]:
    """Return the job's hosts, algo-1 … algo-N; those of instance groups are numbered in the request's order.

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
    if not 1 <= count <= MOST_HOSTS:
        raise SmLocalError(
            f"{request.where('ResourceConfig.InstanceCount')}: ResourceConfig asks for {count} hosts; this machine runs 1 to {MOST_HOSTS}"
        )
    kinds = [group for group in groups for _ in range(group["InstanceCount"])]
    return tuple(
        Host(f"algo-{n}", group["InstanceGroupName"], group["InstanceType"])
        for n, group in enumerate(kinds, 1)
    )


def local_path(request: reading.Request, config: str, default: str) -> str:
    """Return where a folder that the request asks for is in the container; '' if it does not: then there is none (captured)."""
    if config not in request.body:
        return ""
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
                f"{where}, which would hide the platform's {own}; write another one, such as {default}"
            )
    return path


def one_folder_each(request: reading.Request, paths: dict[str, str]) -> None:
    """Refuse two folders at one place in the container."""
    for n, (config, path) in enumerate(paths.items()):
        for other in [*paths][:n]:
            if path and path == paths[other]:
                raise SmLocalError(
                    f"{request.where(f'{config}.LocalPath')}: {config}.LocalPath is {short(path)!r}, as {other}'s is; write another one"
                )


def choose_hyperparameters(root: Path, body: dict, given: dict[str, str]) -> dict[str, str]:
    """Return job.yaml's hyperparameters, else the file's; HP='epochs=3 lr=0.1' changes single ones."""
    values = (
        dict(body["HyperParameters"]) if "HyperParameters" in body else hyperparameters.read(root)
    )
    values.update(hyperparameters.split(given.get("HP", "")))
    if problem := hyperparameters.too_many(values, " with those of HP"):
        raise SmLocalError(f"HP: {problem}")
    return values


def choose_environment(body: dict, source: str, values: dict[str, str]) -> dict[str, str]:
    """Return the request's Environment. A Deep Learning Container's toolkit is told which script to run (TK:environment.py:589).

    It takes this variable before the hyperparameter of that meaning, so a job with the hyperparameter must not get it.
    """
    environment = dict(body.get("Environment", {}))
    if source == "dlc" and "sagemaker_program" not in values:
        environment.setdefault("SAGEMAKER_PROGRAM", "train.py")
    return environment


def choose_channels(request: reading.Request, root: Path, mode: str) -> tuple[Channel, ...]:
    """Return the request's channels, else one for every folder of opt/ml/input/data."""
    if "InputDataConfig" in request.body:
        return tuple(
            channel(f"{request.where(f'InputDataConfig[{n}]')}", root, entry, mode)
            for n, entry in enumerate(request.body["InputDataConfig"])
        )
    here = sorted((root / CHANNELS).glob("[!.]*"))
    for path in here:
        if path.is_symlink() and not path.exists():
            raise SmLocalError(
                f"{CHANNELS / path.name}: is a link to {os.readlink(path)}, which is not there; mount it, or remove the link"
            )
    return tuple(
        channel(request.file, root, {"ChannelName": path.name}, mode)
        for path in here
        if path.is_dir()
    )


def channel(where: str, root: Path, entry: dict, default_mode: str) -> Channel:
    """Return one channel of the request: the folder of its name, if there is one, else its S3Uri's mirror."""
    name, mode = entry["ChannelName"], entry.get("InputMode", default_mode)
    folder = CHANNELS / name
    if not re.fullmatch(r"[A-Za-z0-9.\-_]{1,64}", name) or name in (".", ".."):
        raise SmLocalError(
            f"{folder}: a channel's name has letters, digits, '.', '-' and '_' (at most 64); rename the folder"
        )
    source = entry.get("DataSource", {})
    s3 = source.get("S3DataSource", {})
    here = (root / folder).is_dir()
    if not here and not s3.get("S3Uri", "").startswith("s3://"):
        raise SmLocalError(f"{where}: channel {name!r} has no folder {folder}; put its data there")
    return Channel(
        name,
        str(folder) if here else "",
        mode,
        entry.get("ContentType", ""),
        s3.get("S3DataDistributionType", "FullyReplicated"),
        entry.get("RecordWrapperType", "None"),
        tuple(s3.get("InstanceGroupNames", ())),
        s3.get("S3Uri", ""),
        s3.get("S3DataType", "S3Prefix"),
        entry.get("CompressionType", "None"),
        entry.get("ShuffleConfig", {}).get("Seed"),
        tuple(s3.get("AttributeNames", ())),
        source.get("FileSystemDataSource", {}).get("FileSystemAccessMode") == "ro",
    )


def file_systems(body: dict) -> set[str]:
    """Return the names of channels on EFS or FSx."""
    return {
        entry["ChannelName"]
        for entry in body.get("InputDataConfig", [])
        if "FileSystemDataSource" in entry.get("DataSource", {})
    }


def not_emulated(
    body: dict, channels: tuple[Channel, ...], hosts: tuple[Host, ...]
) -> tuple[str, ...]:
    """Name what is in the request, would change what the container sees, and is left out here."""
    notes = [
        f"{key} is not emulated: {effect}" for key, effect in NOT_EMULATED.items() if dig(body, key)
    ]
    notes += [
        f"channel {channel.name} is the folder {channel.folder} here, whatever its file system is"
        for channel in channels
        if channel.name in file_systems(body)
    ]
    if "InstancePreferences" in body.get("ResourceConfig", {}):
        notes.append(
            f"of InstancePreferences the first is taken: {len(hosts)} x {hosts[0].instance_type}"
        )
    return tuple(notes)
