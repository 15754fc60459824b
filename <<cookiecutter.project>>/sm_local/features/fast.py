"""FAST, PARK and PRELOAD: the next job's container is made when a job has ended, and waits.

What such a container has is fixed when it is made. What differs from job to job must get in later:
the job's name, config files and code/ do; what else would have to makes the job start cold.
"""

from __future__ import annotations

from dataclasses import replace

from ..machine import EngineFacts
from ..plan import Code, Container, Feed, Parking, Plan, Prefix

NOT_TRAIN = (
    "nothing is preloaded: PRELOAD is for scripts that `train` starts, and this job names another "
    "program"
)
UNITS = {"s": 1, "m": 60, "h": 3600}


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with a parked container, if it can have one; else with the reason."""
    if settings["FAST"] == "0":
        return plan
    if reason := why_cold(plan, facts):
        return plan.noting(f"FAST=1 starts this job cold: {reason}")
    parking = Parking(
        seconds(settings["PARK"]), tuple(filter(None, settings["PRELOAD"].split(",")))
    )
    if parking.preload and not by_train(plan.containers[0]):
        plan = plan.noting(NOT_TRAIN)
        parking = replace(parking, preload=())
    return replace(plan, parking=parking)


def by_train(container: Container) -> bool:
    """Return whether a host's program is `train` and nothing else."""
    return not container.entrypoint and container.command == ("train",)


def why_cold(plan: Plan, facts: EngineFacts) -> str:
    """Return why a plan's container cannot be made ahead; '' if it can."""
    if not facts.has_images:
        return "the sandbox has no container, and needs no time to start one"
    reasons = (
        (not facts.owns_files, "only Docker on this machine's own Linux, run by root, parks one"),
        (plan.several, "it has several hosts"),
        (plan.credentials, "it gets CREDENTIALS"),
        (plan.isolated, "its network is isolated"),
        (plan.own_network, "NETWORK=own is made for each job"),
        (plan.looked_up, "it gets what settings.env says of your company's network"),
        (plan.at_terminal, "PDB=1 gives it your terminal"),
        (plan.engine_arguments, "DOCKER_ARGS may mean something else each time"),
        *in_layout(plan),
        *in_command(plan),
    )
    return next((text for found, text in reasons if found), "")


def in_layout(plan: Plan) -> list[tuple[bool, str]]:
    """Return what of the layout is made for one job alone."""
    pieces = [piece for container in plan.containers for piece in container.layout]
    shared = [piece for piece in pieces if isinstance(piece, Code) and piece.small != "copy"]
    made = any(container.views for container in plan.containers)
    prefixes = any(isinstance(piece, Prefix) for piece in pieces)
    return [
        (any(isinstance(piece, Feed) for piece in pieces), "a channel is in Pipe mode"),
        (made or prefixes, "a channel comes from S3, or is a part of one"),
        (bool(shared), "code/ is not copied"),
    ]


def in_command(plan: Plan) -> list[tuple[bool, str]]:
    """Return what of the command only the job has."""
    first = plan.containers[0]
    return [
        (not (first.entrypoint or first.command), "the image itself says what it runs"),
        (
            any(word.startswith("/opt/ml/") for word in first.entrypoint[:1]),
            "ContainerEntrypoint comes with the job",
        ),
    ]


def seconds(text: str) -> int:
    """Return how long, in seconds."""
    return int(text[:-1]) * UNITS[text[-1]]
