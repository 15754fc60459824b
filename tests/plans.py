"""A job, the machines it may run on, and the plan of both: what many tests start from."""

from __future__ import annotations

from dataclasses import replace

from sm_local import settings as setting
from sm_local.kinds import training
from sm_local.kinds.channels import Channel
from sm_local.kinds.job import Host, Job
from sm_local.machine import AVAILABLE, EngineFacts, Gpu
from sm_local.plan import Container, Plan
from sm_local.verbs import planning

SETTINGS = {
    **{key: rule.default for key, rule in setting.RULES.items()},
    "IMAGE": "churn:latest",
    "DLC": "pytorch:2.13-cpu-amzn2023-sagemaker",
}
ONE = Host("algo-1", "homogeneousCluster", "ml.c5.xlarge")
TRAINING = Channel("training", "opt/ml/input/data/training")
JOB = Job(
    file="job.yaml",
    stem="Churn-1",
    image="churn:latest",
    source="own",
    entrypoint=(),
    arguments=(),
    hyperparameters={},
    environment={},
    channels=(TRAINING,),
    checkpoints="",
    hosts=(ONE,),
    region="us-west-2",
    account="111122223333",
    isolated=False,
    request={},
    settings=SETTINGS,
)
DOCKER = EngineFacts("docker", "28.0", arch="x86_64", cpus=8)
WITH_GPU = replace(DOCKER, gpu=Gpu(AVAILABLE, "runtime nvidia", "gpus"))
SANDBOX = EngineFacts(
    "sandbox", has_images=False, can_overlay=True, overlay_is_cheap=True, arch="x86_64"
)


def hosts(count: int) -> tuple[Host, ...]:
    """Return the hosts of a job without instance groups."""
    return tuple(replace(ONE, name=f"algo-{n}") for n in range(1, count + 1))


def settled(**values: str) -> dict[str, str]:
    """Return settings of which some are changed."""
    assert values.keys() <= SETTINGS.keys()
    return {**SETTINGS, **values}


def planned(job: Job, facts: EngineFacts = DOCKER) -> Plan:
    """Return a job's plan, as its settings and the engine change it. Raises SmLocalError."""
    return planning.finish(training.plan_of(job), job.settings, planning.engine_of(facts))


def words(job: Job, facts: EngineFacts = DOCKER, host: int = 0) -> list[list[str]]:
    """Return the command that runs one of a job's hosts: a list of words for every line."""
    plan = planned(job, facts)
    return planning.engine_of(facts).run(plan, plan.containers[host])


def option(lines: list[list[str]], *names: str) -> list[str]:
    """Return the words of the lines that begin with one of these options."""
    return [word for line in lines if line and line[0] in names for word in line]


def environment(container: Container) -> dict[str, str]:
    """Return what a host's program sees besides what its image sets."""
    return {**container.variables, **container.environment}
