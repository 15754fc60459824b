"""How a training job's channels and folders get into a container: mounts, views, feeds, checks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ..libexec.objects import MANIFESTS
from ..plan import Code, Feed, Mount, Piece, Prefix, View
from .channels import Channel
from .contract import host_channels, shard
from .job import UPLOADED, Host, Job

ML = "/opt/ml"
DATA, OUTPUT = f"{ML}/input/data", f"{ML}/output"
AUGMENTED = "AugmentedManifestFile"


def layout(job: Job, host: Host) -> Iterator[Piece]:
    """Yield what is in a host's /opt/ml, which itself is never a mount (captured)."""
    yield Mount("config", f"{ML}/input/config", own=True)
    if has_data_folder(job, host):
        yield Mount("pipes", DATA, own=True)
    for channel in host_channels(job, host):
        yield from (feed if channel.mode == "Pipe" else folder)(job, host, channel)
    yield Mount("model", f"{ML}/model", own=True)
    yield Mount("output", OUTPUT, own=True)
    yield Code(f"{ML}/code")
    yield from sorted(asked_for(job), key=lambda mount: mount.target)  # the outer of two first


def asked_for(job: Job) -> Iterator[Mount]:
    """Yield the folders that the request asks for; /opt/ml/output is a mount as a whole."""
    for name, path in job.uploaded.items():
        if not is_output(path):
            yield Mount(name, path, own=True, asked_by=f"{UPLOADED[name][0]}.LocalPath")
    if job.checkpoints:
        asked_by = "CheckpointConfig.LocalPath"
        yield Mount("opt/ml/checkpoints", job.checkpoints, asked_by=asked_by)


def folders(job: Job, host: Host) -> tuple[str, ...]:
    """Return the folders to be made for a host."""
    uploaded = [
        path[len(f"{ML}/") :] if is_output(path) else name for name, path in job.uploaded.items()
    ]
    pipes = ["pipes"] if has_data_folder(job, host) else []
    return ("config", "model", "output/data", *uploaded, *pipes)


def is_output(path: str) -> bool:
    """Return whether a folder lies below /opt/ml/output."""
    return path.startswith(f"{OUTPUT}/")


def has_data_folder(job: Job, host: Host) -> bool:
    """Return whether a host's /opt/ml/input/data itself is a mount.

    It is for FIFOs, or because there is no channel whose mount would make the folder.
    """
    channels = host_channels(job, host)
    return not channels or any(channel.mode == "Pipe" for channel in channels)


def folder(job: Job, host: Host, channel: Channel) -> Iterator[Piece]:
    """Yield a channel's mount: a folder as it is, S3's mirror, or a view of a part of either."""
    target, source, own = f"{DATA}/{channel.name}", channel.folder, False
    if is_prefix(job, channel):
        path = channel.s3_uri.partition("://")[2].rstrip("/")
        yield Prefix(channel.name, f"data/s3/{path}")
        source = ""
    elif is_view(job, channel):
        source, own = f"views/{channel.name}", True
    mode = "cow" if channel.is_writable else "ro"
    yield Mount(source, target, mode, own, channel.name)
    if is_listed(job, channel):
        yield Mount(f"manifests/{channel.name}-manifest", f"{target}-manifest", own=True)


def feed(job: Job, host: Host, channel: Channel) -> Iterator[Piece]:
    """Yield the feed of a Pipe channel; it has no folder, as the documentation names none."""
    options = [
        *(["--gzip"] if channel.compression == "Gzip" else []),
        *(["--recordio"] if channel.record_wrapper == "RecordIO" else []),
        *(["--seed", str(channel.seed)] if channel.seed is not None else []),
    ]
    if channel.s3_type == AUGMENTED:
        options += [f"--attribute={name}" for name in channel.attributes]
        options.append(f"--base={channel.s3_uri.rpartition('/')[0]}/")
    yield Feed(channel.name, objects(job, host, channel), tuple(options))


def views(job: Job, host: Host) -> Iterator[View]:
    """Yield what is made before the first host starts: views of files that lie elsewhere."""
    for channel in host_channels(job, host):
        if channel.mode == "Pipe":
            continue
        if is_view(job, channel):
            function = "view_prefix" if is_prefix(job, channel) else "view"
            yield View(function, channel.name, objects(job, host, channel))
        if is_listed(job, channel):
            yield View("list_objects", channel.name, objects(job, host, channel))


def is_view(job: Job, channel: Channel) -> bool:
    """Return whether a channel is more than a local folder: from S3, or dealt out to hosts."""
    return channel.is_remote or is_shared_out(job, channel)


def is_shared_out(job: Job, channel: Channel) -> bool:
    """Return whether several hosts get a part each."""
    hosts = [host for host in job.hosts if channel in host_channels(job, host)]
    return channel.distribution == "ShardedByS3Key" and len(hosts) > 1


def is_prefix(job: Job, channel: Channel) -> bool:
    """Return whether a channel shows all of a prefix, which may be one folder of the mirror."""
    whole = channel.s3_type not in MANIFESTS and not is_shared_out(job, channel)
    return channel.is_remote and whole


def is_listed(job: Job, channel: Channel) -> bool:
    """Return whether a manifest lies next to the channel; FastFile's is not documented."""
    wanted = job.settings["MANIFESTS"] == "on" and channel.mode == "File" and channel.s3_uri
    taken = f"{channel.name}-manifest" in (one.name for one in job.channels)
    return bool(wanted) and not taken


def objects(job: Job, host: Host, channel: Channel) -> tuple[str, ...]:
    """Return which objects are a host's, in the words of libexec/objects.py."""
    part, parts = shard(job, host, channel)
    kind = channel.is_remote and channel.s3_type != "S3Prefix"
    called = not channel.is_remote and is_listed(job, channel)
    return (
        where(channel),
        *(("--type", channel.s3_type) if kind else ()),
        *(("--called", channel.s3_uri) if called else ()),
        *(("--shard", f"{part}/{parts}") if parts > 1 else ()),
    )


def where(channel: Channel) -> str:
    """Return where a channel's objects are: a URI, or file: and a local folder or manifest."""
    if channel.is_remote:
        return channel.s3_uri
    manifest = f"/{channel.s3_uri.rpartition('/')[2]}" if channel.s3_type == AUGMENTED else ""
    return f"file:{channel.folder}{manifest}"


def checks(job: Job) -> Iterator[tuple[str, ...]]:
    """Yield the commands that refuse a job whose data is not here. A local folder needs none."""
    for channel in job.channels:
        piped = channel.mode == "Pipe"
        if not (channel.is_remote or piped or is_view(job, channel)):
            continue
        named = "" if job.file == "job.yaml" else f" JOB={shlex.quote(job.file)}"
        yield ("need_data", channel.name, where(channel), channel.ready, f"make data{named}")
        if piped:
            yield ("need_python", channel.name)
        if channel.mode == "FastFile" and channel.is_remote:
            yield ("full_prefix", channel.name, where(channel))
