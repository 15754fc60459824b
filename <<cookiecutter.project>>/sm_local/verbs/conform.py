"""Judge how far a container here is what SageMaker gives: run probe.sh in any image, by the recipes that people run.

usage: python -m sm_local conform

checks.py judges what the probe saw. Exits with 1 when something differs. The probe's requests are good for SageMaker itself.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .. import machine
from ..engines import Engine
from ..errors import SmLocalError
from ..kinds import training
from ..kinds.channels import READY
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


def s3_channel(name: str, uri: str, kind: str = "S3Prefix", **more: Any) -> dict:
    """Return a channel of the request whose data is in S3's mirror."""
    s3 = {"S3DataType": kind, "S3Uri": f"s3://bkt/{uri}", **more.pop("s3", {})}
    return {"ChannelName": name, "DataSource": {"S3DataSource": s3}, **more}


def run_all(given: dict[str, str]) -> int:
    """Print the table; return the exit status. Raises SmLocalError."""
    with observed(Path(), given) as context:
        rows = rows_of(context)
    print(json.dumps(rows, indent=1, ensure_ascii=False) if given.get("JSON") else show(rows))
    return int(any(row["verdict"] == "differs" for row in rows))


def requests() -> dict[str, tuple[dict, dict[str, str]]]:
    """Return each job's request, and the settings that it needs."""
    probe, start = {"ChannelName": "probe"}, {"ContainerEntrypoint": ["/bin/sh", PROBE]}
    one = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1}
    disk = {
        "FileSystemDataSource": {
            "FileSystemId": "fs-01234567890",
            "FileSystemAccessMode": "rw",
            "FileSystemType": "EFS",
            "DirectoryPath": "/d",
        }
    }
    plain = {"HyperParameters": {}, "InputDataConfig": [probe], "ResourceConfig": one}
    probed = {**plain, "AlgorithmSpecification": start}
    groups = [
        {"InstanceGroupName": name, "InstanceType": "ml.c5.xlarge", "InstanceCount": 1}
        for name in ("one", "two")
    ]
    shard = {"S3DataDistributionType": "ShardedByS3Key"}
    return {
        "train": (plain, {}),
        "entrypoint": (probed, {}),
        "arguments": (
            {
                **plain,
                "AlgorithmSpecification": {"ContainerArguments": ["/bin/sh", PROBE, "$HOME"]},
            },
            {},
        ),
        "no-program": (
            {**plain, "AlgorithmSpecification": {"ContainerArguments": ["no-such-program"]}},
            {},
        ),
        "both": (
            {
                **plain,
                "AlgorithmSpecification": {**start, "ContainerArguments": ARGUMENTS},
                "HyperParameters": HYPERPARAMETERS,
                "Environment": ENVIRONMENT,
                "InputDataConfig": [
                    probe,
                    {"ChannelName": "train", "ContentType": "text/csv"},
                    {"ChannelName": "fast", "InputMode": "FastFile"},
                    {"ChannelName": "disk", "DataSource": disk},
                ],
                "CheckpointConfig": {"S3Uri": "s3://bkt/checkpoints"},
                "TensorBoardOutputConfig": {"S3OutputPath": "s3://bkt/tensorboard"},
                "DebugHookConfig": {"S3OutputPath": "s3://bkt/debug"},
            },
            {},
        ),
        "hosts": (
            {
                **probed,
                "ResourceConfig": {"InstanceGroups": groups},
                "InputDataConfig": [
                    probe,
                    s3_channel("only", "p/", s3={"InstanceGroupNames": ["two"]}),
                    s3_channel("many", "many/", s3=shard),
                    s3_channel("few", "few/", s3=shard),
                ],
            },
            {"MANIFESTS": "on"},
        ),
        "data": (
            {
                **probed,
                "InputDataConfig": [
                    probe,
                    s3_channel("whole", "p/"),
                    s3_channel("noslash", "q"),
                    s3_channel("partial", "data/train"),
                    s3_channel("single", "one/file"),
                    s3_channel("listed", "list.manifest", kind="ManifestFile"),
                ],
            },
            {"MANIFESTS": "on"},
        ),
        "bad-manifest": (
            {
                **probed,
                "InputDataConfig": [
                    probe,
                    s3_channel("listed", "bad.manifest", kind="ManifestFile"),
                ],
            },
            {},
        ),
        "fast-partial": (
            {
                **probed,
                "InputDataConfig": [probe, s3_channel("part", "data/tr", InputMode="FastFile")],
            },
            {},
        ),
        "pipe": (
            {
                **probed,
                "InputDataConfig": [
                    probe,
                    s3_channel("stream", "many/", InputMode="Pipe"),
                    s3_channel("zipped", "zip/", InputMode="Pipe", CompressionType="Gzip"),
                    s3_channel("records", "many/", InputMode="Pipe", RecordWrapperType="RecordIO"),
                ],
            },
            {},
        ),
        "credentials": (probed, {"CREDENTIALS": "session"}),
        "isolated": ({**probed, "EnableNetworkIsolation": True}, {"CREDENTIALS": "session"}),
        "toolkit": (
            {
                **plain,
                "Environment": {"PROBE_EXIT": "7"},
                "HyperParameters": {
                    "sagemaker_program": '"probe.sh"',
                    "sagemaker_submit_directory": '"/opt/ml/input/data/probe"',
                    "sagemaker_container_log_level": "20",
                },
            },
            {},
        ),
    }


