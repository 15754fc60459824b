"""`make data`: fetch what the job's S3 channels name and is not here, into data/s3/BUCKET/KEY…, a mirror that all jobs share.

The S3 client comes in as an argument. An object that is here with the right size and time is not fetched again; a half
fetched one lies in data/s3/.parts until it is whole. A channel that is here whole has a mark in data/s3/.ready.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import SmLocalError
from ..kinds.channels import Channel
from ..kinds.job import Job
from ..libexec import objects

AT_ONCE = 16  # S3 answers many calls at once; a single one seldom fills a line
TRIES = 4  # of one object, each from where the last one broke off
BLOCK = 1 << 18  # bytes
LONGEST_NAME = 255  # bytes, on the file systems of Linux and macOS
UNITS = ("bytes", "KB", "MB", "GB", "TB")
PARTS = objects.MIRROR / ".parts"
SHAPE_ERRORS = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY)


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
        """Return where it lies, or will lie, here."""
        return objects.MIRROR / self.bucket / self.key

    @property
    def part(self) -> Path:
        """Return where it lies until it is whole: apart, for a folder of the mirror may be a running job's channel."""
        return PARTS / f"{self.stem}{digest(self.etag)}"

    @property
    def stem(self) -> str:
        """Return how the names of its parts begin, whatever its content was."""
        return digest(f"{self.bucket}/{self.key}") + "-"


def digest(text: str) -> str:
    """Return a short name for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def connect(region: str):
    """Return an S3 client of the caller's. Raises SmLocalError."""
    import boto3  # here, because only this verb needs it
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.client("s3", region_name=region, config=Config(max_pool_connections=AT_ONCE))
    except (BotoCoreError, ValueError) as error:
        raise SmLocalError(
            f"no S3 client: {error}; 'aws configure list' says what your AWS settings are"
        ) from error


def fetch(job: Job, client) -> None:
    """Fetch every S3 channel of a job. Raises SmLocalError; what is complete stays, and the next call goes on from there."""
    channels = [channel for channel in job.channels if channel.is_remote]
    if not channels:
        say(
            "no channel of this job comes from S3; folders of opt/ml/input/data are used as they are"
        )
        return
    try:
        with alone():
            for channel in channels:
                fetch_channel(channel, client)
    except OSError as error:
        raise SmLocalError(f"data/s3: {error}") from error


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep a second `make data` waiting; the kernel lets go however this one ends."""
    PARTS.mkdir(parents=True, exist_ok=True)
    with open(objects.MIRROR / ".lock", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another 'make data' is at work here; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fetch_channel(channel: Channel, client) -> None:
    """Fetch one channel, say what it is first, and mark it as whole."""
    found = asking(channel, lambda: remotes(channel, client))
    check(channel, found)
    wanted = [one for one in found if not is_here(one)]
    total, missing = sum(one.size for one in found), sum(one.size for one in wanted)
    say(
        f"channel {channel.name}: {plural(len(found), 'object')}, {amount(total)} at {channel.s3_uri}; {len(wanted)} to fetch, {amount(missing)}"
    )
    free = shutil.disk_usage(objects.MIRROR).free
    if missing > free:
        raise SmLocalError(
            f"channel {channel.name!r}: {amount(missing)} to fetch, and {amount(free)} free here; make room, or mount a disk at data/s3"
        )
    mark = Path(channel.ready)
    if wanted:
        mark.unlink(missing_ok=True)  # until all of it is here again
    forget(channel, found)
    download(channel, client, wanted, missing)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"{channel.s3_uri}\n", encoding="utf-8")


def remotes(channel: Channel, client) -> list[Remote]:
    """Return the objects that a channel needs: those of its prefix, or its manifest and what that names, each once."""
    bucket, key = split(channel.s3_uri)
    if channel.s3_type not in objects.MANIFESTS:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        return [
            Remote(bucket, one["Key"], one["Size"], one["LastModified"].timestamp(), one["ETag"])
            for page in pages
            for one in page.get("Contents", ())
            if not one["Key"].endswith("/")
        ]  # what consoles make for a folder
    text = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    found: dict[str, Remote] = {}

    def head(uri: str) -> None:
        found[uri] = asking(channel, lambda: look_up(client, uri), uri)

    uris = list(dict.fromkeys([channel.s3_uri, *named(channel, text)]))
    at_once(head, uris, threading.Event())
    return [found[uri] for uri in uris]


def split(uri: str) -> tuple[str, str]:
    """Return the bucket and the key of a URI."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def look_up(client, uri: str) -> Remote:
    """Ask S3 for one object's size, time and ETag."""
    bucket, key = split(uri)
    said = client.head_object(Bucket=bucket, Key=key)
    return Remote(
        bucket, key, said["ContentLength"], said["LastModified"].timestamp(), said["ETag"]
    )


