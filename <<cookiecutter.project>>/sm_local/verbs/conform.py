"""`make conform`: how far a container here is what SageMaker gives.

The probe, libexec/probe.sh, runs in any image, by the recipes that people run; checks.py judges
what it saw. Exits with 1 when something differs. The probe's requests are good for SageMaker too.
FAST=1 runs them in parked containers, VERB=debug as `make debug` does, with nobody at its ports.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from .. import machine
from ..engines import Engine
from ..errors import SmLocalError
from ..features import debugger
from ..kinds import training
from ..kinds.channels import READY
from ..plan import Plan
from . import planning
from . import run as recipes
from .checks import (
    ARGUMENTS,
    CHECKS,
    ENVIRONMENT,
    HYPERPARAMETERS,
    PROBE,
    Context,
    Image,
    Run,
    judge,
    loaded,
)

INTERRUPTED = "conform: interrupted"
NO_TOOLKIT = "the image has no sagemaker-training; its own `train` is nothing to try out"
LONGEST = 60  # seconds a job may take
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDCONFORM",
    "AWS_SECRET_ACCESS_KEY": "conform",
    "AWS_SESSION_TOKEN": "conform",
    "AWS_EC2_METADATA_DISABLED": "true",
}
OBJECTS = {
    "p/a": b"1",
    "p/deep/b": b"2",
    "q/a": b"1",
    "q/deep/b": b"2",
    "data/train-data.csv": b"3",
    "data/train/x": b"4",
    "data/other": b"5",
    "one/file": b"6",
    "few/one": b"7",
    **{f"many/{n}": b"%d" % n for n in range(5)},
    "zip/a": gzip.compress(b"first"),
    "zip/b": gzip.compress(b"second"),
    "list.manifest": b'[{"prefix": "s3://bkt/p/"}, "deep/b", "a"]',
    "bad.manifest": b"{}",
}


def s3_channel(name: str, uri: str, kind: str = "S3Prefix", **more: object) -> dict:
    """Return a channel of the request whose data is in S3's mirror.

    `s3` adds to its S3DataSource, the other keywords to the channel itself.
    """
    extra = more.pop("s3", {})
    assert isinstance(extra, dict)
    source = {"S3DataType": kind, "S3Uri": f"s3://bkt/{uri}", **extra}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **more}


# The probe's jobs

START = {"ContainerEntrypoint": ["/bin/sh", PROBE]}
ONE_HOST = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1}
TWO_HOSTS = [{"InstanceGroupName": name, **ONE_HOST} for name in ("one", "two")]
SHARED_OUT = {"S3DataDistributionType": "ShardedByS3Key"}
DISK = {
    "FileSystemDataSource": {
        "FileSystemId": "fs-01234567890",
        "FileSystemAccessMode": "rw",
        "FileSystemType": "EFS",
        "DirectoryPath": "/d",
    }
}
IN_SCRIPT = {
    "sagemaker_program": '"probe.sh"',
    "sagemaker_submit_directory": '"/opt/ml/input/data/probe"',
    "sagemaker_container_log_level": "20",
}


def told(*channels: dict, start: dict | None = START, **more: object) -> dict:
    """Return a request of the probe's: its own channel, further ones, and how it is started."""
    return {
        "HyperParameters": {},
        "InputDataConfig": [{"ChannelName": "probe"}, *channels],
        "ResourceConfig": ONE_HOST,
        **({"AlgorithmSpecification": start} if start else {}),
        **more,
    }


# each job's request, and the settings that it needs
REQUESTS: dict[str, tuple[dict, dict[str, str]]] = {
    "train": (told(start=None), {}),
    "entrypoint": (told(), {}),
    "arguments": (told(start={"ContainerArguments": ["/bin/sh", PROBE, "$HOME"]}), {}),
    "no-program": (told(start={"ContainerArguments": ["no-such-program"]}), {}),
    "both": (
        told(
            {"ChannelName": "train", "ContentType": "text/csv"},
            {"ChannelName": "fast", "InputMode": "FastFile"},
            {"ChannelName": "disk", "DataSource": DISK},
            start={**START, "ContainerArguments": ARGUMENTS},
            HyperParameters=HYPERPARAMETERS,
            Environment=ENVIRONMENT,
            CheckpointConfig={"S3Uri": "s3://bkt/checkpoints"},
            TensorBoardOutputConfig={"S3OutputPath": "s3://bkt/tensorboard"},
            DebugHookConfig={"S3OutputPath": "s3://bkt/debug"},
            VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},  # for the disk
        ),
        {},
    ),
    "hosts": (
        told(
            s3_channel("only", "p/", s3={"InstanceGroupNames": ["two"]}),
            s3_channel("many", "many/", s3=SHARED_OUT),
            s3_channel("few", "few/", s3=SHARED_OUT),
            ResourceConfig={"InstanceGroups": TWO_HOSTS},
        ),
        {"MANIFESTS": "on"},
    ),
    "data": (
        told(
            s3_channel("whole", "p/"),
            s3_channel("noslash", "q"),
            s3_channel("partial", "data/train"),
            s3_channel("single", "one/file"),
            s3_channel("listed", "list.manifest", "ManifestFile"),
        ),
        {"MANIFESTS": "on"},
    ),
    "bad-manifest": (told(s3_channel("listed", "bad.manifest", "ManifestFile")), {}),
    "fast-partial": (told(s3_channel("part", "data/tr", InputMode="FastFile")), {}),
    "pipe": (
        told(
            s3_channel("stream", "many/", InputMode="Pipe"),
            s3_channel("zipped", "zip/", InputMode="Pipe", CompressionType="Gzip"),
            s3_channel("records", "many/", InputMode="Pipe", RecordWrapperType="RecordIO"),
        ),
        {},
    ),
    "credentials": (told(), {"CREDENTIALS": "session"}),
    "isolated": (told(EnableNetworkIsolation=True), {"CREDENTIALS": "session"}),
    "toolkit": (
        told(start=None, Environment={"PROBE_EXIT": "7"}, HyperParameters=IN_SCRIPT),
        {},
    ),
}
# whatever the person's settings are
PROBED = {
    "CODE": "baked",
    "GPU": "none",
    "PACK": "never",
    "STOP_GRACE": "3",
    "INTERRUPT_GRACE": "3",
    "WAIT": "0",
}
PARKING = threading.Lock()  # a project has one parked container
FOLDERS = (
    "code",
    "container",
    *(f"opt/ml/input/data/{n}" for n in ("probe", "train", "fast", "disk")),
)