def furnish(place: Path, root: Path) -> None:
    """Make a project for the probe: this tool's own files, the probe as a channel and as `train`, and objects in S3's mirror."""
    for folder in (
        "code",
        "container",
        *(f"opt/ml/input/data/{name}" for name in ("probe", "train", "fast", "disk")),
    ):
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


def run(
    place: Path,
    engine: Engine,
    values: dict[str, str],
    image: Image,
    name: str,
    request: dict,
    needs: dict[str, str],
) -> Run:
    """Run one of the probe's jobs, as `make train` would."""
    if name in ("train", "arguments") and image.takes_no_words:
        return Run(
            untold=f"the image's ENTRYPOINT is the shell's {image.entrypoint[2]!r}, which leaves out what it is given"
        )
    given = {
        **values,
        **needs,
        "CODE": "baked",
        "GPU": "none",
        "PACK": "never",
        "STOP_GRACE": "3",
        "INTERRUPT_GRACE": "3",
    }
    if engine.facts.has_images:
        given["DOCKER_ARGS"] = " ".join(
            [values["DOCKER_ARGS"], *map(shlex.quote, image_arguments(place, image, name))]
        )
    job = loaded(place, given, request, name)
    for channel in job.channels:
        if channel.ready:
            (place / channel.ready).touch()
    try:
        plan = planning.finish(training.plan_of(job), given, engine)
    except SmLocalError as error:
        return Run(untold=str(error).replace(f"{place / name}.json: ", ""))
    (place / f"{name}.sh").write_text(recipes.run("train", plan, engine).text())
    for _ in range(20):
        status, said = execute(place, name)
        if (
            "Pool overlaps" not in said
        ):  # Docker's words when another job has 169.254.170.2, which there is once
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
    return [
        word
        for target in sorted(targets)
        for word in ("--mount", f'type=bind,"source={source}","target={target}",readonly')
    ]


def execute(place: Path, name: str) -> tuple[int, str]:
    """Run a recipe; return its exit status and what it said. One that takes too long is stopped as a job is."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    process = subprocess.Popen(
        ["bash", f"{name}.sh"],
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
    """Run the probe's jobs; what they saw is there until the end of the block. Raises SmLocalError when they cannot run at all."""
    values = planning.read_settings(given, builds=True)
    engine = planning.find_engine(values)
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
        tasks = {
            name: pool.submit(run, place, engine, values, image, name, *what)
            for name, what in wanted.items()
        }
        runs = {name: task.result() for name, task in tasks.items()}
        if (
            runs["entrypoint"].folder / "output/data/seen/toolkit"
        ).exists() and engine.facts.has_images:
            return {
                **runs,
                "toolkit": pool.submit(
                    run, place, engine, values, image, "toolkit", *toolkit
                ).result(),
            }
        return {
            **runs,
            "toolkit": Run(
                untold="the image has no sagemaker-training; its own `train` is nothing to try out"
            ),
        }
    finally:
        pool.shutdown(cancel_futures=True)


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
