"""What the API's model leaves unsaid, mostly about several values, for each kind of job.

Pure: request → (where, what) for everything that is wrong. A rule sees only values of the right
type; None is one of the wrong type, which has been reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .shapes import PROCESSING, TRAINING

Broken = Iterator[tuple[str, str]]  # where, what

IMAGE, ALGORITHM = "AlgorithmSpecification.TrainingImage", "AlgorithmSpecification.AlgorithmName"
GROUPS, PREFERENCES = "ResourceConfig.InstanceGroups", "ResourceConfig.InstancePreferences"
KEEP_ALIVE, SPOT = "ResourceConfig.KeepAlivePeriodInSeconds", "EnableManagedSpotTraining"
RUN, WAIT = "StoppingCondition.MaxRuntimeInSeconds", "StoppingCondition.MaxWaitTimeInSeconds"
S3, FILE_SYSTEM = "DataSource.S3DataSource", "DataSource.FileSystemDataSource"
REGISTRY = "AlgorithmSpecification.TrainingImageConfig.TrainingRepositoryAccessMode"
INTERVAL, INTERVALS = (
    "ProfilerConfig.ProfilingIntervalInMilliseconds",
    (100, 200, 500, 1000, 5000, 60000),
)
MODES = {"File", "FastFile", "Pipe"}
LONGEST = 28 * 24 * 60 * 60  # seconds (API:StoppingCondition; the model itself has no maximum)

# At most one of each pair (API:AlgorithmSpecification, API:ResourceConfig, DG:train-warm-pools).
EITHER_OR = (
    (IMAGE, ALGORITHM),
    (ALGORITHM, "AlgorithmSpecification.TrainingImageConfig"),
    (GROUPS, "ResourceConfig.InstanceType"),
    (GROUPS, "ResourceConfig.InstanceCount"),
    (GROUPS, KEEP_ALIVE),
    (SPOT, KEEP_ALIVE),
    (PREFERENCES, "ResourceConfig.InstanceType"),
    (PREFERENCES, GROUPS),
    (PREFERENCES, "ResourceConfig.InstancePlacementConfig"),
    (SPOT, PREFERENCES),
)
# What a channel has, with which value (None: with any), and the only modes in which that works
# (API:Channel, API:S3DataSource, API:FileSystemDataSource, DG:model-access-training-data).
ONLY_IN = (
    ("CompressionType", "Gzip", ("Pipe",)),
    ("RecordWrapperType", "RecordIO", ("Pipe", "FastFile")),
    (f"{S3}.S3DataType", "AugmentedManifestFile", ("Pipe",)),
    (f"{S3}.S3DataType", "ManifestFile", ("File", "Pipe")),
    (f"{S3}.S3DataType", "Converse", ("File", "Pipe")),
    (FILE_SYSTEM, None, ("File",)),
)


def dig(value: Any, path: str) -> Any:
    """Return what a path of keys leads to, None where there is nothing."""
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _channels(body: dict) -> Iterator[tuple[str, Any, str]]:
    """Yield each channel's path, value and input mode: its own or the job's (API:Channel)."""
    default = dig(body, "AlgorithmSpecification.TrainingInputMode") or "File"
    for i, channel in enumerate(dig(body, "InputDataConfig") or []):
        yield f"InputDataConfig[{i}]", channel, dig(channel, "InputMode") or default


def _either_or(body: dict) -> Broken:
    """Find values that exclude each other."""
    for first, second in EITHER_OR:
        if dig(body, first) and dig(body, second):
            yield second, f"cannot be combined with {first}; remove one of them"


def _wait_only_for_spot(body: dict) -> Broken:
    """Find a wait in a job that does not wait for spot instances (API:StoppingCondition)."""
    if dig(body, WAIT) and body.get(SPOT, False) is False:
        yield WAIT, f"is for spot jobs only; write {SPOT}: true or remove it"


def _spot_waits(body: dict) -> Broken:
    """Find a spot job that does not say how long it waits (DG:model-managed-spot-training)."""
    condition = body.get("StoppingCondition", {})
    if body.get(SPOT) is True and condition is not None and "MaxWaitTimeInSeconds" not in condition:
        yield SPOT, f"is true, which needs {WAIT}; add it, at least MaxRuntimeInSeconds"


def _needs_a_vpc(body: dict) -> Broken:
    """Find what SageMaker reaches in a VPC alone, in a job without one.

    DG:your-algorithms-training-algo-running-container, DG:docker-containers-adapt-your-own-
    private-registry.
    """
    if "VpcConfig" in body:
        return
    needs = "which SageMaker reaches through a VPC; add VpcConfig"
    if dig(body, REGISTRY) == "Vpc":
        yield REGISTRY, f"is 'Vpc', a registry {needs}"
    for path, channel, _ in _channels(body):
        if dig(channel, FILE_SYSTEM) is not None:
            yield f"{path}.{FILE_SYSTEM}", f"is a file system, {needs}"


def _wait_covers_run(body: dict) -> Broken:
    """Find a wait that is shorter than the run in it (API:StoppingCondition)."""
    run, wait = dig(body, RUN), dig(body, WAIT)
    if run and wait and wait < run:
        yield WAIT, f"is {wait}; the API wants at least MaxRuntimeInSeconds, {run}"


def _run_is_not_too_long(body: dict) -> Broken:
    """Find a run that is longer than SageMaker allows."""
    if (dig(body, RUN) or 0) > LONGEST:
        yield RUN, f"is {dig(body, RUN)}; SageMaker allows at most 28 days, {LONGEST}"


def _names_differ(body: dict) -> Broken:
    """Find channels and instance groups that share a name."""
    for path, key in (("InputDataConfig", "ChannelName"), (GROUPS, "InstanceGroupName")):
        names = [dig(item, key) for item in dig(body, path) or []]
        for i, name in enumerate(names):
            if name and name in names[:i]:
                yield (
                    f"{path}[{i}].{key}",
                    f"is {name!r}, as {path}[{names.index(name)}] is; write another name",
                )


def _modes_fit(body: dict) -> Broken:
    """Find what does not work in its channel's mode; an unknown mode is reported elsewhere."""
    for path, channel, mode in _channels(body):
        for key, value, allowed in ONLY_IN:
            found = dig(channel, key)
            if found is not None and value in (None, found) and mode in MODES.difference(allowed):
                what = f"is {value!r}, which works" if value else "works"
                only = f"in {' and '.join(allowed)} mode only; the channel's InputMode is {mode}"
                yield f"{path}.{key}", f"{what} {only}"


