"""Which objects a channel needs, as S3 lists them, and whether they can be files on this disk."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import SmLocalError
from ..kinds.job import Channel
from ..libexec import objects
from .pool import DaemonPool
from .wording import explaining

HEADS_AT_ONCE = 16
LONGEST_NAME = 255  # bytes, on the file systems of Linux and macOS
PARTS = objects.MIRROR / ".parts"


@dataclass(frozen=True)
class Remote:
    """An object as S3 lists it: bytes, seconds since 1970, and what changes with its content."""

    bucket: str
    key: str
    size: int
    modified: float
    etag: str

    @property
    def path(self) -> Path:
        """Return its place in the mirror."""
        return objects.MIRROR / self.bucket / self.key

    @property
    def part(self) -> Path:
        """Return its place while it is incomplete.

        Not in the mirror's folders: any of them may be a running job's channel.
        """
        name = hashlib.sha256(f"{self.bucket}/{self.key}".encode()).hexdigest()
        return PARTS / name[:24]


def remotes(channel: Channel, client) -> list[Remote]:
    """Return the objects of a channel's prefix, or its manifest and what that names, each once."""
    if channel.s3_type not in objects.MANIFESTS:
        with explaining(channel.name, channel.s3_uri):
            return list(_listed(channel.s3_uri, client))
    bucket, key = split(channel.s3_uri)
    with explaining(channel.name, channel.s3_uri):
        text = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    uris = dict.fromkeys([channel.s3_uri, *_named(channel, text)])
    with DaemonPool(HEADS_AT_ONCE) as pool:
        return list(pool.map(lambda uri: _look_up(channel, uri, client), uris))


def split(uri: str) -> tuple[str, str]:
    """Return the bucket and the key of a URI."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def _listed(uri: str, client) -> Iterator[Remote]:
    """Yield the objects of a prefix, without the empty ones that consoles make for folders."""
    bucket, prefix = split(uri)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", ()):
            if not one["Key"].endswith("/"):
                modified = one["LastModified"].timestamp()
                yield Remote(bucket, one["Key"], one["Size"], modified, one["ETag"])


def _look_up(channel: Channel, uri: str, client) -> Remote:
    """Ask for one object's size, time and ETag."""
    bucket, key = split(uri)
    with explaining(channel.name, uri):
        said = client.head_object(Bucket=bucket, Key=key)
    modified = said["LastModified"].timestamp()
    return Remote(bucket, key, said["ContentLength"], modified, said["ETag"])


def _named(channel: Channel, text: bytes) -> Iterable[str]:
    """Return the URIs that a manifest names. Raises SmLocalError."""
    uri = f"channel {channel.name!r}: {channel.s3_uri}"
    try:
        if channel.s3_type == "ManifestFile":
            return objects.manifest_uris(text)
        return _references(text, channel.attributes)
    except KeyError as error:
        raise SmLocalError(
            f"{uri} has a line without the attribute {error}; see AttributeNames in the request"
        ) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise SmLocalError(
            f"{uri} is not a manifest ({error}); see S3DataType in the API's S3DataSource"
        ) from error


def _references(text: bytes, attributes: Iterable[str]) -> list[str]:
    """Return the URIs in an augmented manifest's attributes called NAME-ref."""
    entries = [json.loads(line) for line in text.decode().split("\n") if line.strip()]
    names = [name for name in attributes if name.endswith("-ref")]
    uris = [entry[name] for entry in entries for name in names]
    for uri in uris:
        if not isinstance(uri, str) or not uri.startswith("s3://"):
            raise ValueError(f"{uri!r} is no S3 URI")
    return uris


def check(channel: Channel, found: list[Remote]) -> None:
    """Refuse what `make train` could not show as the channel. Raises SmLocalError."""
    uri, problem = channel.s3_uri, ""
    if not found:
        problem = f"no object at {uri}; look for it with 'aws s3 ls {uri}'"
    elif channel.mode == "FastFile" and not _has_folder_or_file(uri, found):
        problem = (
            "For FastFile mode, partial S3 prefix is not supported. "
            f"S3 prefix has to end with a full file or folder ({uri})"
        )
    problem = problem or misfit(found, _ignores_case(Path()))
    if problem:
        raise SmLocalError(f"channel {channel.name!r}: {problem}")


def _has_folder_or_file(uri: str, found: list[Remote]) -> bool:
    prefix = split(uri)[1]
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    return any(one.key == prefix or one.key.startswith(folder) for one in found)


def misfit(found: list[Remote], one_case: bool) -> str:
    """Return why keys cannot be files here; `one_case` on a disk that ignores case.

    One would leave its folder, two would be one file, or one is a file and another's folder.
    """
    keys: dict[str, str] = {}
    for one in found:
        first = keys.setdefault(_on_disk(f"{one.bucket}/{one.key}", one_case), one.key)
        if first != one.key:
            return (
                f"the keys {first!r} and {one.key!r} are one file on this machine's disk; "
                "copy one of the objects to another key"
            )
    return next(filter(None, (_no_path(one, keys, one_case) for one in found)), "")


def _on_disk(path: str, one_case: bool) -> str:
    """Return what a disk takes for the same path."""
    return unicodedata.normalize("NFC", path).casefold() if one_case else path


def _no_path(one: Remote, keys: Container[str], one_case: bool) -> str:
    """Return why one key cannot be a file's path; `keys` are all, as the disk takes them."""
    parts = [one.bucket, *one.key.split("/")]
    if any(map(_is_no_file_name, parts)):
        return f"the key {one.key!r} cannot be a file's path here; copy the object to another key"
    folders = ("/".join(parts[:count]) for count in range(2, len(parts)))
    if any(_on_disk(folder, one_case) in keys for folder in folders):
        return (
            f"part of the key {one.key!r} is an object itself; a folder here cannot be a file too"
        )
    return ""


def _is_no_file_name(part: str) -> bool:
    return part in ("", ".", "..") or "\0" in part or len(part.encode()) > LONGEST_NAME


def _ignores_case(folder: Path) -> bool:
    """Return whether names that differ only in case are one file, as on macOS."""
    return (folder / "Makefile").exists() and (folder / "mAKEFILE").exists()
