"""Judge how far a container here is what SageMaker gives: run probe.sh in any image, by the recipes that people run.

usage: python -m sm_local.conform [--json]    IMAGE, ENGINE and the other settings come from the environment, as for every verb

A check is a number, what SageMaker gives, and a judge: a pure function of what the probe saw. It returns what was seen when that is as
there, raises Differs with what was seen when it is not, and Untold with the reason when nobody can tell here. Exits with 1 when
something differs. docs/contract.md of the template has the sources; the probe's requests are good for SageMaker itself.
"""
from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import api, contract, machine, recipe, settings
from . import engine as engines
from . import job as jobs
from .errors import SmLocalError
from .machine import Engine

PROBE = "/opt/ml/input/data/probe/probe.sh"
ARGUMENTS = ["$HOME", "two words", "--flag"]
ENVIRONMENT = {"LINES_AND_SIGNS": "a\nb=c 'd' \"e\" $f `g` \\h é", "LONG": "x" * 512}
HYPERPARAMETERS = {"epochs": "3", "name": "it's \"quoted\"", "flag": "true"}
SHELLS = ("sh", "bash", "dash", "ash", "busybox", "env", "tini", "dumb-init")  # an ENTRYPOINT of these may run what it is given
LONGEST = 60  # seconds a job may take
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIDCONFORM", "AWS_SECRET_ACCESS_KEY": "conform", "AWS_SESSION_TOKEN": "conform", "AWS_EC2_METADATA_DISABLED": "true"}
OBJECTS = {"p/a": b"1", "p/deep/b": b"2", "q/a": b"1", "q/deep/b": b"2", "data/train-data.csv": b"3", "data/train/x": b"4", "data/other": b"5",
           "one/file": b"6", "few/one": b"7", **{f"many/{n}": b"%d" % n for n in range(5)}, "zip/a": gzip.compress(b"first"), "zip/b": gzip.compress(b"second"),
           "list.manifest": b'[{"prefix": "s3://bkt/p/"}, "deep/b", "a"]', "bad.manifest": b"{}"}
THREE = {"hyperparameters.json", "inputdataconfig.json", "resourceconfig.json", "metric-definition-regex.json"}


class Differs(Exception):
    """What was seen is not what SageMaker gives."""


class Untold(Exception):
    """Why nobody can tell here."""


@dataclass(frozen=True)
class Run:
    """One job of the probe: its exit status, what the recipe said, its folder, and why it was not run."""

    status: int = 0
    said: str = ""
    folder: Path = Path()
    untold: str = ""

    def seen(self, name: str, host: str = "") -> str:
        """Return what the probe wrote to a file."""
        if self.untold:
            raise Untold(self.untold)
        path = self.folder / host / "output/data/seen" / name
        if not path.exists():
            started = (path.parent / "argv").exists()
            raise (Differs(f"the probe did not get so far: {self.last_words()}") if started else Untold(f"the probe did not run: {self.last_words()}"))
        return path.read_bytes().decode("utf-8", "surrogateescape")

    def last_words(self) -> str:
        """Return what the job said last, or what the recipe said of it."""
        if self.status == 127:
            return "no /bin/sh in the image"
        lines = self.said.splitlines() or [""]
        return [*lines[-1:], *(line for line in lines if not line.startswith("sm-local: "))][-1].replace("sm-local: ", "")

    def words(self, name: str, host: str = "") -> list[str]:
        """Return the words of a file that has a NUL behind each."""
        return self.seen(name, host).split("\0")[:-1]

    def lines(self, name: str, host: str = "") -> list[str]:
        """Return a file's lines."""
        return self.seen(name, host).splitlines()