def _one_source(body: dict) -> Broken:
    """Find channels with more than one source (API:DataSource)."""
    for path, channel, _ in _channels(body):
        sources = list(dig(channel, "DataSource") or {})
        if len(sources) > 1:
            yield f"{path}.DataSource", f"has {' and '.join(sources)}; the API takes one of them"


def _groups_exist(body: dict) -> Broken:
    """Find channels for groups that the request lacks (DG:train-heterogeneous-cluster)."""
    known = [dig(group, "InstanceGroupName") for group in dig(body, GROUPS) or []]
    for path, channel, _ in _channels(body):
        for i, name in enumerate(dig(channel, f"{S3}.InstanceGroupNames") or []):
            if name and name not in known:
                yield (
                    f"{path}.{S3}.InstanceGroupNames[{i}]",
                    f"is {name!r}; {GROUPS} has no group of that name",
                )


def _fifos_have_names_of_their_own(body: dict) -> Broken:
    """Find channels that have the name of a Pipe channel's FIFO, CHANNEL_0 and so on.

    Both lie in /opt/ml/input/data.
    """
    piped = {dig(channel, "ChannelName") for _, channel, mode in _channels(body) if mode == "Pipe"}
    for path, channel, mode in _channels(body):
        stem, _, number = (dig(channel, "ChannelName") or "").rpartition("_")
        if mode != "Pipe" and stem in piped and number.isdecimal():
            yield (
                f"{path}.ChannelName",
                f"is {dig(channel, 'ChannelName')!r}, as a FIFO of the Pipe channel {stem!r} is "
                "called; write another name",
            )


def _preferences_count_once(body: dict) -> Broken:
    """Find instance counts that are not in exactly one place (API:InstancePreference)."""
    counts = [dig(preference, "InstanceCount") for preference in dig(body, PREFERENCES) or []]
    given = sum(count is not None for count in counts)
    if counts and 0 < given < len(counts):
        yield (
            PREFERENCES,
            "has InstanceCount on only some of the preferences; "
            "write it on all of them, or once in ResourceConfig",
        )
    elif counts and bool(given) == (dig(body, "ResourceConfig.InstanceCount") is not None):
        where = "both on the preferences and" if given else "neither on the preferences nor"
        yield PREFERENCES, f"has InstanceCount {where} in ResourceConfig; write it in one place"


def _profiler_interval_is_one_of(body: dict) -> Broken:
    """Find an interval that the profiler does not have (API:ProfilerConfig)."""
    interval = dig(body, INTERVAL)
    if interval is not None and interval not in INTERVALS:
        yield INTERVAL, f"is {interval}; the API wants one of {', '.join(map(str, INTERVALS))}"


def _starts_a_program(body: dict) -> Broken:
    """Find an entrypoint whose program is ''; engines then run the image's own."""
    for path in ("AlgorithmSpecification", "AppSpecification"):
        if (dig(body, f"{path}.ContainerEntrypoint") or [None])[0] == "":
            yield (
                f"{path}.ContainerEntrypoint[0]",
                "is '', and no source tells what SageMaker runs then; name a program, or remove "
                "ContainerEntrypoint for the image's own",
            )


RULES: dict[str, tuple[Callable[[dict], Broken], ...]] = {
    TRAINING: (
        _either_or,
        _wait_only_for_spot,
        _spot_waits,
        _needs_a_vpc,
        _wait_covers_run,
        _run_is_not_too_long,
        _names_differ,
        _modes_fit,
        _one_source,
        _groups_exist,
        _fifos_have_names_of_their_own,
        _preferences_count_once,
        _profiler_interval_is_one_of,
        _starts_a_program,
    ),
    PROCESSING: (_starts_a_program,),
}


def broken_rules(body: dict, root: str = TRAINING) -> Broken:
    """Yield where and what for every rule that a request of this root shape breaks."""
    for rule in RULES.get(root, ()):
        yield from rule(body)
