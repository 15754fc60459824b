"""What a job is: job.yaml, the tree under opt/ml and the settings, read into one frozen Job."""
from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from . import api, hyperparameters, images
from .errors import SmLocalError
from .settings import IMAGE_NAME

CHANNELS = Path("opt/ml/input/data")
READY = "data/s3/.ready"
CHECKPOINTS = "/opt/ml/checkpoints"  # CheckpointConfig.LocalPath's default (API:CheckpointConfig)
NAME_ROOM = 63 - len("-20261123-104512") - len("-99")  # a job's name has at most 63 characters (API:TrainingJobName)

MOST_HOSTS = 64

# Accepted, but not emulated although the container would see a difference: named once before the run.
NOT_EMULATED = {
    "ProfilerConfig": "no profilerconfig.json, whose content no source tells",
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


def load(root: Path, settings: dict[str, str], given: dict[str, str]) -> Job:
    """Read the job that `make` was asked for; `given` are the command line's values. Raises SmLocalError."""
    path = root / given.get("JOB", "job.yaml")
    file, request = str(path), api.read(path)
    body = request.body
    algorithm, resources = body.get("AlgorithmSpecification", {}), body.get("ResourceConfig", {})
    image, source = choose_image(file, algorithm.get("TrainingImage", ""), settings, given)
    channels, hosts = choose_channels(file, root, body, algorithm.get("TrainingInputMode", "File")), choose_hosts(file, resources)
    values = choose_hyperparameters(root, body, given)
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
        checkpoints=choose_checkpoints(file, body),
        hosts=hosts,
        region=settings["REGION"],
        account=account(body.get("RoleArn", "")),
        isolated=body.get("EnableNetworkIsolation", False),
        request=body,
        settings=settings,
        notes=request.notes + not_emulated(body, channels),
    )


def stem(name: str) -> str:
    """Return the part of a job's name that stays: what the API allows, short enough for the time behind it."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name)[:NAME_ROOM].strip("-") or "job"


def account(role: str) -> str:
    """Return the account of a role, or the one that AWS uses in its examples."""
    found = re.match(r"arn:[^:]+:iam::(\d{12}):", role)
    return found.group(1) if found else "123456789012"


def choose_image(file: str, training_image: str, settings: dict[str, str], given: dict[str, str]) -> tuple[str, str]:
    """Return the image and where it comes from. The command line wins over job.yaml, job.yaml over the settings."""
    image = given.get("IMAGE") or training_image or settings["IMAGE"]
    if image == "dlc":
        return images.dlc_local(settings["DLC"]), "dlc"
    if not image:
        raise SmLocalError("settings.env: IMAGE is empty; name the image that 'make build' makes, such as IMAGE=my-model:latest")
    if not re.fullmatch(IMAGE_NAME, image):  # a `-` in front would make it an option of the engine
        where = "IMAGE" if given.get("IMAGE") else f"{file}: AlgorithmSpecification.TrainingImage"
        raise SmLocalError(f"{where} is {image!r}; write an image name such as my-model:latest")
    if image == settings["IMAGE"]:
        return image, "own"
    return image, "dlc" if images.is_dlc(image) else "other"


def choose_hosts(file: str, resources: dict) -> tuple[Host, ...]:
    """Return the job's hosts, algo-1 … algo-N; those of instance groups are numbered in the request's order."""
    alone = {"InstanceGroupName": "homogeneousCluster", "InstanceType": resources.get("InstanceType", "ml.m5.xlarge"),
             "InstanceCount": resources.get("InstanceCount", 1)}
    groups = resources.get("InstanceGroups") or [alone]
    count = sum(group["InstanceCount"] for group in groups)
    if not 1 <= count <= MOST_HOSTS:
        raise SmLocalError(f"{file}: ResourceConfig asks for {count} hosts; this machine runs 1 to {MOST_HOSTS}")
    kinds = [group for group in groups for _ in range(group["InstanceCount"])]
    return tuple(Host(f"algo-{n}", group["InstanceGroupName"], group["InstanceType"]) for n, group in enumerate(kinds, 1))


def choose_checkpoints(file: str, body: dict) -> str:
    """Return where the checkpoint folder is in the container; '' without CheckpointConfig: then there is none (captured)."""
    if "CheckpointConfig" not in body:
        return ""
    path = body["CheckpointConfig"].get("LocalPath", CHECKPOINTS)
    if not re.fullmatch(r"(/[^/\n]+)+/?", path):
        raise SmLocalError(f"{file}: CheckpointConfig.LocalPath is {path!r}; write an absolute path such as {CHECKPOINTS}")
    return path.rstrip("/")


def choose_hyperparameters(root: Path, body: dict, given: dict[str, str]) -> dict[str, str]:
    """Return job.yaml's hyperparameters, else the file's; HP='epochs=3 lr=0.1' changes single ones."""
    values = dict(body["HyperParameters"]) if "HyperParameters" in body else hyperparameters.read(root)
    values.update(hyperparameters.split(given.get("HP", "")))
    return values


def choose_environment(body: dict, source: str, values: dict[str, str]) -> dict[str, str]:
    """Return the request's Environment. A Deep Learning Container's toolkit is told which script to run (TK:environment.py:589).

    It takes this variable before the hyperparameter of that meaning, so a job with the hyperparameter must not get it.
    """
    environment = dict(body.get("Environment", {}))
    if source == "dlc" and "sagemaker_program" not in values:
        environment.setdefault("SAGEMAKER_PROGRAM", "train.py")
    return environment


def choose_channels(file: str, root: Path, body: dict, mode: str) -> tuple[Channel, ...]:
    """Return the request's channels, else one for every folder of opt/ml/input/data."""
    if "InputDataConfig" not in body:
        folders = sorted(path.name for path in (root / CHANNELS).glob("*") if path.is_dir() and not path.name.startswith("."))
        return tuple(channel(file, root, {"ChannelName": name}, mode) for name in folders)
    return tuple(channel(file, root, entry, mode) for entry in body["InputDataConfig"])


