"""LIMITS: no more vCPUs, memory and GPUs than the instance type has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import SmLocalError
from ..machine import EngineFacts
from ..plan import Container, Plan

TABLE = Path(__file__).parent.parent / "instances.tsv"
ALL = {"cpus", "memory", "gpus"}


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with its limits. Raises SmLocalError."""
    value = settings["LIMITS"]
    if value == "off":
        return plan
    if not facts.has_images:
        raise SmLocalError(
            f"LIMITS={value}: the sandbox cannot limit a job; use ENGINE=docker or ENGINE=podman"
        )
    limited = ALL if value == "on" else set(value.split(","))
    table = instances()
    for container in plan.containers:
        if container.instance_type not in table:
            raise SmLocalError(
                f"{plan.file}: LIMITS={value}, but there are no figures for "
                f"{container.instance_type} (sm_local/instances.tsv); set LIMITS=off"
            )
    return plan.each(lambda container: limit(container, limited, table[container.instance_type]))


def limit(container: Container, limited: set[str], figures: tuple[int, int, int]) -> Container:
    """Return a host that has no more than its instance type."""
    cpus, gpus, memory = figures
    return replace(
        container,
        cpus=cpus if "cpus" in limited else 0,
        memory=memory if "memory" in limited else 0,
        gpu_limit=gpus if "gpus" in limited else None,
    )


def instances() -> dict[str, tuple[int, int, int]]:
    """Return vCPUs, GPUs and GiB of memory of every instance type that the table has."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return {name: (int(cpus), int(gpus), int(memory)) for name, cpus, gpus, memory in rows}