def run_all(given: dict[str, str]) -> int:
    """Print the table; return the exit status. Raises SmLocalError."""
    with observed(Path(), given) as context:
        rows = rows_of(context)
    print(json.dumps(rows, indent=1, ensure_ascii=False) if given.get("JSON") else show(rows))
    return int(any(row["verdict"] == "differs" for row in rows))


@dataclass(frozen=True)
class Probe:
    """Where the probe runs, in what, and with which settings."""

    place: Path  # a project of its own
    engine: Engine
    values: dict[str, str]
    image: Image
    verb: str = "train"

    def run(self, name: str) -> Run:
        """Run one of the probe's jobs, as `make train` would."""
        if name in ("train", "arguments") and self.image.takes_no_words:
            shell_s = f"the image's ENTRYPOINT is the shell's {self.image.entrypoint[2]!r}"
            return Run(untold=f"{shell_s}, which leaves out what it is given")
        request, needs = REQUESTS[name]
        values = {**self.values, **needs, **PROBED}
        job = loaded(self.place, values, request, name)
        for channel in job.channels:
            if channel.ready:
                (self.place / channel.ready).touch()
        try:
            plan = planning.finish(training.plan_of(job), values, self.engine)
            plan = self._as_by_the_verb(name, plan, values)
            plan = self._without_the_image_s_own(name, plan)
        except SmLocalError as error:
            return Run(untold=str(error).replace(f"{self.place / name}.json: ", ""))
        (self.place / f"{name}.sh").write_text(recipes.run(self.verb, plan, self.engine).text())
        with PARKING if plan.parking else contextlib.nullcontext():
            status, said = execute_patiently(self.place, name)
            if plan.parking:
                status, said = self._by_the_parked_one(name)
        folders = sorted(self.place.glob(f"output/{job.stem}-2*"))
        return Run(status, said, folders[-1] if folders else Path())

    def _by_the_parked_one(self, name: str) -> tuple[int, str]:
        """Run a recipe again, when its container has been made ahead."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not self._is_parked():
            time.sleep(0.1)
        return execute_patiently(self.place, name)

    def _is_parked(self) -> bool:
        """Return whether a container waits for the next job, or why none does is known."""
        parked = self.place / "output/.parked"
        return (parked / "ready").exists() or (parked / "why").exists()

    def _as_by_the_verb(self, name: str, plan: Plan, values: dict[str, str]) -> Plan:
        """Return the plan with a debugger, if VERB=debug; jobs at once have other ports."""
        if self.verb != "debug":
            return plan
        taken = len(TWO_HOSTS) * list(REQUESTS).index(name)
        return debugger.debugged(plan, values, self.engine.facts, taken)

    def _without_the_image_s_own(self, name: str, plan: Plan) -> Plan:
        """Return the plan with what keeps an image's own training from running."""
        if not self.engine.facts.has_images:
            return plan
        words = image_arguments(self.place, self.image, name)
        return replace(plan, engine_arguments=(*plan.engine_arguments, *words))

    def run_all(self) -> dict[str, Run]:
        """Run the probe's jobs, a few at a time.

        Ctrl-C reaches those that run; the others do not start.
        """
        pool = ThreadPoolExecutor(3)
        try:
            first = [name for name in REQUESTS if name != "toolkit"]
            tasks = {name: pool.submit(self.run, name) for name in first}
            runs = {name: task.result() for name, task in tasks.items()}
            there = (runs["entrypoint"].folder / "output/data/seen/toolkit").exists()
            if there and self.engine.facts.has_images:
                return {**runs, "toolkit": pool.submit(self.run, "toolkit").result()}
            return {**runs, "toolkit": Run(untold=NO_TOOLKIT)}
        finally:
            pool.shutdown(cancel_futures=True)


