"""A CreateTrainingJob request as a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..plan import STAMP, Container, Plan
from . import contract, contract_2020, layout
from .common import hostname
from .job import Host, Job, load

CHECKPOINTS = "opt/ml/checkpoints"


def plan(root: Path, settings: dict[str, str], given: dict[str, str], alone: bool = False) -> Plan:
    """Return what SageMaker would run; `alone` is for its first host only. Raises SmLocalError."""
    job = load(root, settings, given)
    return plan_of(replace(job, hosts=job.hosts[:1]) if alone else job)


def plan_of(job: Job) -> Plan:
    """Return a job's plan. Pure."""
    return Plan(
        kind="training",
        file=job.file,
        stem=job.stem,
        region=job.region,
        image=job.image,
        image_source=job.source,
        remedy=job.remedy,
        containers=tuple(container(job, host) for host in job.hosts),
        results=("model", "output"),
        produces="model",
        checks=tuple(layout.checks(job)),
        handed_back={CHECKPOINTS: "checkpoints"} if job.checkpoints else {},
        locked=CHECKPOINTS if job.checkpoints else "",
        isolated=job.isolated,
        role=job.request.get("RoleArn", ""),
        fetches_code=contract.has_code_in_s3(job),
        archives="never" if contract.leaves_files_loose(job) else "",
        notes=job.notes,
    )


def container(job: Job, host: Host) -> Container:
    """Return one host as SageMaker starts it.

    `train` is its argument only when neither ContainerEntrypoint nor ContainerArguments is given
    (DG:your-algorithms-training-algo-dockerfile).
    """
    return Container(
        host=host.name,
        hostname=hostname(job.region, host.name),
        instance_type=host.instance_type,
        entrypoint=job.entrypoint,
        arguments=job.arguments,
        standard=("train",),
        variables={
            "TRAINING_JOB_NAME": job.stem + STAMP,
            "TRAINING_JOB_ARN": contract.arn_prefix(job) + STAMP,
            **contract.platform_environment(job),
        },
        without_gpu={"NVIDIA_VISIBLE_DEVICES": "void"},  # (captured)
        environment=job.environment,
        files=config_files(job, host),
        layout=tuple(layout.layout(job, host)),
        views=tuple(layout.views(job, host)),
        folders=layout.folders(job, host),
    )


def config_files(job: Job, host: Host) -> dict[str, str]:
    """Return a host's config files: name, text."""
    files = contract.config_files(job, host)
    if job.settings["CONFIG_FILES"] == "2020":
        files.update(contract_2020.config_files(job, host))
    return files
