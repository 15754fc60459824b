"""How each channel of a job gets into a container: the recipe's lines, and what they need besides. Pure."""
from __future__ import annotations

from . import contract
from .engine import word
from .job import Channel, Host, Job
from .machine import Engine

DATA = "/opt/ml/input/data"
AUGMENTED = "AugmentedManifestFile"


def lines(job: Job, engine: Engine, host: Host) -> list[str]:
    """Return the lines that lay out a host's channels."""
    channels = contract.host_channels(job, host)
    pipes = [f'bind "$at/pipes" {DATA}'] if has_pipes(job, host) else []
    return pipes + [line for channel in channels for line in (piped if channel.mode == "Pipe" else laid_out)(job, engine, host, channel)]


def piped(job: Job, engine: Engine, host: Host, channel: Channel) -> list[str]:
    """Return the lines that feed a Pipe channel; it has no folder in the container, as the documentation names none."""
    folder = channel.s3_uri.rpartition("/")[0] + "/"
    words = [
        "feed", channel.name,
        *(["--gzip"] if channel.compression == "Gzip" else []),
        *(["--recordio"] if channel.record_wrapper == "RecordIO" else []),
        *(["--seed", str(channel.seed)] if channel.seed is not None else []),
        *(["--attributes", ",".join(channel.attributes), "--base", folder] if channel.s3_type == AUGMENTED else []),
    ]
    return [find(job, host, channel), " ".join(map(word, words))]


def laid_out(job: Job, engine: Engine, host: Host, channel: Channel) -> list[str]:
    """Return the lines that mount a channel: a folder as it is, S3's mirror, or a view of a part of either."""
    source, before, target = word(channel.folder), [], f"{DATA}/{channel.name}"
    listed = job.settings["MANIFESTS"] == "on" and channel.mode == "File" and channel.s3_uri
    if channel.is_remote or contract.shard(job, host, channel)[1] > 1:
        whole = channel.s3_type == "S3Prefix" and contract.shard(job, host, channel)[1] == 1
        before = [find(job, host, channel), f"view_prefix {channel.name} {channel.mode}" if whole else f"view {channel.name}"]
        source = '"$view"'
    elif listed:
        before = [find(job, host, channel)]
    mount = {"cow": f"cow {source} {target} {channel.name}", "ro": f"bind {source} {target} readonly", "rw": f"bind {source} {target}"}
    return [*before, mount[mode(job, engine, channel)], *([f"list_objects {channel.name}"] if listed else [])]


def find(job: Job, host: Host, channel: Channel) -> str:
    """Return the line that says which objects are a host's."""
    part, parts = contract.shard(job, host, channel)
    manifest = f"/{channel.s3_uri.rpartition('/')[2]}" if channel.s3_type == AUGMENTED else ""
    words = ["find_objects", channel.name, channel.s3_uri if channel.is_remote else f"file:{channel.folder}{manifest}", channel.ready,
             *(["--type", channel.s3_type] if channel.is_remote and channel.s3_type != "S3Prefix" else []),
             *(["--called", channel.s3_uri] if channel.s3_uri and not channel.is_remote and job.settings["MANIFESTS"] == "on" else []),
             *(["--shard", f"{part}/{parts}"] if parts > 1 else [])]
    return " ".join(map(word, words))


def has_pipes(job: Job, host: Host) -> bool:
    """Tell whether one of a host's channels is in Pipe mode."""
    return any(channel.mode == "Pipe" for channel in contract.host_channels(job, host))


def scratch(job: Job, engine: Engine, host: Host) -> list[str]:
    """Return the folders below a host's that its channels need: for FIFOs, and for writes where the engine has no place of its own."""
    pipes = ["pipes"] if has_pipes(job, host) else []
    if engine.name == "podman":
        return pipes
    return [*pipes, *(f"cow/{channel.name}/{part}" for channel in contract.host_channels(job, host) if mode(job, engine, channel) == "cow"
                      for part in ("upper", "work"))]


def clearing_up(job: Job) -> list[str]:
    """Return the lines that remove what only the running job needed."""
    pipes = any(channel.mode == "Pipe" for channel in job.channels)
    views = any(channel.is_remote or channel.distribution == "ShardedByS3Key" or channel.s3_uri for channel in job.channels if channel.mode != "Pipe")
    return [*(["drop_pipes"] if pipes else []), *(["drop_views"] if views else [])]


def mode(job: Job, engine: Engine, channel: Channel) -> str:
    """Return how one channel is mounted."""
    return "ro" if contract.read_only(channel) or channel.mode == "Pipe" else default_mode(job, engine)


def default_mode(job: Job, engine: Engine) -> str:
    """Return cow, ro or rw: copy-on-write only where the engine can overlay a folder of this machine."""
    wanted = job.settings["CHANNELS"]
    can_overlay = engine.owns_files or engine.name in ("podman", "sandbox")
    return "ro" if wanted == "cow" and not can_overlay else wanted
