"""PDB=1: the job is at the terminal, and Python's own debugger stops at errors.

The image is unchanged: sm_local/pdb/sitecustomize.py is what stops.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import SmLocalError
from ..machine import EngineFacts
from ..plan import IMAGES_PATH, Container, Mount, Plan

KIT = "/opt/sm-local/pdb"


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with a terminal. Raises SmLocalError for several hosts: there is one."""
    if settings["PDB"] == "0":
        return plan
    if plan.several:
        count = len(plan.containers)
        raise SmLocalError(
            f"PDB=1 is for one host, and {plan.file} asks for {count}: use InstanceCount: 1, "
            "or 'make debug', where each host has a port"
        )
    image_s = IMAGES_PATH if facts.has_images else ""
    # who sits at a prompt has no handler for SIGTERM, and has seen what there is to see
    grace = plan.interrupt_grace
    plan = plan.each(lambda one: with_kit(one, image_s))
    return replace(plan, at_terminal=True, stop_grace=grace)


def with_kit(one: Container, image_s: str) -> Container:
    """Return a host whose Python finds the kit. The image's PYTHONPATH, or the job's, stays."""
    own = one.environment.get("PYTHONPATH")
    path = KIT + (image_s if own is None else f":{own}" if own else "")
    return replace(
        one,
        environment={**one.environment, "PYTHONPATH": path},
        layout=(*one.layout, Mount("sm_local/pdb", KIT, "ro")),
    )
