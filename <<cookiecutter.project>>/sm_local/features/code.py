"""CODE: whether code/ is mounted over the image's own /opt/ml/code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..machine import EngineFacts
from ..plan import Code, Container, Mount, Piece, Plan

CODE, TARGET = "code", "/opt/ml/code"


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with code/ mounted for images made to run it; the sandbox has no image.

    A toolkit unpacks an archive from S3 only where that folder is empty (TK), so a job that has
    one must not see it. The project's own image has code there: a toolkit fetches nothing.
    """
    foreign = plan.image_source == "other" and facts.has_images
    own = plan.image_source in ("own", "named") and facts.has_images
    wanted = settings["CODE"]
    if wanted == "mount" or (wanted == "auto" and not foreign and (own or not plan.fetches_code)):
        small = "cow" if facts.overlay_is_cheap else "copy"
        large = "cow" if facts.can_overlay else "readonly"
        return plan.each(lambda one: change(one, lambda code: Code(code.target, small, large)))
    return plan.each(without_code)


def without_code(container: Container) -> Container:
    """Return a container that runs the code in its image."""
    layout = tuple(piece for piece in container.layout if not is_code(piece))
    return replace(container, layout=layout)


def live(plan: Plan) -> Plan:
    """Return the plan with code/ itself mounted, for a person who edits on both sides."""
    if not plan.runs_code:
        return plan
    plan = plan.each(lambda one: change(one, lambda code: Mount(CODE, code.target)))
    first = {key: name for key, name in plan.handed_back.items() if not name.startswith("new-")}
    return replace(plan, handed_back={**first, CODE: CODE, **plan.handed_back})


def change(container: Container, to: Callable[[Code], Piece]) -> Container:
    """Return a container with what a function makes of code/."""
    layout = tuple(to(piece) if isinstance(piece, Code) else piece for piece in container.layout)
    return replace(container, layout=layout)


def is_code(piece: Piece) -> bool:
    """Return whether a piece of a layout is code/ in the place of the image's own."""
    return isinstance(piece, Code) and piece.target == TARGET
