"""A CreateProcessingJob request as a plan: how its containers start, and what is mounted.

Sources as in contract.py. Not there yet: inputs from S3, Continuous outputs, ExitMessage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import SmLocalError
from ..plan import STAMP, Code, Container, Mount, Piece, Plan
from ..request import reading
from ..request.rules import dig
from .channels import CHANNELS
from .common import account, check_host_count, choose_image, compact, hostname, partition, stem

ROOT = "CreateProcessingJobRequest"
PROCESSING, OUTPUT = "/opt/ml/processing/", "/opt/ml/output"
CODE = "code"  # the input that is the project's code/
IMAGE, COUNT = "AppSpecification.ImageUri", "ProcessingResources.ClusterConfig.InstanceCount"
DEFAULT_CLUSTER = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30}


def plan(root: Path, settings: dict[str, str], given: dict[str, str], alone: bool = False) -> Plan:
    """Return what SageMaker would run; `alone` is for its first host only. Raises SmLocalError."""
    request = reading.read(root / given.get("JOB", "processing.yaml"), ROOT)
    body, region = request.body, settings["REGION"]
    image = choose_image(request, IMAGE, dig(body, IMAGE) or "", settings, given)
    name = stem(body.get("ProcessingJobName") or root.resolve().name)
    names = host_names(request)[: 1 if alone else None]
    config = job_config(body, name, image.name, region)
    mounts = (Mount("config", "/opt/ml/config", own=True), *inputs(request, root), *outputs(body))
    return Plan(
        kind="processing",
        file=request.file,
        stem=name,
        region=region,
        image=image.name,
        image_source=image.source,
        remedy=image.remedy,
        containers=hosts(body, names, region, config, mounts),
        results=("output",),
        produces="output/data",
        isolated=is_isolated(body),
        role=body.get("RoleArn", ""),
        archives="never",  # outputs are uploaded as they are (captured)
        notes=request.notes,
    )


def hosts(
    body: dict, names: list[str], region: str, config: str, mounts: tuple[Piece, ...]
) -> tuple[Container, ...]:
    """Return the containers; without entrypoint and arguments the image's own CMD runs.

    DG:build-your-own-processing-container. The platform sets AWS_REGION alone (captured).
    """
    app = body.get("AppSpecification", {})
    return tuple(
        Container(
            host=host,
            hostname=hostname(region, host),
            instance_type=cluster(body)["InstanceType"],
            entrypoint=tuple(app.get("ContainerEntrypoint", ())),
            arguments=tuple(app.get("ContainerArguments", ())),
            standard=(),
            variables={"AWS_REGION": region},
            environment=body.get("Environment", {}),
            files={**resource_config(host, names), "processingjobconfig.json": config},
            layout=mounts,
            folders=("config", "output/metrics/cloudwatch", *output_folders(body)),
        )
        for host in names
    )


def is_isolated(body: dict) -> bool:
    """Return whether the request wants no network but the job's own hosts."""
    return body.get("NetworkConfig", {}).get("EnableNetworkIsolation", False)


def resource_config(host: str, names: list[str]) -> dict[str, str]:
    """Return resourceconfig.json: two keys alone (captured 2020, 2022)."""
    return {"resourceconfig.json": compact({"current_host": host, "hosts": sorted(names)})}


def cluster(body: dict) -> dict:
    """Return ClusterConfig, with defaults for what a job on this machine may leave out."""
    return {**DEFAULT_CLUSTER, **body.get("ProcessingResources", {}).get("ClusterConfig", {})}


def host_names(request: reading.Request) -> list[str]:
    """Return algo-1 … algo-N. Raises SmLocalError for more than this machine runs."""
    count = cluster(request.body)["InstanceCount"]
    check_host_count(count, request, COUNT, "ProcessingResources")
    return [f"algo-{number}" for number in range(1, count + 1)]


