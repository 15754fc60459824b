"""NETWORK: which jobs get a network of their own."""

from __future__ import annotations

from dataclasses import replace

from ..machine import EngineFacts
from ..plan import Plan


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with its network.

    Isolation is a network without a way out, in which names still resolve.
    """
    wanted = settings["NETWORK"] == "own"
    own = wanted or plan.isolated or plan.several or bool(plan.credentials)
    return replace(plan, own_network=own)