@dataclass(frozen=True)
class Image:
    """What an image says of itself; nothing in the sandbox."""

    entrypoint: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    environment: tuple[str, ...] = ()  # NAME=value

    @property
    def path(self) -> str:
        """Return the folder in which a program is looked for first."""
        return next((text[5:].split(":")[0] for text in self.environment if text.startswith("PATH=/")), "/usr/local/bin")

    @property
    def takes_no_words(self) -> bool:
        """Tell whether the ENTRYPOINT is a shell's text that leaves out what it is given."""
        shell, dash, text = (*self.entrypoint, "", "", "")[:3]
        return shell.endswith("sh") and dash == "-c" and not re.search(r"\$\{?[@*1]", text)

    @property
    def program(self) -> str:
        """Return the ENTRYPOINT's program, '' where that is a shell, which may run what it is given."""
        return "" if not self.entrypoint or self.entrypoint[0].rpartition("/")[2] in SHELLS else self.entrypoint[0]


@dataclass(frozen=True)
class Context:
    """All that judges look at."""

    runs: dict[str, Run]
    place: Path
    engine: Engine
    values: dict[str, str]
    image: Image


def same(seen: object, there: object) -> str:
    """Return what was seen, if it is what SageMaker gives."""
    if seen != there:
        raise Differs(f"{short(seen)}, not {short(there)}")
    return short(seen)


def short(value: object) -> str:
    """Return a value for a table's cell."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=sorted)
    text = text.strip().replace("\n", " ")
    return text if len(text) <= 90 else f"{text[:60]}…{text[-25:]}"


def refused(place: Path, request: dict, words: str) -> str:
    """Return that a request is refused before a job starts, for this reason."""
    path = place / "refused.json"
    path.write_text(json.dumps(request))
    try:
        api.read(path)
    except SmLocalError as error:
        if words in str(error):
            return f"refused ({words})"
        raise Differs(f"refused, but: {error}") from error
    raise Differs(f"accepted, though {words}")


# The judges, in the order of the checks


def train_word(c: Context) -> str:
    words = c.runs["train"].words("argv")
    after_entrypoint(c, [*words[:-1], words[-1].rpartition("/")[2]], ["train"])  # the kernel makes a script's name its path
    return " ".join(words)


def after_entrypoint(c: Context, words: list[str], given: list[str]) -> str:
    """Return the command line, if it is the image's ENTRYPOINT and what it is given; a shell may have become just that."""
    wanted = given if c.image.entrypoint and not c.image.program else [*c.image.entrypoint[1:], *given]
    same(words[-len(wanted) :], wanted)
    return " ".join(words)


def entrypoint_alone(c: Context) -> str:
    return same(c.runs["entrypoint"].words("argv"), ["/bin/sh", PROBE])


def arguments_alone(c: Context) -> str:
    return after_entrypoint(c, c.runs["arguments"].words("argv"), ["/bin/sh", PROBE, "$HOME"])


def both_exactly(c: Context) -> str:
    return same(c.runs["both"].words("argv"), ["/bin/sh", PROBE, *ARGUMENTS])


def list_limits(c: Context) -> str:
    for words, value in (("has 101 items", ["x"] * 101), ("has 0 items", []), ("has 257 characters", ["x" * 257])):
        for key in ("ContainerEntrypoint", "ContainerArguments"):
            refused(c.place, {"AlgorithmSpecification": {key: value}}, words)
    return "0 and 101 items, 257 characters: refused"


def no_program(c: Context) -> str:
    run = c.runs["no-program"]
    if run.untold:
        raise Untold(run.untold)
    found = re.search(r"AlgorithmError: .*, exit code: 12[67]", run.said)
    if not found or run.status not in (126, 127):
        raise Differs(f"exit code {run.status}: {run.said.strip().splitlines()[-1]}")
    return found[0]


def no_terminal(c: Context) -> str:
    run = c.runs["entrypoint"]
    return same([run.lines("tty"), run.lines("stdin"), run.words("argv")[0]], [["no"], ["end"], "/bin/sh"]) and "no TTY, stdin at its end, no init process"


