"""CHANNELS: what a job may do to its channels' folders, as far as the engine can do it."""

from __future__ import annotations

from dataclasses import replace

from ..errors import SmLocalError
from ..machine import EngineFacts
from ..plan import Container, Feed, Mount, Piece, Plan


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with each channel's mode. Raises SmLocalError for pipes that cannot be."""
    refuse_pipes_between_kernels(plan, facts)
    wanted, writable = settings["CHANNELS"], "cow" if facts.can_overlay else "ro"

    def decide(piece: Piece) -> Piece:
        if not isinstance(piece, Mount) or piece.mode != "cow":
            return piece
        yours = piece.source and not piece.own
        if wanted == "rw" and yours:  # what S3 has, no job changes, and a view ends with its job
            return replace(piece, mode="rw")
        return replace(piece, mode="ro" if wanted == "ro" else writable)

    def decide_all(container: Container) -> Container:
        return replace(container, layout=tuple(map(decide, container.layout)))

    has_channels = any(channels_of(container) for container in plan.containers)
    plan = plan.each(decide_all)
    written = {mount.source: f"new-{mount.channel}" for mount in plan.mounts if is_yours(mount)}
    plan = replace(plan, handed_back={**plan.handed_back, **written})
    missed = has_channels and wanted == "cow" and not facts.can_overlay
    return plan.noting(read_only_note(facts)) if missed else plan


def channels_of(container: Container) -> list[Piece]:
    """Return the pieces of a host's layout that are channels."""
    return [piece for piece in container.layout if getattr(piece, "channel", "")]


def is_yours(mount: Mount) -> bool:
    """Return whether the job writes into one of the user's own channel folders."""
    return bool(mount.channel and mount.source) and mount.mode == "rw" and not mount.own


def refuse_pipes_between_kernels(plan: Plan, facts: EngineFacts) -> None:
    """Raise SmLocalError for a FIFO that would have to reach into a virtual machine."""
    pieces = [piece for container in plan.containers for piece in container.layout]
    for piece in pieces:
        if isinstance(piece, Feed) and not facts.same_kernel:
            raise SmLocalError(
                f"{plan.file}: channel {piece.channel!r} has InputMode Pipe, whose FIFOs do not "
                f"reach into {facts.name}'s virtual machine; use File or FastFile here"
            )


def read_only_note(facts: EngineFacts) -> str:
    """Say why channels are not writable, and what to do."""
    return (
        f"channels are read-only: {facts.name} cannot overlay this machine's folders; "
        "CHANNELS=rw lets the job write into yours"
    )
