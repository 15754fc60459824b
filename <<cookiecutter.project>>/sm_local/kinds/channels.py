"""How each channel of a job gets into a container: the recipe's lines, and what they need besides. Pure."""

from __future__ import annotations

from ..engine import word
from ..libexec.objects import MANIFESTS
from ..machine import Engine
from . import contract
from .job import Channel, Host, Job

DATA = "/opt/ml/input/data"
AUGMENTED = "AugmentedManifestFile"


def needs(job: Job) -> list[str]:
    """Return the lines that refuse a job whose data is not here, before anything is made."""
    return [line for channel in job.channels for line in needed(job, channel)]


def needed(job: Job, channel: Channel) -> list[str]:
    """Return those lines for one channel; a whole folder of a person's own needs none."""
    if not (channel.is_remote or channel.mode == "Pipe" or is_view(job, channel)):
        return []
    remedy = "make data" if job.file == "job.yaml" else f"make data JOB={word(job.file)}"
    uri = where(channel)
    return [
        " ".join(map(word, ["need_data", channel.name, uri, channel.ready, remedy])),
        *([f"need_python {channel.name}"] if channel.mode == "Pipe" else []),
        *(
            [f"full_prefix {channel.name} {word(uri)}"]
            if channel.mode == "FastFile" and channel.is_remote
            else []
        ),
    ]


def preparing(job: Job, engine: Engine) -> list[str]:
    """Return the lines that make, before the first of the hosts starts, what is a view of files that lie elsewhere."""
    lines = []
    for host in job.hosts:
        mine = [
            line
            for channel in contract.host_channels(job, host)
            if channel.mode != "Pipe"
            for line in prepared(job, host, channel)
        ]
        lines += [f"on_host {host.name}"] if mine and len(job.hosts) > 1 else []
        lines += mine
    return lines


def prepared(job: Job, host: Host, channel: Channel) -> list[str]:
    """Return those lines for one channel of one host."""
    made = (
        [f"{'view_prefix' if is_prefix(job, channel) else 'view'} {channel.name}"]
        if is_view(job, channel)
        else []
    )
    made += [f"list_objects {channel.name}"] if is_listed(job, channel) else []
    return [find(job, host, channel), *made] if made else []


def is_view(job: Job, channel: Channel) -> bool:
    """Tell whether a channel is not a folder of a person's own as it is: from S3, or dealt out to several hosts."""
    return channel.is_remote or is_shared_out(job, channel)


def is_shared_out(job: Job, channel: Channel) -> bool:
    """Tell whether several hosts get a part each."""
    return (
        channel.distribution == "ShardedByS3Key"
        and sum(channel in contract.host_channels(job, host) for host in job.hosts) > 1
    )


def is_prefix(job: Job, channel: Channel) -> bool:
    """Tell whether a channel shows all of a prefix, which may be one folder of the mirror."""
    return (
        channel.is_remote and channel.s3_type not in MANIFESTS and not is_shared_out(job, channel)
    )


def is_listed(job: Job, channel: Channel) -> bool:
    """Tell whether a manifest lies beside the channel; whether FastFile has one is not documented."""
    taken = f"{channel.name}-manifest" in (one.name for one in job.channels)
    return (
        job.settings["MANIFESTS"] == "on"
        and channel.mode == "File"
        and bool(channel.s3_uri)
        and not taken
    )


def lines(job: Job, engine: Engine, host: Host) -> list[str]:
    """Return the lines that lay out a host's channels."""
    channels = contract.host_channels(job, host)
    pipes = [f'bind "$at/pipes" {DATA}'] if has_data_folder(job, host) else []
    return pipes + [
        line
        for channel in channels
        for line in (piped if channel.mode == "Pipe" else laid_out)(job, engine, host, channel)
    ]


def piped(job: Job, engine: Engine, host: Host, channel: Channel) -> list[str]:
    """Return the lines that feed a Pipe channel; it has no folder in the container, as the documentation names none."""
    folder = channel.s3_uri.rpartition("/")[0] + "/"
    words = [
        "feed",
        channel.name,
        *(["--gzip"] if channel.compression == "Gzip" else []),
        *(["--recordio"] if channel.record_wrapper == "RecordIO" else []),
        *(["--seed", str(channel.seed)] if channel.seed is not None else []),
        *(
            [*(f"--attribute={name}" for name in channel.attributes), f"--base={folder}"]
            if channel.s3_type == AUGMENTED
            else []
        ),
    ]
    return [find(job, host, channel), " ".join(map(word, words))]