def channel(file: str, root: Path, entry: dict, default_mode: str) -> Channel:
    """Return one channel of the request: the folder of its name, if there is one, else its S3Uri's mirror."""
    name, mode = entry["ChannelName"], entry.get("InputMode", default_mode)
    folder = CHANNELS / name
    if not re.fullmatch(r"[A-Za-z0-9.\-_]{1,64}", name) or name in (".", ".."):
        raise SmLocalError(f"{folder}: a channel's name has letters, digits, '.', '-' and '_' (at most 64); rename the folder")
    source = entry.get("DataSource", {})
    s3 = source.get("S3DataSource", {})
    here = (root / folder).is_dir()
    if not here and not s3.get("S3Uri", "").startswith("s3://"):
        raise SmLocalError(f"{file}: channel {name!r} has no folder {folder}; put its data there")
    return Channel(name, str(folder) if here else "", mode, entry.get("ContentType", ""), s3.get("S3DataDistributionType", "FullyReplicated"),
                   entry.get("RecordWrapperType", "None"), tuple(s3.get("InstanceGroupNames", ())), s3.get("S3Uri", ""), s3.get("S3DataType", "S3Prefix"),
                   entry.get("CompressionType", "None"), entry.get("ShuffleConfig", {}).get("Seed"), tuple(s3.get("AttributeNames", ())),
                   source.get("FileSystemDataSource", {}).get("FileSystemAccessMode") == "ro")


def file_systems(body: dict) -> set[str]:
    """Return the names of channels on EFS or FSx."""
    return {entry["ChannelName"] for entry in body.get("InputDataConfig", []) if "FileSystemDataSource" in entry.get("DataSource", {})}


def not_emulated(body: dict, channels: tuple[Channel, ...]) -> tuple[str, ...]:
    """Name what is in the request, would change what the container sees, and is left out here."""
    notes = [f"{key} is not emulated: {effect}" for key, effect in NOT_EMULATED.items() if body.get(key)]
    notes += [f"channel {channel.name} is the folder {channel.folder} here, whatever its file system is" for channel in channels
              if channel.name in file_systems(body)]
    return tuple(notes)
