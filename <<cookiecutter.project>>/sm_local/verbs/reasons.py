"""Why a recipe has what it has: rules and their sources, for EXPLAIN=1.

The template's docs/contract.md has the rules in full. What no source settles, or what this machine
needs, is OURS. Functions of lib/ that are not here are ours too: their comments speak for them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..features.company import READERS

OURS = "ours"
SOURCES = """API: shapes of the SageMaker API model. DG: the Developer Guide. captured: files,
environments and logs of real jobs, 2019 to 2025. smdebug: its tests. TK: the sagemaker-training
toolkit 5.1.4. reports: of users. tried: on Docker. ours: no rule of SageMaker's, a choice of this
tool or a setting."""


class Rule(NamedTuple):
    """What holds, and who says so."""

    text: str
    source: str


FILES = {
    "hyperparameters.json": Rule(
        "flat, every value a string; {} when there are none", "DG, captured"
    ),
    "inputdataconfig.json": Rule(
        "a key for each channel; File for FastFile too, and never a URI", "DG, captured"
    ),
    "resourceconfig.json": Rule(
        "seven keys in this order, hosts sorted as text; two keys in a processing job", "captured"
    ),
    "metric-definition-regex.json": Rule("[] without MetricDefinitions", "captured"),
    "checkpointconfig.json": Rule("the path alone, with a CheckpointConfig", "captured"),
    "debughookconfig.json": Rule("if the request has a DebugHookConfig", "smdebug, captured"),
    "tensorboardoutputconfig.json": Rule(
        "if the request has a TensorBoardOutputConfig", "smdebug, captured"
    ),
    "trainingjobconfig.json": Rule("the request as jobs of 2020 saw it", "captured"),
    "upstreamoutputdataconfig.json": Rule("[] in jobs of 2020", "captured"),
    "init-config.json": Rule("for the platform's own agent, in jobs of 2020", "captured"),
    "processingjobconfig.json": Rule("the request with its ARN, in this order", "captured"),
}
VARIABLES = {
    "TRAINING_JOB_NAME": Rule("the job's name, case kept", "DG"),
    "TRAINING_JOB_ARN": Rule("has the name in lower case", "DG, captured"),
    "AWS_REGION": Rule("the region; AWS_DEFAULT_REGION is not set", "captured"),
    "DMLC_INTERFACE": Rule("eth0", "captured"),
    "NVIDIA_VISIBLE_DEVICES": Rule("void without a GPU", "captured"),
    "HOSTNAME": Rule("ip-10-0-…, never algo-1, which is only a name that resolves", "captured"),
    "SAGEMAKER_PROGRAM": Rule("tells a toolkit which script to run", "TK"),
    "CUDA_VISIBLE_DEVICES": Rule("keeps CUDA to the setting GPU where no engine does", OURS),
    "PATH": Rule("this machine's programs: the sandbox has no image", OURS),
    "HOME": Rule("yours: the sandbox has no image", OURS),
    "TERM": Rule("your terminal's, for the shell", OURS),
}
COMPANY = Rule("what gets a job through a company's network", OURS)
CERTIFICATES = Rule("where programs look for CA_BUNDLE's file", OURS)
VARIABLES |= dict.fromkeys(READERS, CERTIFICATES)
ENVIRONMENT = Rule("of the request's Environment, byte for byte", "API")

FILE_CHANNEL = Rule(
    "a File channel is writable, each host's own copy (here copy-on-write: your files stay)", "DG"
)
READ_ONLY = Rule(
    "read-only, as a FastFile channel is, or an ro file system; for other channels by CHANNELS=ro "
    "or because the engine cannot overlay (ours)",
    "DG, API:FileSystemDataSource",
)
YOURS = Rule("CHANNELS=rw: the job writes into your own files", OURS)
PIPES = Rule(
    "FIFOs, CHANNEL_0 and so on, instead of a channel's folder; or no channel at all", "DG"
)
CHANNEL = "/opt/ml/input/data/"
PLACES = (
    ("/opt/ml/input/config", Rule("the platform's files", "captured")),
    (
        f"{CHANNEL}.*-manifest",
        Rule("a prefix and the URIs of all objects; MANIFESTS=on", "captured"),
    ),
    (f"{CHANNEL}.*", FILE_CHANNEL),
    ("/opt/ml/input/data", PIPES),
    ("/opt/ml/model", Rule("empty at the start; its content becomes model.tar.gz", "DG")),
    (
        "/opt/ml/output",
        Rule("data/ becomes output.tar.gz, failure the FailureReason", "DG, API, captured"),
    ),
    ("/opt/ml/code", Rule("comes with the image there; here your code/, so no build", "DG, ours")),
    ("/opt/ml/config", Rule("a processing job's files", "DG:build-your-own-processing-container")),
    ("/opt/ml/processing/.*", Rule("an input or an output at its LocalPath", "API, captured")),
)
ASKED_FOR = {
    "opt/ml/checkpoints": Rule("CheckpointConfig.LocalPath, only with that key", "API, captured"),
    "$at/tensors": Rule("DebugHookConfig.LocalPath, only with that key", "smdebug, captured"),
    "$at/tensorboard": Rule(
        "TensorBoardOutputConfig.LocalPath, only with that key", "API, captured"
    ),
}

NAMES_RESOLVE = "algo-1, algo-2 and so on resolve"
OPTIONS = {
    "--rm": Rule("the container goes with the job; output/JOB keeps what it wrote", OURS),
    "--pull": Rule("never a stranger's image in the place of yours", OURS),
    "--name": Rule("one job at a time on one checkpoint folder", OURS),
    "--cidfile": Rule("the container's ID, by which the job is stopped", OURS),
    "--label": Rule("by which `make stop`, `jobs` and `clean` know what is theirs", OURS),
    "--hostname": VARIABLES["HOSTNAME"],
    "--add-host": Rule(f"{NAMES_RESOLVE}; a single host is 127.0.0.1 here (ours)", "DG"),
    "--network": Rule(
        "the job's own: EnableNetworkIsolation (DG), several hosts, credentials, NETWORK=own",
        "DG, ours",
    ),
    "--network-alias": Rule(NAMES_RESOLVE, "DG"),
    "--shm-size": Rule("SHM: no source tells its size on SageMaker", OURS),
    "--ipc": Rule("GPUs shared by MPS need the machine's own /dev/shm", OURS),
    "--cpus": Rule("LIMITS: the instance type's", OURS),
    "--memory": Rule("LIMITS: the instance type's", OURS),
    "--memory-swap": Rule("LIMITS: no swap on top", OURS),
    "--gpus": Rule("GPU, HOST_GPUS: which GPUs the host gets", OURS),
    "--device": Rule("GPU, HOST_GPUS: which GPUs the host gets", OURS),
    "--platform": Rule("Deep Learning Containers are linux/amd64; or PLATFORM", OURS),
    "${limits[@]}": Rule("NOFILE: no source tells the number of open files", OURS),
    "${credentials[@]}": Rule("served at 169.254.170.2; none with isolation", "captured, DG"),
    "${mounts[@]}": Rule(
        "what bind, cow and show_code have added above; /opt/ml itself never", "captured"
    ),
    "${terminal[@]}": Rule("a terminal for you; a job has none", OURS),
    "--publish": Rule("DEBUG_PORT, on this machine's own address alone", OURS),
    "${named[@]}": Rule("FAST: the variables above, which differ from job to job", OURS),
    "${options[@]}": Rule("FAST: the options above, which a parked container has already", OURS),
    "${starts[@]}": Rule("FAST: the image and the program above", OURS),
}
DOCKER_ARGS = Rule("yours, from DOCKER_ARGS", OURS)
ENTRYPOINT = Rule("ContainerEntrypoint replaces the image's; no `train` then", "DG")
TRAIN = Rule("the one argument where the request has neither entrypoint nor arguments", "DG")
ARGUMENTS = Rule("ContainerArguments as they are, without a shell, in place of `train`", "DG")
IMAGE = Rule("the image: its ENTRYPOINT stays where there is no other, its CMD does not", "DG")
SHELL = Rule("a shell in the place of the job's program", OURS)
PROGRAM = Rule("the sandbox has no image that has a `train`", OURS)

CALLS = {
    "start_job": Rule("no TTY, stdin at its end, no init process", "captured"),
    "pack": Rule(
        "entries without ./, owner 0/0, all hosts in one; after a failure too", "captured"
    ),
    "verdict": Rule(
        "output/failure, at most 1024 characters, is the FailureReason, else the exit code",
        "DG, API, reports",
    ),
    "view": Rule("a name is the key after the prefix, or from its base name on", "captured"),
    "view_prefix": Rule("a name is the key after the prefix, or from its base name on", "captured"),
    "list_objects": Rule(
        "the manifest beside a channel, of all objects even when sharded", "captured"
    ),
    "feed": Rule("Pipe: one FIFO for each epoch; the next comes when one is closed", "DG"),
    "full_prefix": Rule("FastFile takes no part of a name; SageMaker's words", "captured"),
    "start_credentials": OPTIONS["${credentials[@]}"],
    "own_network": OPTIONS["--network"],
    "limit_time": Rule(
        "Stopped, MaxRuntimeExceeded: as MaxRuntimeInSeconds, by MAX_SECONDS here",
        "API:StoppingCondition, API:SecondaryStatus",
    ),
}
ASSIGNED = {
    "stop_grace": Rule("seconds from SIGTERM to SIGKILL; StopTrainingJob's are 120", "API"),
    "sample": Rule("SAMPLE: the job sees a part of its data", OURS),
    "objects": Rule("a channel's objects, in the words of libexec/objects.py", OURS),
}


def place(target: str, source: str, how: str) -> Rule:
    """Return the rule of what is mounted at a path; `how` is cow, readonly or ''."""
    if source in ASKED_FOR:
        return ASKED_FOR[source]
    for pattern, rule in PLACES:
        if re.fullmatch(pattern, target):
            return channel(rule, source, how) if rule is FILE_CHANNEL else rule
    return Rule("asked for by the request", "API")


def channel(rule: Rule, source: str, how: str) -> Rule:
    """Return the rule of a channel, by how it is mounted."""
    if how == "cow":
        return rule
    return READ_ONLY if how == "readonly" else YOURS


def variable(name: str, has_value: bool = True) -> Rule:
    """Return the rule of a variable; one without a value is looked up when the recipe runs."""
    return VARIABLES.get(name, ENVIRONMENT) if has_value else COMPANY
