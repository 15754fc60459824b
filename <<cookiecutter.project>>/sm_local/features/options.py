"""Settings that go into a plan as they are: shared memory, open files, times, archives."""

from __future__ import annotations

from dataclasses import replace

from ..machine import EngineFacts
from ..plan import Plan


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with what the settings say of any job."""
    return replace(
        plan,
        shm=settings["SHM"],
        nofile=settings["NOFILE"],
        stop_grace=settings["STOP_GRACE"],
        interrupt_grace=settings["INTERRUPT_GRACE"],
        max_seconds=settings["MAX_SECONDS"],
        archives=plan.archives or settings["PACK"],
        platform=settings["PLATFORM"],
    )