def who_and_where(c: Context) -> str:
    run = c.runs["entrypoint"]
    if c.image.user not in ("", "root", "0"):
        raise Untold(f"the image's USER is {c.image.user}; whether SageMaker honours it is not documented")
    home = run.seen("home").strip()  # Docker's is / where the image has no passwd file that says otherwise
    return same([run.seen("uid").strip(), home, run.seen("pwd").strip()], ["0", "/" if home == "/" else "/root", c.image.workdir or "/"])


def parts_are_mounts(c: Context) -> str:
    targets = [line.split()[1] for line in c.runs["entrypoint"].lines("mounts")]
    return same([path for path in targets if path in ("/opt/ml", "/opt/ml/code")], []) and "/opt/ml is no mount, /opt/ml/code the image's own"


def the_tree(c: Context) -> str:
    run, wanted = c.runs["entrypoint"], ["/opt/ml/input/config", "/opt/ml/input/data", "/opt/ml/model", "/opt/ml/output/data"]
    same([path for path in wanted if path not in run.lines("writable")], [])
    return same([path for path in run.lines("tree") if path.startswith(("/opt/ml/model/", "/opt/ml/output/data/"))], []) and "there, writable, empty"


def hyperparameters(c: Context) -> str:
    same(c.runs["entrypoint"].seen("config/hyperparameters.json"), "{}")
    refused(c.place, {"HyperParameters": {f"k{n}": "" for n in range(101)}}, "has 101 ")
    refused(c.place, {"HyperParameters": {"k": "x" * 2501}}, "has 2501 characters")
    refused(c.place, {"HyperParameters": {"k": 3}}, "the API wants a string")
    return same(c.runs["both"].seen("config/hyperparameters.json"), contract.compact(HYPERPARAMETERS))


def input_data_config(c: Context) -> str:
    entry = '{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None"}'
    there = f'{{"probe":{entry},"train":{{"ContentType":"text/csv",{entry[1:]},"fast":{entry},"disk":{entry}}}'
    return same(c.runs["both"].seen("config/inputdataconfig.json"), there)