def furnish(place: Path, root: Path) -> None:
    """Make a project for the probe.

    It has this tool's own files, the probe as a channel and as `train`, and objects in S3's mirror.
    """
    for folder in FOLDERS:
        (place / folder).mkdir(parents=True)
    (place / "sm_local").symlink_to((root / "sm_local").resolve())
    for target in (place / "opt/ml/input/data/probe/probe.sh", place / "container/train"):
        shutil.copy(root / "sm_local/libexec/probe.sh", target)
        target.chmod(0o755)
    for key, content in OBJECTS.items():
        path = place / "data/s3/bkt" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (place / READY).mkdir()


def image_arguments(place: Path, image: Image, name: str) -> list[str]:
    """Return the engine's arguments by which the probe stands in for an image's own programs."""
    if name == "no-program" and image.entrypoint:
        return ["--entrypoint", ""]
    if name not in ("train", "arguments"):
        return []
    targets = {str(Path(image.path, program)) for program in ("train", image.program) if program}
    source = f"{place}/container/train".replace('"', '""')
    return [
        word
        for target in sorted(targets)
        for word in ("--mount", f'type=bind,"source={source}","target={target}",readonly')
    ]


def execute_patiently(place: Path, name: str) -> tuple[int, str]:
    """Run a recipe, again while another job has 169.254.170.2, an address that there is once."""
    for _ in range(20):
        status, said = execute(place, name)
        if "Pool overlaps" not in said:  # Docker's words
            break
        time.sleep(2)
    return status, said


def execute(place: Path, name: str) -> tuple[int, str]:
    """Run a recipe; return its exit status and what it said.

    One that takes too long is stopped as a job is.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    process = subprocess.Popen(
        ["bash", "-p", f"{name}.sh"],
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**environment, **CREDENTIALS},
    )
    try:
        said, _ = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.terminate()
        said = process.communicate()[0] + f"\nstopped after {LONGEST} s"
    return process.returncode, said


def built_image(root: Path, engine: Engine, name: str) -> str:
    """Return the ID of the image that `make build` made here. Raises SmLocalError.

    lib/build.sh writes the record.
    """
    try:
        record = (root / f"recipes/.built-{engine.facts.name}").read_text(encoding="utf-8")
    except FileNotFoundError:
        record = "\n"
    found, _, of = record.splitlines()[0].partition(" ")
    if of != name:
        raise SmLocalError(f"image '{name}' was not built in this folder; run 'make build'")
    return found


def image_of(engine: Engine, name: str) -> Image:
    """Return what an image says of itself. Raises SmLocalError when it is not here."""
    if not engine.facts.has_images:
        return Image()
    status, out, _ = machine.run(
        engine.facts.name, "image", "inspect", "--format", "{{json .Config}}", name
    )
    if status:
        raise SmLocalError(
            f"image '{name}' is not here; run 'make build', or '{engine.facts.name} pull {name}'"
        )
    config = json.loads(out)
    return Image(
        tuple(config.get("Entrypoint") or ()),
        config.get("WorkingDir") or "",
        config.get("User") or "",
        tuple(config.get("Env") or ()),
    )


@contextlib.contextmanager
def observed(root: Path, given: dict[str, str]) -> Iterator[Context]:
    """Run the probe's jobs; what they saw is there until the end of the block.

    Raises SmLocalError when they cannot run at all.
    """
    verb = given.get("VERB", "train")
    if verb not in ("train", "debug"):
        raise SmLocalError(f"VERB={verb}: 'make conform' runs its jobs as VERB=train or VERB=debug")
    values = planning.read_settings(given, builds=True)
    engine = planning.find_engine(values)
    if engine.facts.has_images and "IMAGE" not in given:
        values["IMAGE"] = built_image(root, engine, values["IMAGE"])
    image = image_of(engine, values["IMAGE"])
    (root / "recipes").mkdir(exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="conform-", dir=(root / "recipes").resolve()))
    try:
        furnish(place, root)
        runs = Probe(place, engine, values, image, verb).run_all()
        yield Context(runs, place, engine, values, image)
    finally:
        if (place / "output/.parked").exists():
            stop = ["bash", "-p", "sm_local/libexec/stop.sh"]
            subprocess.run(stop, cwd=place, capture_output=True, check=False)
        shutil.rmtree(place, ignore_errors=True)


def rows_of(context: Context) -> list[dict]:
    """Return a row for each check."""
    rows = [(number, title, *judge(check, context)) for number, title, check in CHECKS]
    return [dict(zip(("check", "there", "verdict", "seen"), row)) for row in rows]


def show(rows: list[dict]) -> str:
    """Return the rows as a table for people."""
    lines = [
        f"{row['check']:>2}  {row['verdict']:11}  {row['there']}\n                 {row['seen']}"
        for row in rows
    ]
    count = {
        verdict: sum(row["verdict"] == verdict for row in rows)
        for verdict in ("as there", "differs", "cannot tell")
    }
    return "\n".join(
        [*lines, ", ".join(f"{number} {verdict}" for verdict, number in count.items())]
    )
