"""GPU and HOST_GPUS: which GPUs each host gets."""

from __future__ import annotations

from dataclasses import replace

from ..errors import SmLocalError
from ..machine import AVAILABLE, EngineFacts
from ..plan import Container, Plan

NONE = "none"


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with each host's GPUs. Raises SmLocalError."""
    wanted, sharing = settings["GPU"], settings["HOST_GPUS"]
    found = [gpus_of(plan, container, wanted, sharing, facts) for container in plan.containers]
    used = [uses_gpu(gpus, wanted, facts) for gpus in found]
    shares = sharing == "mps" and plan.several and used[0] and facts.has_images
    percent = 100 // len(found) if shares else 0
    containers = [
        replace(one, gpus=gpus, variables={**one.variables, **variables(one, uses, percent)})
        for one, gpus, uses in zip(plan.containers, found, used)
    ]
    words = gpu_words(wanted, facts, used[0])
    plan = replace(plan, containers=tuple(containers), shares_gpus=shares, gpu_words=words)
    return plan.noting(mps_note(percent)) if shares else plan


def gpus_of(plan: Plan, one: Container, wanted: str, sharing: str, facts: EngineFacts) -> str:
    """Return a host's GPUs in the words of GPU: fewer where a limit or HOST_GPUS says so."""
    if not is_handed_out(wanted, facts) or one.gpu_limit == 0:
        return NONE
    chosen = wanted.split(",") if wanted[0].isdigit() else None
    devices = chosen or [str(number) for number in range(facts.gpu.count)]
    limited = devices[: one.gpu_limit]
    split = sharing == "split" and plan.several and facts.has_images
    mine = share(limited, plan.containers.index(one), len(plan.containers)) if split else limited
    return wanted if mine == devices else ",".join(mine)


def is_handed_out(wanted: str, facts: EngineFacts) -> bool:
    """Return whether hosts get what GPU asks for.

    `auto` is for machines that have a GPU; whoever names one is believed, the engine may know it.
    """
    if wanted == NONE or wanted[0].isdigit():
        return wanted != NONE
    if not facts.has_images:
        return facts.gpu.verdict == AVAILABLE
    return wanted != "auto" or bool(facts.gpu.mechanism)


def uses_gpu(gpus: str, wanted: str, facts: EngineFacts) -> bool:
    """Return whether a host has a GPU; the sandbox has this machine's, or none."""
    return gpus != NONE and (facts.has_images or facts.gpu.verdict == AVAILABLE)


def share(devices: list[str], number: int, hosts: int) -> list[str]:
    """Return a host's part: neighbouring devices, as even as it goes. Raises SmLocalError."""
    if len(devices) < hosts:
        raise SmLocalError(
            f"HOST_GPUS=split: {len(devices)} GPUs for {hosts} hosts; "
            "HOST_GPUS=all gives every host all, HOST_GPUS=mps a share"
        )
    return devices[len(devices) * number // hosts : len(devices) * (number + 1) // hosts]


def variables(container: Container, uses: bool, percent: int) -> dict[str, str]:
    """Return what tells a host of its GPUs; `percent` is its share of their threads, or 0."""
    share = {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": str(percent)} if percent else {}
    return {**({} if uses else container.without_gpu), **share}


def gpu_words(wanted: str, facts: EngineFacts, uses: bool) -> str:
    """Say what the first host gets, in a few words."""
    if uses:
        return f"GPU {wanted} ({facts.gpu.reason})"
    return "CPU" if wanted == NONE else f"CPU (GPU runtime {facts.gpu.verdict})"


def mps_note(percent: int) -> str:
    """Say what hosts that share GPUs share."""
    return (
        f"each host may keep {percent} % of a GPU's threads busy (MPS); its memory and "
        "bandwidth are not divided, and a host that crashes can take the others with it"
    )