def resource_config(c: Context) -> str:
    job = loaded(c.place, c.values, {"ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 11}})
    config = json.loads(contract.config_files(job, job.hosts[1])["resourceconfig.json"])
    same(config["hosts"][:4] + [config["current_host"]], ["algo-1", "algo-10", "algo-11", "algo-2", "algo-2"])
    return same(c.runs["entrypoint"].seen("config/resourceconfig.json"), (
        '{"current_host":"algo-1","current_instance_type":"ml.c5.xlarge","current_group_name":"homogeneousCluster","hosts":["algo-1"],"instance_groups":'
        '[{"instance_group_name":"homogeneousCluster","instance_type":"ml.c5.xlarge","hosts":["algo-1"]}],"network_interface_name":"eth0","topology":null}'))


def groups(c: Context) -> str:
    run = c.runs["hosts"]
    configs = [json.loads(run.seen("config/resourceconfig.json", host)) for host in ("algo-1", "algo-2")]
    same([config["current_group_name"] for config in configs], ["one", "two"])
    same(sorted(name for group in configs[0]["instance_groups"] for name in group["hosts"]), configs[0]["hosts"])
    return same(["/opt/ml/input/data/only" in run.lines("tree", host) for host in ("algo-1", "algo-2")], [False, True]) and "the channel is on algo-2 alone"


def config_files(c: Context) -> str:
    found = {}
    for name in ("entrypoint", "both"):
        c.runs[name].seen("argv")  # whether it ran at all
        found[name] = {path.name for path in (c.runs[name].folder / "output/data/seen/config").iterdir()}
    same(found["entrypoint"], THREE)
    asked = found["both"]
    for name in asked:
        json.loads(c.runs["both"].seen(f"config/{name}"))
    return same(asked - THREE, {"checkpointconfig.json", "debughookconfig.json", "tensorboardoutputconfig.json"})


def environment(c: Context) -> dict[str, str]:
    return dict(word.split("=", 1) for word in c.runs["both"].words("environ"))


def platform_variables(c: Context) -> str:
    values = environment(c)
    name = c.runs["both"].folder.name
    same([values.get("TRAINING_JOB_NAME"), values.get("AWS_REGION")], [name, c.values["REGION"]])
    own = {text.partition("=")[0] for text in c.image.environment}  # what the image sets is there on SageMaker, too
    same([key for key in values if (key.startswith("SM_") or key == "AWS_DEFAULT_REGION") and key not in own], [])
    return same(values.get("TRAINING_JOB_ARN", "").rpartition("/")[2], name.lower())


def user_variables(c: Context) -> str:
    same({key: environment(c).get(key) for key in ENVIRONMENT}, ENVIRONMENT)
    refused(c.place, {"Environment": {f"K{n}": "" for n in range(101)}}, "has 101 ")
    refused(c.place, {"Environment": {"K": "x" * 513}}, "has 513 characters")
    refused(c.place, {"Environment": {"1K": ""}}, "1K")
    return "byte for byte; 101 entries, 513 characters, a key 1K: refused"


def credentials(c: Context) -> str:
    given = {word.partition("=")[0] for word in c.runs["isolated"].words("environ")} if not c.runs["isolated"].untold else set()
    same(sorted(name for name in given if name.startswith("AWS_C")), [])
    run = c.runs["credentials"]
    names = [word.partition("=")[0] for word in run.words("environ") if word.startswith("AWS_CONTAINER_CREDENTIALS_")]
    same(len(names), 1)
    if not run.seen("credentials").strip():
        raise Untold("nothing in the image speaks HTTP: no wget, curl or python3")
    return same(sorted(run.seen("credentials").split()), ['"AccessKeyId":', '"Expiration":', '"SecretAccessKey":', '"Token":']) and f"served by {names[0]}"


def names(c: Context) -> str:
    run, several = c.runs["entrypoint"], c.runs["hosts"]
    name = run.seen("hostname").strip()
    if not re.fullmatch(r"ip-10-0-\d+-\d+\.(ec2|[a-z0-9-]+\.compute)\.internal", name):
        raise Differs(f"the host's name is {name}")
    same(run.lines("resolved"), ["algo-1"])
    if not several.untold:
        same([several.lines("resolved", host) for host in ("algo-1", "algo-2")], [["algo-1", "algo-2"]] * 2)
    return f"{name}; algo-N resolves" + (" (one host: " + several.untold + ")" if several.untold else " on every host")


def files(c: Context, channel: str, run: str = "data", host: str = "") -> list[str]:
    """Return the files of one channel, as the probe listed them."""
    return [line[2:] for line in c.runs[run].lines(f"files-{channel}", host)]


def prefixes(c: Context) -> str:
    same(files(c, "whole"), files(c, "noslash"))
    return same(files(c, "whole"), ["a", "deep/b"])


def partial_prefixes(c: Context) -> str:
    same(files(c, "single"), ["file"])
    return same(files(c, "partial"), ["train-data.csv", "x"])


def manifests(c: Context) -> str:
    run = c.runs["bad-manifest"]
    if not run.untold and "it must be a list that begins with" not in run.said:
        raise Differs(f"a bad manifest: {run.said.strip()}")
    return same(files(c, "listed"), ["p/a", "p/deep/b"])


def manifest_files(c: Context) -> str:
    same(c.runs["data"].seen("manifest-whole"), "p/\ns3://bkt/p/a\ns3://bkt/p/deep/b\n")
    if c.runs["hosts"].untold:
        return "as there (one host)"
    return same(c.runs["hosts"].seen("manifest-many", "algo-2"), "many/\n" + "".join(f"s3://bkt/many/{n}\n" for n in range(5)))


def shards(c: Context) -> str:
    both = [files(c, "many", "hosts", host) for host in ("algo-1", "algo-2")]
    same(sorted(both[0] + both[1]), [str(n) for n in range(5)])
    same(abs(len(both[0]) - len(both[1])) <= 1, True)
    same([files(c, "few", "hosts", host) for host in ("algo-1", "algo-2")], [["one"], []])
    return " and ".join(",".join(part) for part in both)


def fast_file(c: Context) -> str:
    run = c.runs["fast-partial"]
    same("/opt/ml/input/data/fast/" in c.runs["both"].lines("writable"), False)
    if not run.untold and "For FastFile mode, partial S3 prefix is not supported." not in run.said:
        raise Differs(f"a partial prefix: {run.said.strip()}")
    return "read-only; a partial prefix is refused"


def pipes(c: Context) -> str:
    run = c.runs["pipe"]
    same([run.seen("early-stream"), run.seen("epoch-stream-1"), run.seen("epoch-stream-2")], ["012", "01234", "01234"])
    return same([path for path in run.lines("tree") if path.startswith("/opt/ml/input/data/stream")][:1], ["/opt/ml/input/data/stream_0"])


def framed_pipes(c: Context) -> str:
    run = c.runs["pipe"]
    record = b"".join(struct.pack("<II", 0xCED7230A, 1) + b"%d\0\0\0" % n for n in range(5)).decode("utf-8", "surrogateescape")
    same(run.seen("epoch-records-1"), record)
    return same(run.seen("epoch-zipped-1"), "firstsecond")


def toolkits(c: Context) -> str:
    run = c.runs["toolkit"]
    own = [word.partition("=")[0] for word in run.words("own-environ")]
    same([name for name in ("SM_HOSTS", "SM_CURRENT_HOST", "SM_CHANNEL_PROBE", "SM_MODEL_DIR", "SM_NUM_CPUS", "SM_TRAINING_ENV") if name not in own], [])
    same([run.status, "ExitCode 7" in run.said], [1, True])
    return f"{sum(name.startswith('SM_') for name in own)} SM_* variables; exit code 7 of a script is 1, and ExitCode 7 in the reason"


CHECKS: list[tuple[int, str, Callable[[Context], str]]] = [
    (1, "without entrypoint and arguments the command is the image's ENTRYPOINT and `train`", train_word),
    (2, "ContainerEntrypoint alone: that list, without `train` or the image's CMD", entrypoint_alone),
    (3, "ContainerArguments alone: the image's ENTRYPOINT and they, without `train`", arguments_alone),
    (4, "both: both lists, no shell expands them", both_exactly),
    (5, "lists of 1 to 100 items of at most 256 characters", list_limits),
    (6, "a program that is not there: Failed, AlgorithmError: …, exit code: 127", no_program),
    (7, "no TTY, stdin at its end, no init process", no_terminal),
    (8, "root, HOME=/root, the image's WORKDIR", who_and_where),
    (9, "/opt/ml is no mount: what an image has in /opt/ml/code stays visible", parts_are_mounts),
    (10, "input/config, input/data, model, output/data: there, writable, the last two empty", the_tree),
    (11, "hyperparameters.json: flat, strings, {} when none; the API's limits", hyperparameters),
    (12, "inputdataconfig.json: exact keys, FastFile as File, no URI", input_data_config),
    (13, "resourceconfig.json: seven keys, hosts sorted as text", resource_config),
    (14, "instance groups: each host its own, channels where they belong", groups),
    (15, "other config files only when asked for", config_files),
    (16, "TRAINING_JOB_NAME, _ARN in lower case, AWS_REGION; no SM_*, no AWS_DEFAULT_REGION", platform_variables),
    (17, "Environment byte for byte; the API's limits", user_variables),
    (18, "credentials from the container endpoint; none with network isolation", credentials),
    (19, "the host is called ip-10-0-…; algo-N resolves everywhere", names),
    (20, "s3://b/p and s3://b/p/ give the same tree", prefixes),
    (21, "a partial prefix keeps base names; one object is one file", partial_prefixes),
    (22, "ManifestFile: prefix and rest, the key's path kept; a bad one is refused", manifests),
    (23, "<channel>-manifest: the prefix and all objects, also when sharded", manifest_files),
    (24, "shards: all objects, none twice, sizes differ by at most one; a host may get none", shards),
    (25, "FastFile is read-only, and takes no partial prefix", fast_file),
    (26, "Pipe: <channel>_0, _1, …; closing early begins the next epoch; no folder", pipes),
    (27, "Pipe: Gzip is inflated, RecordIO frames each object", framed_pipes),
    (40, "sagemaker-training, where the image has it, runs a script; its exit code N is 1 and `ExitCode N`", toolkits),
]


# The probe's jobs


def s3_channel(name: str, uri: str, **more: object) -> dict:
    """Return a channel of the request whose data is in S3's mirror."""
    s3 = {"S3DataType": more.pop("kind", "S3Prefix"), "S3Uri": f"s3://bkt/{uri}", **more.pop("s3", {})}
    return {"ChannelName": name, "DataSource": {"S3DataSource": s3}, **more}


def requests() -> dict[str, tuple[dict, dict[str, str]]]:
    """Return each job's request, and the settings that it needs."""
    probe, start = {"ChannelName": "probe"}, {"ContainerEntrypoint": ["/bin/sh", PROBE]}
    one = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1}
    disk = {"FileSystemDataSource": {"FileSystemId": "fs-01234567890", "FileSystemAccessMode": "rw", "FileSystemType": "EFS", "DirectoryPath": "/d"}}
    plain = {"HyperParameters": {}, "InputDataConfig": [probe], "ResourceConfig": one}
    probed = {**plain, "AlgorithmSpecification": start}
    groups_ = [{"InstanceGroupName": name, "InstanceType": "ml.c5.xlarge", "InstanceCount": 1} for name in ("one", "two")]
    shard = {"S3DataDistributionType": "ShardedByS3Key"}
    return {
        "train": (plain, {}),
        "entrypoint": (probed, {}),
        "arguments": ({**plain, "AlgorithmSpecification": {"ContainerArguments": ["/bin/sh", PROBE, "$HOME"]}}, {}),
        "no-program": ({**plain, "AlgorithmSpecification": {"ContainerArguments": ["no-such-program"]}}, {}),
        "both": ({
            **plain,
            "AlgorithmSpecification": {**start, "ContainerArguments": ARGUMENTS},
            "HyperParameters": HYPERPARAMETERS, "Environment": ENVIRONMENT,
            "InputDataConfig": [probe, {"ChannelName": "train", "ContentType": "text/csv"}, {"ChannelName": "fast", "InputMode": "FastFile"},
                                {"ChannelName": "disk", "DataSource": disk}],
            "CheckpointConfig": {"S3Uri": "s3://bkt/checkpoints"}, "TensorBoardOutputConfig": {"S3OutputPath": "s3://bkt/tensorboard"},
            "DebugHookConfig": {"S3OutputPath": "s3://bkt/debug"},
        }, {}),
        "hosts": ({**probed, "ResourceConfig": {"InstanceGroups": groups_}, "InputDataConfig": [
            probe, s3_channel("only", "p/", s3={"InstanceGroupNames": ["two"]}), s3_channel("many", "many/", s3=shard), s3_channel("few", "few/", s3=shard),
        ]}, {"MANIFESTS": "on"}),
        "data": ({**probed, "InputDataConfig": [
            probe, s3_channel("whole", "p/"), s3_channel("noslash", "q"), s3_channel("partial", "data/train"), s3_channel("single", "one/file"),
            s3_channel("listed", "list.manifest", kind="ManifestFile"),
        ]}, {"MANIFESTS": "on"}),
        "bad-manifest": ({**probed, "InputDataConfig": [probe, s3_channel("listed", "bad.manifest", kind="ManifestFile")]}, {}),
        "fast-partial": ({**probed, "InputDataConfig": [probe, s3_channel("part", "data/tr", InputMode="FastFile")]}, {}),
        "pipe": ({**probed, "InputDataConfig": [
            probe, s3_channel("stream", "many/", InputMode="Pipe"), s3_channel("zipped", "zip/", InputMode="Pipe", CompressionType="Gzip"),
            s3_channel("records", "many/", InputMode="Pipe", RecordWrapperType="RecordIO"),
        ]}, {}),
        "credentials": (probed, {"CREDENTIALS": "session"}),
        "isolated": ({**probed, "EnableNetworkIsolation": True}, {"CREDENTIALS": "session"}),
        "toolkit": ({**plain, "Environment": {"PROBE_EXIT": "7"}, "HyperParameters": {
            "sagemaker_program": '"probe.sh"', "sagemaker_submit_directory": '"/opt/ml/input/data/probe"', "sagemaker_container_log_level": "20"}}, {}),
    }


def furnish(place: Path, root: Path) -> None:
    """Make a project for the probe: this tool's own files, the probe as a channel and as `train`, and objects in S3's mirror."""
    for folder in ("code", "container", *(f"opt/ml/input/data/{name}" for name in ("probe", "train", "fast", "disk"))):
        (place / folder).mkdir(parents=True)
    (place / "sm_local").symlink_to((root / "sm_local").resolve())
    for target in (place / "opt/ml/input/data/probe/probe.sh", place / "container/train"):
        shutil.copy(root / "sm_local/probe.sh", target)
        target.chmod(0o755)
    for key, content in OBJECTS.items():
        path = place / "data/s3/bkt" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (place / jobs.READY).mkdir()


def loaded(place: Path, values: dict[str, str], request: dict, name: str = "judged") -> jobs.Job:
    """Return a request as a job of the probe's project, its S3 channels marked as fetched."""
    (place / f"{name}.json").write_text(json.dumps({"TrainingJobName": f"Probe-{name}", **request}))
    job = jobs.load(place, values, {"JOB": f"{name}.json", "IMAGE": values["IMAGE"]})
    for channel in job.channels:
        if channel.ready:
            (place / channel.ready).touch()
    return job


def run(place: Path, engine: Engine, values: dict[str, str], image: Image, name: str, request: dict, needs: dict[str, str]) -> Run:
    """Run one of the probe's jobs, as `make train` would."""
    if name in ("train", "arguments") and image.takes_no_words:
        return Run(untold=f"the image's ENTRYPOINT is the shell's {image.entrypoint[2]!r}, which leaves out what it is given")
    given = {**values, **needs, "CODE": "baked", "GPU": "none", "PACK": "never", "STOP_GRACE": "3", "INTERRUPT_GRACE": "3"}
    if engine.name != "sandbox":
        given["DOCKER_ARGS"] = " ".join([values["DOCKER_ARGS"], *map(shlex.quote, image_arguments(place, image, name))])
    job = loaded(place, given, request, name)
    try:
        engines.check(job, engine, {})
    except SmLocalError as error:
        return Run(untold=str(error).replace(f"{place / name}.json: ", ""))
    (place / f"{name}.sh").write_text(recipe.train(job, engine))
    for _ in range(20):
        status, said = execute(place, name)
        if "Pool overlaps" not in said:  # Docker's words when another job has 169.254.170.2, which there is once
            break
        time.sleep(2)
    folders = sorted(place.glob(f"output/{job.stem}-2*"))
    return Run(status, said, folders[0] if folders else Path())


def image_arguments(place: Path, image: Image, name: str) -> list[str]:
    """Return the engine's arguments that keep an image's own training from running: the probe stands in for its programs."""
    if name == "no-program" and image.entrypoint:
        return ["--entrypoint", ""]
    if name not in ("train", "arguments"):
        return []
    targets = {str(Path(image.path, program)) for program in ("train", image.program) if program}
    source = f"{place}/container/train".replace('"', '""')
    return [word for target in sorted(targets) for word in ("--mount", f'type=bind,"source={source}","target={target}",readonly')]


def execute(place: Path, name: str) -> tuple[int, str]:
    """Run a recipe; return its exit status and what it said. One that takes too long is stopped as a job is."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    process = subprocess.Popen(["bash", f"{name}.sh"], cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", env={**environment, **CREDENTIALS})
    try:
        said, _ = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.terminate()
        said = process.communicate()[0] + f"\nstopped after {LONGEST} s"
    return process.returncode, said


def judge(check: Callable[[Context], str], context: Context) -> tuple[str, str]:
    """Return a verdict and what was seen."""
    try:
        return "as there", check(context)
    except Differs as error:
        return "differs", str(error)
    except Untold as error:
        return "cannot tell", str(error)


def image_of(engine: Engine, name: str) -> Image:
    """Return what an image says of itself. Raises SmLocalError when it is not here."""
    if engine.name == "sandbox":
        return Image()
    status, out, _ = machine.run(engine.name, "image", "inspect", "--format", "{{json .Config}}", name)
    if status:
        raise SmLocalError(f"image '{name}' is not here; run 'make build', or '{engine.name} pull {name}'")
    config = json.loads(out)
    return Image(tuple(config.get("Entrypoint") or ()), config.get("WorkingDir") or "", config.get("User") or "", tuple(config.get("Env") or ()))


@contextlib.contextmanager
def observed(root: Path, given: dict[str, str]) -> Iterator[Context]:
    """Run the probe's jobs; what they saw is there until the end of the block. Raises SmLocalError when they cannot run at all."""
    values = settings.read(root, given)
    engine = machine.require(machine.find_engine(values["ENGINE"]))
    image = image_of(engine, values["IMAGE"])
    (root / "recipes").mkdir(exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="conform-", dir=(root / "recipes").resolve()))
    try:
        furnish(place, root)
        yield Context(all_runs(place, engine, values, image), place, engine, values, image)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def all_runs(place: Path, engine: Engine, values: dict[str, str], image: Image) -> dict[str, Run]:
    """Run the probe's jobs, a few at a time. Ctrl-C reaches those that run; the others do not start."""
    wanted, pool = requests(), ThreadPoolExecutor(3)
    toolkit = wanted.pop("toolkit")
    try:
        tasks = {name: pool.submit(run, place, engine, values, image, name, *what) for name, what in wanted.items()}
        runs = {name: task.result() for name, task in tasks.items()}
        if (runs["entrypoint"].folder / "output/data/seen/toolkit").exists() and engine.name != "sandbox":
            return {**runs, "toolkit": pool.submit(run, place, engine, values, image, "toolkit", *toolkit).result()}
        return {**runs, "toolkit": Run(untold="the image has no sagemaker-training; its own `train` is nothing to try out")}
    finally:
        pool.shutdown(cancel_futures=True)


def rows_of(context: Context) -> list[dict]:
    """Return a row for each check."""
    rows = [(number, title, *judge(check, context)) for number, title, check in CHECKS]
    return [dict(zip(("check", "there", "verdict", "seen"), row)) for row in rows]


def show(rows: list[dict]) -> str:
    """Return the rows as a table for people."""
    lines = [f"{row['check']:>2}  {row['verdict']:11}  {row['there']}\n                 {row['seen']}" for row in rows]
    count = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("as there", "differs", "cannot tell")}
    return "\n".join([*lines, ", ".join(f"{number} {verdict}" for verdict, number in count.items())])


def main(arguments: list[str]) -> int:
    """Print the table; return the exit status."""
    try:
        with observed(Path(), {key: os.environ[key] for key in settings.RULES if os.environ.get(key)}) as context:
            rows = rows_of(context)
    except KeyboardInterrupt:
        print("sm-local: conform: interrupted", file=sys.stderr)
        return 130
    except SmLocalError as error:
        print(*(f"sm-local: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        return 1
    print(json.dumps(rows, indent=1, ensure_ascii=False) if "--json" in arguments else show(rows))
    return int(any(row["verdict"] == "differs" for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
