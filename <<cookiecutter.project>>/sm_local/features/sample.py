"""SAMPLE: a part of each channel's files, as a view of links. Nothing is copied.

libexec/objects.py chooses them: the same files each time, until SAMPLE_SEED changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..machine import EngineFacts
from ..plan import Container, Feed, Mount, Piece, Plan, Prefix, View

Words = tuple[str, ...]
LIST = "list_objects"  # the view that is only the manifest beside a channel


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with a view in the place of each channel; of pipes, with fewer objects."""
    wanted, seed = settings["SAMPLE"], settings["SAMPLE_SEED"]
    if not wanted:
        return plan
    options = ("--sample", wanted, "--seed", seed)
    telling = {name: one.host for one in reversed(plan.containers) for name in channels(one)}
    if not telling:
        return plan.noting(f"SAMPLE={wanted} changes nothing: the job has no channels")

    def change(one: Container) -> Container:
        return sampled(one, options, [name for name, host in telling.items() if host == one.host])

    files = "file" if wanted == "1" else "files"
    what = f"{wanted} of the files" if "%" in wanted else f"{wanted} {files} of each channel"
    return replace(plan.each(change), sample=what if seed == "0" else f"{what}, seed {seed}")


def channels(container: Container) -> list[str]:
    """Return the names of a host's channels."""
    return [name for piece in container.layout if (name := getattr(piece, "channel", ""))]


def sampled(container: Container, options: Words, telling: list[str]) -> Container:
    """Return a host that sees a sample; of a channel's hosts, the first tells how many files."""

    def objects(piece: Feed | View) -> Words:
        tells = piece.channel in telling and getattr(piece, "function", "") != LIST
        return (*piece.objects, *options, *(("--tell", piece.channel) if tells else ()))

    layout = [piece for piece in container.layout if not isinstance(piece, Prefix)]
    views = [*folders(container), *container.views]
    return replace(
        container,
        layout=tuple(
            replace(piece, objects=objects(piece)) if isinstance(piece, Feed) else shown(piece)
            for piece in layout
        ),
        views=tuple(replace(view, function=whole(view), objects=objects(view)) for view in views),
    )


def shown(piece: Piece) -> Piece:
    """Return a channel's mount with its view as the source, any other piece as it is."""
    if isinstance(piece, Mount) and piece.channel:
        return replace(piece, source=f"views/{piece.channel}", own=True)
    return piece


def folders(container: Container) -> Iterator[View]:
    """Yield views of the channels that have been folders as they are."""
    for piece in container.layout:
        if isinstance(piece, Mount) and piece.channel and piece.source and not piece.own:
            yield View("view", piece.channel, (f"file:{piece.source}",))


def whole(view: View) -> str:
    """Return the function that makes a view: of a sample, no folder of the mirror is enough."""
    return "view" if view.function == "view_prefix" else view.function
