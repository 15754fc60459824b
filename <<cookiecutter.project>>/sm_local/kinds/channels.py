"""The channels of a job: the request's, or the folders of opt/ml/input/data."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import SmLocalError
from ..request import reading

CHANNELS = Path("opt/ml/input/data")
READY = "data/s3/.ready"


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
        """Return whether its data comes from S3, by `make data`."""
        return not self.folder

    @property
    def ready(self) -> str:
        """Return the mark that `make data` leaves when all of it is here; '' for a local folder."""
        what = " ".join([self.s3_type, self.s3_uri, *self.attributes])
        digest = hashlib.sha256(what.encode()).hexdigest()[:16]
        return f"{READY}/{digest}" if self.is_remote else ""

    @property
    def is_writable(self) -> bool:
        """Return whether a container may write into it.

        A FastFile channel is a read-only mount (DG:model-access-training-data).
        """
        return self.mode == "File" and not self.read_only


def choose_channels(request: reading.Request, root: Path, mode: str) -> tuple[Channel, ...]:
    """Return the request's channels, else one for every folder. Raises SmLocalError."""
    if "InputDataConfig" in request.body:
        entries = enumerate(request.body["InputDataConfig"])
        return tuple(
            channel(request.where(f"InputDataConfig[{n}]"), root, entry, mode)
            for n, entry in entries
        )
    here = sorted((root / CHANNELS).glob("[!.]*"))
    for path in here:
        if path.is_symlink() and not path.exists():
            raise SmLocalError(
                f"{CHANNELS / path.name}: is a link to {os.readlink(path)}, which is not there; "
                "mount it, or remove the link"
            )
    names = [path.name for path in here if path.is_dir()]
    return tuple(channel(request.file, root, {"ChannelName": name}, mode) for name in names)


def channel(where: str, root: Path, entry: dict, default_mode: str) -> Channel:
    """Return one channel of the request: the folder of its name, else its S3Uri's mirror."""
    name = entry["ChannelName"]
    folder, source = CHANNELS / name, entry.get("DataSource", {})
    check_name(name, folder)
    s3, file_system = source.get("S3DataSource", {}), source.get("FileSystemDataSource", {})
    here = (root / folder).is_dir()
    if not here and not s3.get("S3Uri", "").startswith("s3://"):
        raise SmLocalError(f"{where}: channel {name!r} has no folder {folder}; put its data there")
    return Channel(
        name=name,
        folder=str(folder) if here else "",
        mode=entry.get("InputMode", default_mode),
        content_type=entry.get("ContentType", ""),
        distribution=s3.get("S3DataDistributionType", "FullyReplicated"),
        record_wrapper=entry.get("RecordWrapperType", "None"),
        groups=tuple(s3.get("InstanceGroupNames", ())),
        s3_uri=s3.get("S3Uri", ""),
        s3_type=s3.get("S3DataType", "S3Prefix"),
        compression=entry.get("CompressionType", "None"),
        seed=entry.get("ShuffleConfig", {}).get("Seed"),
        attributes=tuple(s3.get("AttributeNames", ())),
        read_only=file_system.get("FileSystemAccessMode") == "ro",
    )


def check_name(name: str, folder: Path) -> None:
    """Raise SmLocalError for a folder that cannot be a channel."""
    if not re.fullmatch(r"[A-Za-z0-9.\-_]{1,64}", name) or name in (".", ".."):
        raise SmLocalError(
            f"{folder}: a channel's name has letters, digits, '.', '-' and '_' (at most 64); "
            "rename the folder"
        )
