"""CREDENTIALS: AWS credentials for the job, served as SageMaker does."""

from __future__ import annotations

from dataclasses import replace

from ..errors import SmLocalError
from ..machine import EngineFacts
from ..plan import Plan

ISOLATED = "no credentials reach the container: EnableNetworkIsolation, as on SageMaker"
BY_NAME = (
    "else pass yours by name: DOCKER_ARGS='--env AWS_ACCESS_KEY_ID "
    "--env AWS_SECRET_ACCESS_KEY --env AWS_SESSION_TOKEN'"
)


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with its credentials; none with isolation (DG:mkt-algo-model-internet-free).

    Raises SmLocalError.
    """
    wanted = settings["CREDENTIALS"]
    if wanted == "off":
        return plan
    if plan.isolated:
        return plan.noting(ISOLATED)
    check(wanted, plan, facts)
    return replace(plan, credentials=wanted)


def check(wanted: str, plan: Plan, facts: EngineFacts) -> None:
    """Raise SmLocalError for credentials that cannot be served here."""
    if wanted == "role" and not plan.role:
        raise SmLocalError(
            "CREDENTIALS=role, but job.yaml has no RoleArn; "
            "add it, or CREDENTIALS=session for your own"
        )
    if not facts.has_images:
        raise SmLocalError(
            f"CREDENTIALS={wanted}: the sandbox serves none and needs none, for your HOME, "
            "~/.aws included, is there; set CREDENTIALS=off"
        )
    if not facts.owns_files:
        raise SmLocalError(
            f"CREDENTIALS={wanted}: their endpoint needs Docker on this machine's own Linux, "
            f"run by root; {BY_NAME}"
        )