def named(channel: Channel, text: bytes) -> Iterable[str]:
    """Return the URIs that a manifest names. Raises SmLocalError."""
    try:
        if channel.s3_type == "ManifestFile":
            return objects.manifest_uris(text)
        entries = [json.loads(line) for line in text.decode().split("\n") if line.strip()]
        uris = [
            entry[name] for entry in entries for name in channel.attributes if name.endswith("-ref")
        ]
        for uri in uris:
            if not isinstance(uri, str) or not uri.startswith("s3://"):
                raise ValueError(f"{uri!r} is no S3 URI")
        return uris
    except KeyError as error:
        raise SmLocalError(
            f"channel {channel.name!r}: {channel.s3_uri} has a line without the attribute {error}; see AttributeNames in the request"
        ) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise SmLocalError(
            f"channel {channel.name!r}: {channel.s3_uri} is not a manifest ({error}); see S3DataType in the API's S3DataSource"
        ) from error


def check(channel: Channel, found: list[Remote]) -> None:
    """Refuse what `make train` could not show. Raises SmLocalError."""
    bucket, prefix = split(channel.s3_uri)
    if not found:
        raise SmLocalError(
            f"channel {channel.name!r}: no object at {channel.s3_uri}; look for it with 'aws s3 ls {channel.s3_uri}'"
        )
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    if channel.mode == "FastFile" and not any(
        one.key == prefix or one.key.startswith(folder) for one in found
    ):
        raise SmLocalError(
            f"channel {channel.name!r}: For FastFile mode, partial S3 prefix is not supported. "
            f"S3 prefix has to end with a full file or folder ({channel.s3_uri})"
        )
    problem = misfit(found, ignores_case(Path()))
    if problem:
        raise SmLocalError(f"channel {channel.name!r}: {problem}")


def misfit(found: list[Remote], one_case: bool) -> str:
    """Return why keys cannot be files here: one would leave its folder, or two would be one, or one a file and another's folder."""
    import unicodedata

    def here(text: str) -> str:
        return unicodedata.normalize("NFC", text).casefold() if one_case else text

    keys: dict[str, str] = {}
    for one in found:
        first = keys.setdefault(f"{one.bucket}/{here(one.key)}", one.key)
        if first != one.key:
            return f"the keys {first!r} and {one.key!r} are one file on this machine's disk; copy one of the objects to another key"
    for one in found:
        parts = [one.bucket, *one.key.split("/")]
        if any(
            part in ("", ".", "..") or "\0" in part or len(part.encode()) > LONGEST_NAME
            for part in parts
        ):
            return (
                f"the key {one.key!r} cannot be a file's path here; copy the object to another key"
            )
        if any(here("/".join(parts[:count])) in keys for count in range(2, len(parts))):
            return f"part of the key {one.key!r} is an object itself; a folder here cannot be a file too"
    return ""


def ignores_case(folder: Path) -> bool:
    """Tell whether a folder takes names that differ in case alone for one, as macOS does."""
    return (folder / "Makefile").exists() and (folder / "mAKEFILE").exists()


def is_here(one: Remote) -> bool:
    """Tell whether an object has been fetched, by size and time."""
    try:
        stat = one.path.stat()
    except OSError:
        return False
    return stat.st_size == one.size and int(stat.st_mtime) == int(one.modified)


def forget(channel: Channel, found: list[Remote]) -> None:
    """Remove from the mirror what S3 no longer has below a prefix: a channel shows the folder as it is."""
    if channel.s3_type in objects.MANIFESTS:
        return
    bucket, prefix = split(channel.s3_uri)
    top, keys = objects.MIRROR / bucket, {one.key for one in found}
    gone = [key for key in objects.keys(bucket, prefix) if key not in keys]
    for key in gone:
        (top / key).unlink()
        for parent in (top / key).parents:
            if parent == top or any(parent.iterdir()):
                break
            parent.rmdir()
    if gone:
        say(
            f"channel {channel.name}: {plural(len(gone), 'object')} no longer in S3, removed from {top}, such as {gone[0]}"
        )


def download(channel: Channel, client, wanted: list[Remote], total: int) -> None:
    """Fetch objects, many at once, and show how far it is."""
    progress = Progress(total)
    parts = {one.part.name for one in wanted}
    stems = {one.stem for one in wanted}
    for name in os.listdir(PARTS):
        if name[: name.find("-") + 1] in stems and name not in parts:
            (PARTS / name).unlink()  # of what the object was before
    try:
        at_once(
            lambda one: asking(channel, lambda: fetch_one(client, one, progress), one.path),
            wanted,
            progress.stop,
        )
    finally:
        progress.end()


