"""`make data`: fetch what the job's S3 channels name and is not here, into data/s3/BUCKET/KEY…, a mirror that all jobs share.

The S3 client comes in as an argument. An object that is here with the right size and time is not fetched again; a half
fetched one is PATH.sm-local-part until it is whole. A channel that is here whole has a mark below data/.ready/.
"""
from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from . import objects
from .errors import SmLocalError
from .job import Channel, Job

AT_ONCE = 16  # S3 answers many calls at once; a single one seldom fills a line
UNITS = ("bytes", "KB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Remote:
    """An object as S3 lists it: bytes, and seconds since 1970."""

    bucket: str
    key: str
    size: int
    modified: float

    @property
    def path(self) -> Path:
        """Return where it lies, or will lie, here."""
        return objects.MIRROR / self.bucket / self.key


def connect(region: str):
    """Return an S3 client of the caller's. Raises SmLocalError."""
    import boto3  # here, because only this verb needs it
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.client("s3", region_name=region, config=Config(max_pool_connections=AT_ONCE))
    except BotoCoreError as error:
        raise SmLocalError(f"no S3 client: {error}") from error


def fetch(job: Job, client) -> None:
    """Fetch every S3 channel of a job. Raises SmLocalError; what is complete stays, and the next call goes on from there."""
    channels = [channel for channel in job.channels if channel.is_remote]
    if not channels:
        say("no channel of this job comes from S3; folders of opt/ml/input/data are used as they are")
    for channel in channels:
        fetch_channel(channel, client)


def fetch_channel(channel: Channel, client) -> None:
    """Fetch one channel, say what it is first, and mark it as whole."""
    found = asking(channel, lambda: list(remotes(channel, client)))
    if not found:
        raise SmLocalError(f"channel {channel.name!r}: no object at {channel.s3_uri}; look for it with 'aws s3 ls {channel.s3_uri}'")
    check_names(channel, found)
    wanted = [one for one in found if not is_here(one)]
    total, missing = sum(one.size for one in found), sum(one.size for one in wanted)
    say(f"channel {channel.name}: {len(found)} objects, {amount(total)} at {channel.s3_uri}; {len(wanted)} to fetch, {amount(missing)}")
    if missing > (free := shutil.disk_usage(".").free):
        raise SmLocalError(f"channel {channel.name!r}: {amount(missing)} to fetch, and {amount(free)} free here; make room, or mount a disk at data/")
    download(channel, client, wanted, missing)
    mark = Path(channel.ready)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"{channel.s3_uri}\n", encoding="utf-8")


def remotes(channel: Channel, client) -> Iterator[Remote]:
    """Yield the objects that a channel needs: those of its prefix, or its manifest and what that names."""
    bucket, _, key = channel.s3_uri.partition("://")[2].partition("/")
    if channel.s3_type == "S3Prefix":
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
            yield from (Remote(bucket, one["Key"], one["Size"], one["LastModified"].timestamp()) for one in page.get("Contents", ())
                        if not one["Key"].endswith("/"))  # what consoles make for a folder
        return
    text = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    yield head(client, bucket, key)
    for uri in named(channel, text):
        yield head(client, *uri[5:].split("/", 1))


def named(channel: Channel, text: bytes) -> Iterable[str]:
    """Return the URIs that a manifest names. Raises SmLocalError."""
    import json

    try:
        if channel.s3_type == "ManifestFile":
            return objects.manifest_uris(text)
        entries = [json.loads(line) for line in text.decode().splitlines() if line.strip()]
        return [entry[name] for entry in entries for name in channel.attributes if name.endswith("-ref")]
    except (ValueError, KeyError) as error:
        raise SmLocalError(f"channel {channel.name!r}: {channel.s3_uri} is not a manifest ({error}); see S3DataType in the API's S3DataSource") from error


def head(client, bucket: str, key: str) -> Remote:
    """Ask S3 for one object's size and time."""
    said = client.head_object(Bucket=bucket, Key=key)
    return Remote(bucket, key, said["ContentLength"], said["LastModified"].timestamp())


def check_names(channel: Channel, found: list[Remote]) -> None:
    """Refuse keys that cannot be files here: they would leave the folder, or one is a file and another's folder."""
    keys = {one.key for one in found}
    for one in found:
        parts = one.key.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise SmLocalError(f"channel {channel.name!r}: the key {one.key!r} cannot be a file's path here; copy the object to another key")
        if any("/".join(parts[:count]) in keys for count in range(1, len(parts))):
            raise SmLocalError(f"channel {channel.name!r}: part of the key {one.key!r} is an object itself; a folder here cannot be a file too")


def is_here(one: Remote) -> bool:
    """Tell whether an object has been fetched, by size and time."""
    try:
        stat = one.path.stat()
    except OSError:
        return False
    return stat.st_size == one.size and int(stat.st_mtime) == int(one.modified)


def download(channel: Channel, client, wanted: list[Remote], total: int) -> None:
    """Fetch objects, many at once, and show how far it is."""
    progress = Progress(total)
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for task in as_completed([pool.submit(fetch_one, client, one, progress) for one in wanted]):
            asking(channel, task.result)
    except BaseException:
        progress.stop = True
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    finally:
        progress.end()
    pool.shutdown()


def fetch_one(client, one: Remote, progress: Progress) -> None:
    """Fetch one object beside its place and move it there; go on with what an earlier call has left of it."""
    part = one.path.with_name(one.path.name + objects.PART)
    part.parent.mkdir(parents=True, exist_ok=True)
    begin = part.stat().st_size if part.exists() and part.stat().st_mtime > one.modified and part.stat().st_size < one.size else 0
    wanted = {"Range": f"bytes={begin}-"} if begin else {}
    progress.add(begin)
    with part.open("ab" if begin else "wb") as file:
        if one.size:
            for block in client.get_object(Bucket=one.bucket, Key=one.key, **wanted)["Body"].iter_chunks(1 << 18):
                if progress.stop:
                    return
                file.write(block)
                progress.add(len(block))
    os.utime(part, (one.modified, one.modified))
    part.replace(one.path)


class Progress:
    """How far it is, on one line of a terminal; nothing where there is none."""

    def __init__(self, total: int) -> None:
        """Begin with nothing done."""
        self.total, self.done, self.stop, self.lock = total, 0, False, threading.Lock()
        self.shown = sys.stderr.isatty()

    def add(self, size: int) -> None:
        """Count bytes."""
        with self.lock:
            self.done += size
            if self.shown:
                print(f"\r{100 * self.done // max(self.total, 1)} % of {amount(self.total)} ", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the line away."""
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr)


def asking(channel: Channel, call):
    """Call S3; raise SmLocalError with AWS's own words and what to do."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except (BotoCoreError, ClientError, OSError) as error:
        raise SmLocalError(f"channel {channel.name!r}: {channel.s3_uri}: {error}; {hint(str(error))}") from error


def hint(said: str) -> str:
    """Return what to do about an answer of AWS's."""
    if "Unable to locate credentials" in said:
        return "'aws configure' or 'aws sso login' gets some"
    if "NoSuchBucket" in said or "NoSuchKey" in said or "Not Found" in said:
        return "correct S3Uri in the request"
    if "AccessDenied" in said or "Forbidden" in said:
        return "you need s3:ListBucket and s3:GetObject there"
    return "'make data' again goes on from here"


def amount(size: float) -> str:
    """Return bytes for people."""
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == UNITS[0] or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return ""


def say(text: str) -> None:
    """Print one line, as recipes do."""
    print(f"sm-local: {text}", file=sys.stderr, flush=True)