def inputs(request: reading.Request, root: Path) -> Iterator[Piece]:
    """Yield the inputs' folders, the outer of two first: nested paths are one tree (captured).

    The input `code` is the project's code/, any other the folder of its name below
    opt/ml/input/data. Raises SmLocalError.
    """
    found: list[Mount | Code] = []
    for number, entry in enumerate(request.body.get("ProcessingInputs", [])):
        name, where = entry["InputName"], request.where(f"ProcessingInputs[{number}]")
        source = Path(CODE) if name == CODE else CHANNELS / name
        if not re.fullmatch(r"\w[\w.-]*", name) or not (root / source).is_dir():
            raise SmLocalError(
                f"{where}: input {name!r} has no folder {source}; put its data there"
            )
        target = entry.get("S3Input", {}).get("LocalPath") or f"{PROCESSING}input/{name}"
        path = local_path(target, f"{where}: S3Input.LocalPath")
        found.append(Code(path) if name == CODE else Mount(str(source), path, "cow", channel=name))
    yield from sorted(found, key=lambda mount: mount.target)


def local_path(path: str, where: str) -> str:
    """Return a folder's place in the container (API:ProcessingS3Input). Raises SmLocalError."""
    if not re.fullmatch(rf"{PROCESSING}((?!\.\.?(/|$))[^/\n]+/?)+", path):
        raise SmLocalError(f"{where} is {path!r}; it must begin with {PROCESSING}")
    return path.rstrip("/")


def outputs(body: dict) -> Iterator[Mount]:
    """Yield the outputs: each is seen at its LocalPath and below /opt/ml/output/data (captured)."""
    yield Mount("output", OUTPUT, own=True)
    for entry in body.get("ProcessingOutputConfig", {}).get("Outputs", []):
        name, s3 = entry["OutputName"], entry.get("S3Output", {})
        target = s3.get("LocalPath") or f"{PROCESSING}output/{name}"
        path = local_path(target, f"output {name!r}: S3Output.LocalPath")
        yield Mount(f"output/data/{name}", path, own=True)


def output_folders(body: dict) -> list[str]:
    """Return the outputs' folders, which are there when the container starts (API)."""
    entries = body.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return [f"output/data/{entry['OutputName']}" for entry in entries] or ["output/data"]


def job_config(body: dict, name: str, image: str, region: str) -> str:
    """Return processingjobconfig.json: the request with its ARN, in this order (captured 2022-11).

    What is not set is null; the ARN has the name in lower case; `&`, `<` and `>` are escaped.
    """
    environment, asked = body.get("Environment"), body.get("ProcessingOutputConfig", {})
    owner = f"arn:{partition(region)}:sagemaker:{region}:{account(body.get('RoleArn', ''))}"
    config = {
        "ProcessingJobArn": f"{owner}:processing-job/{name.lower()}{STAMP}",
        "ProcessingJobName": f"{name}{STAMP}",
        **({"Environment": dict(sorted(environment.items()))} if environment else {}),
        "AppSpecification": described_app(body.get("AppSpecification", {}), image),
        "ProcessingInputs": [described_input(entry) for entry in body.get("ProcessingInputs", [])],
        "ProcessingOutputConfig": {
            "Outputs": asked.get("Outputs", []),
            "KmsKeyId": asked.get("KmsKeyId"),
        },
        "ProcessingResources": {"ClusterConfig": {**cluster(body), "VolumeKmsKeyId": None}},
        "RoleArn": body.get("RoleArn"),
        "StoppingCondition": body.get("StoppingCondition", {"MaxRuntimeInSeconds": 86400}),
    }
    return re.sub(r"[&<>]", lambda found: f"\\u{ord(found[0]):04x}", compact(config))


def described_app(app: dict, image: str) -> dict:
    """Return AppSpecification as processingjobconfig.json has it."""
    return {
        "ImageUri": image,
        "ContainerEntrypoint": app.get("ContainerEntrypoint"),
        "ContainerArguments": app.get("ContainerArguments"),
    }


def described_input(entry: dict) -> dict:
    """Return an input as processingjobconfig.json has it; S3DownloadMode is not in the API."""
    s3, name = entry.get("S3Input", {}), entry["InputName"]
    return {
        "InputName": name,
        "AppManaged": entry.get("AppManaged", False),
        "S3Input": {
            "LocalPath": s3.get("LocalPath", f"{PROCESSING}input/{name}"),
            "S3Uri": s3.get("S3Uri", ""),
            "S3DataDistributionType": s3.get("S3DataDistributionType", "FullyReplicated"),
            "S3DataType": s3.get("S3DataType", "S3Prefix"),
            "S3InputMode": s3.get("S3InputMode", "File"),
            "S3CompressionType": s3.get("S3CompressionType", "None"),
            "S3DownloadMode": "StartOfJob",
        },
        "DatasetDefinition": entry.get("DatasetDefinition"),
    }