def at_once(work, items: Iterable, stop: threading.Event) -> None:
    """Call `work` for each item, many at a time; raise the first error. Ctrl-C does not wait for a call that hangs."""
    todo, lock, errors = iter(items), threading.Lock(), []

    def loop() -> None:
        while not stop.is_set():
            with lock:
                item = next(todo, None)
            if item is None:
                return
            try:
                work(item)
            except BaseException as error:  # raised again below
                errors.append(error)
                stop.set()

    threads = [threading.Thread(target=loop, daemon=True) for _ in range(AT_ONCE)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        stop.set()
        deadline = time.monotonic() + 2
        for thread in threads:
            if thread.ident:
                thread.join(max(0, deadline - time.monotonic()))
        raise
    if errors:
        raise errors[0]


def fetch_one(client, one: Remote, progress: Progress) -> None:
    """Fetch one object apart and move it to its place; go on where a broken line, or an earlier call, has left it."""
    from botocore.exceptions import BotoCoreError

    counted = 0
    for tries in range(1, TRIES + 1):
        begin = one.part.stat().st_size if one.part.exists() else 0
        progress.add(begin - counted)
        counted = begin
        try:
            with one.part.open("ab") as file:
                for block in blocks(client, one, begin):
                    if progress.stop.is_set():
                        return
                    file.write(block)
                    progress.add(len(block))
                    counted += len(block)
            break
        except BotoCoreError:
            if tries == TRIES or progress.stop.wait(tries):
                raise
    os.utime(one.part, (one.modified, one.modified))
    one.path.parent.mkdir(parents=True, exist_ok=True)
    one.part.replace(one.path)


def blocks(client, one: Remote, begin: int) -> Iterable[bytes]:
    """Return what is missing of an object, provided that it is still the one that was listed."""
    if begin == one.size:
        return ()
    rest = {"Range": f"bytes={begin}-"} if begin else {}
    return client.get_object(Bucket=one.bucket, Key=one.key, IfMatch=one.etag, **rest)[
        "Body"
    ].iter_chunks(BLOCK)


class Progress:
    """How far it is, on one line of a terminal; nothing where there is none."""

    def __init__(self, total: int) -> None:
        """Begin with nothing done."""
        self.total, self.done, self.shown_at = total, 0, 0.0
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.shown = sys.stderr.isatty()

    def add(self, size: int) -> None:
        """Count bytes; show them ten times a second."""
        with self.lock:
            self.done += size
            if self.shown and time.monotonic() - self.shown_at > 0.1:
                self.shown_at = time.monotonic()
                print(
                    f"\r\033[K{100 * self.done // max(self.total, 1)} % of {amount(self.total)} ",
                    end="",
                    file=sys.stderr,
                    flush=True,
                )

    def end(self) -> None:
        """Take the line away."""
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr)


def asking(channel: Channel, call, what: object = ""):
    """Call S3; raise SmLocalError with AWS's own words and what to do."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except (BotoCoreError, ClientError, OSError) as error:
        raise SmLocalError(
            f"channel {channel.name!r}: {what or channel.s3_uri}: {error}; {hint(error)}"
        ) from error


def hint(error: Exception) -> str:
    """Return what to do about an answer of AWS's, or of this machine's disk."""
    said = str(error)
    if isinstance(error, OSError) and error.errno in SHAPE_ERRORS:
        return "a folder here cannot be a file too: remove it from data/s3, or copy the object to another key"
    for words, what in HINTS:
        if any(word in said for word in words):
            return what
    return "'make data' again goes on from here"


HINTS = (
    (
        ("Unable to locate credentials", "Partial credentials"),
        "'aws configure' or 'aws sso login' gets some",
    ),
    (("Expired", "has expired", "SSO"), "'aws sso login' gets new credentials"),
    (
        ("InvalidAccessKeyId", "SignatureDoesNotMatch"),
        "'aws configure list' says which credentials are used",
    ),
    (("NoSuchBucket", "Invalid bucket name"), "correct S3Uri in the request"),
    (("NoSuchKey", "Not Found"), "correct S3Uri in the request, or what the manifest names"),
    (
        ("AccessDenied", "Forbidden"),
        "you need s3:ListBucket and s3:GetObject there, and kms:Decrypt for its key if it has one",
    ),
    (("InvalidObjectState",), "it is archived; restore it first: 'aws s3api restore-object'"),
    (("PreconditionFailed",), "it changed meanwhile; 'make data' again fetches what it is now"),
    (
        ("Could not connect", "Connect timeout", "Proxy"),
        "check the network, the proxy and AWS_ENDPOINT_URL",
    ),
)


def amount(size: float) -> str:
    """Return bytes for people."""
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == UNITS[0] or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return ""


def plural(count: int, noun: str) -> str:
    """Return so many of something."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def say(text: str) -> None:
    """Print one line, as recipes do."""
    print(f"sm-local: {text}", file=sys.stderr, flush=True)