def laid_out(job: Job, engine: Engine, host: Host, channel: Channel) -> list[str]:
    """Return the lines that mount a channel: a folder as it is, S3's mirror, or a view of a part of either."""
    before, source, target = [], word(channel.folder), f"{DATA}/{channel.name}"
    if is_prefix(job, channel):
        before, source = (
            [
                f"view_or_folder {channel.name} {word('data/s3/' + channel.s3_uri.partition('://')[2].rstrip('/'))}"
            ],
            '"$view"',
        )
    elif is_view(job, channel):
        source = f'"$at/views/{channel.name}"'
    mount = {
        "cow": f"cow {source} {target} {channel.name}",
        "ro": f"bind {source} {target} readonly",
        "rw": f"bind {source} {target}",
    }
    listed = (
        [f'bind "$at/manifests/{channel.name}-manifest" {target}-manifest']
        if is_listed(job, channel)
        else []
    )
    return [*before, mount[mode(job, engine, channel)], *listed]


def find(job: Job, host: Host, channel: Channel) -> str:
    """Return the line that says which objects are a host's, in objects.py's words."""
    part, parts = contract.shard(job, host, channel)
    words = [
        where(channel),
        *(
            ["--type", channel.s3_type]
            if channel.is_remote and channel.s3_type != "S3Prefix"
            else []
        ),
        *(
            ["--called", channel.s3_uri]
            if not channel.is_remote and is_listed(job, channel)
            else []
        ),
        *(["--shard", f"{part}/{parts}"] if parts > 1 else []),
    ]
    return f"objects=({' '.join(map(word, words))})"


def where(channel: Channel) -> str:
    """Return where a channel's objects are found: a URI, or file: and a folder of a person's own, or the augmented manifest in it."""
    if channel.is_remote:
        return channel.s3_uri
    return f"file:{channel.folder}" + (
        f"/{channel.s3_uri.rpartition('/')[2]}" if channel.s3_type == AUGMENTED else ""
    )


def has_data_folder(job: Job, host: Host) -> bool:
    """Tell whether a host's /opt/ml/input/data itself is a mount: for FIFOs, or because there is no channel below which makes it."""
    channels = contract.host_channels(job, host)
    return not channels or any(channel.mode == "Pipe" for channel in channels)


def scratch(job: Job, engine: Engine, host: Host) -> list[str]:
    """Return the folders below a host's that its channels need: for FIFOs, and for writes where the engine has no place of its own."""
    pipes = ["pipes"] if has_data_folder(job, host) else []
    if engine.name == "podman":
        return pipes
    return [
        *pipes,
        *(
            f"cow/{channel.name}/{part}"
            for channel in contract.host_channels(job, host)
            if mode(job, engine, channel) == "cow"
            for part in ("upper", "work")
        ),
    ]


def clearing_up(job: Job) -> list[str]:
    """Return the lines that remove what only the running job needed."""
    pipes = any(has_data_folder(job, host) for host in job.hosts)
    views = any(
        is_view(job, channel) or is_listed(job, channel)
        for channel in job.channels
        if channel.mode != "Pipe"
    )
    return [*(["drop_pipes"] if pipes else []), *(["drop_views"] if views else [])]


def mode(job: Job, engine: Engine, channel: Channel) -> str:
    """Return how one channel is mounted. CHANNELS=rw is about a person's own folders: what S3 has, no job changes, and a view ends with its job."""
    if contract.read_only(channel) or channel.mode == "Pipe":
        return "ro"
    wanted = default_mode(job, engine)
    return writable(engine) if wanted == "rw" and is_view(job, channel) else wanted


def default_mode(job: Job, engine: Engine) -> str:
    """Return cow, ro or rw: copy-on-write only where the engine can overlay a folder of this machine."""
    wanted = job.settings["CHANNELS"]
    return writable(engine) if wanted == "cow" else wanted


def writable(engine: Engine) -> str:
    """Return cow where the engine can overlay a folder of this machine, else ro."""
    return "cow" if engine.owns_files or engine.name in ("podman", "sandbox") else "ro"
