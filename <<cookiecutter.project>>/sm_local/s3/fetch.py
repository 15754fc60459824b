"""`make data`: fetch what the job's S3 channels name into data/s3/BUCKET/KEY…, for all jobs.

The S3 client comes in as an argument. An object that is here with the right size and time is not
fetched again. A channel that is completely here has a mark in data/s3/.ready.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import SmLocalError
from ..kinds.channels import Channel
from ..kinds.job import Job
from ..libexec import objects
from . import transfer
from .listing import PARTS, Remote, check, remotes, split
from .wording import amount, plural, say


def connect(region: str):
    """Return an S3 client with the caller's credentials. Raises SmLocalError."""
    import boto3  # here, because only this verb needs it
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(max_pool_connections=transfer.CONNECTIONS)
    try:
        return boto3.client("s3", region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        raise SmLocalError(
            f"no S3 client: {error}; 'aws configure list' says what your AWS settings are"
        ) from error


def fetch(job: Job, client) -> None:
    """Fetch every S3 channel of a job. Raises SmLocalError; what is complete by then stays."""
    channels = [channel for channel in job.channels if channel.is_remote]
    if not channels:
        say(
            "no channel of this job comes from S3; "
            "folders of opt/ml/input/data are used as they are"
        )
        return
    try:
        with _alone():
            transfer.throw_away_parts()
            transfers = transfer.manager(client)
            for channel in channels:
                _fetch_channel(channel, client, transfers)
    except OSError as error:
        raise SmLocalError(f"data/s3: {error}") from error


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep a second `make data` waiting; the kernel unlocks however this one ends."""
    PARTS.mkdir(parents=True, exist_ok=True)
    with open(objects.MIRROR / ".lock", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another 'make data' is at work here; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_channel(channel: Channel, client, transfers) -> None:
    """Fetch one channel; its mark is gone from before the first change until all of it is here."""
    found = remotes(channel, client)
    check(channel, found)
    wanted = [one for one in found if not _is_here(one)]
    missing = sum(one.size for one in wanted)
    say(
        f"channel {channel.name}: {plural(len(found), 'object')}, "
        f"{amount(sum(one.size for one in found))} at {channel.s3_uri}; "
        f"{len(wanted)} to fetch, {amount(missing)}"
    )
    _check_room(channel, missing)
    mark = Path(channel.ready)
    if wanted:
        mark.unlink(missing_ok=True)
    _forget(channel, found)
    transfer.download(channel, transfers, wanted, missing)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"{channel.s3_uri}\n", encoding="utf-8")


def _is_here(one: Remote) -> bool:
    """Return whether an object has been fetched, judging by size and time."""
    try:
        stat = one.path.stat()
    except OSError:
        return False
    return stat.st_size == one.size and int(stat.st_mtime) == int(one.modified)


def _check_room(channel: Channel, missing: int) -> None:
    free = shutil.disk_usage(objects.MIRROR).free
    if missing > free:
        raise SmLocalError(
            f"channel {channel.name!r}: {amount(missing)} to fetch, and {amount(free)} free here; "
            "make room, or mount a disk at data/s3"
        )


def _forget(channel: Channel, found: list[Remote]) -> None:
    """Remove what S3 no longer has below a prefix, as a channel shows the folder as it is."""
    if channel.s3_type in objects.MANIFESTS:
        return
    bucket, prefix = split(channel.s3_uri)
    top, keys = objects.MIRROR / bucket, {one.key for one in found}
    gone = [key for key in objects.keys(bucket, prefix) if key not in keys]
    for key in gone:
        (top / key).unlink()
        _remove_empty(top / key, top)
    if gone:
        say(
            f"channel {channel.name}: {plural(len(gone), 'object')} no longer in S3, "
            f"removed from {top}, such as {gone[0]}"
        )


def _remove_empty(path: Path, top: Path) -> None:
    """Remove the folders below `top` that a file's removal has left empty."""
    for parent in path.parents:
        if parent == top or any(parent.iterdir()):
            return
        parent.rmdir()
