"""CODE: whether code/ is mounted over the image's own /opt/ml/code."""

from __future__ import annotations

from dataclasses import replace

from ..machine import EngineFacts
from ..plan import Container, Mount, Plan

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
        return hand_back(plan)
    return plan.each(without_code)


def hand_back(plan: Plan) -> Plan:
    """Return the plan with code/ among what a job may have written: behind the checkpoints."""
    if not any(is_code(piece) for piece in plan.mounts):
        return plan
    first = {key: name for key, name in plan.handed_back.items() if not name.startswith("new-")}
    return replace(plan, handed_back={**first, CODE: CODE, **plan.handed_back})


def without_code(container: Container) -> Container:
    """Return a container that runs the code in its image."""
    layout = tuple(piece for piece in container.layout if not is_code(piece))
    return replace(container, layout=layout)


def is_code(piece: object) -> bool:
    """Return whether a piece of a layout is the user's code/."""
    return isinstance(piece, Mount) and piece.target == TARGET and not piece.own
