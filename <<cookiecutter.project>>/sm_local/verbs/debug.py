"""`make debug`: the job of `make train`, or of `make process`, under a debugger."""

from __future__ import annotations

from ..errors import SmLocalError
from ..features import debugger
from . import planning
from .run import run

KINDS = {"train": "training", "debug": "training", "process": "processing"}


def write(given: dict[str, str]) -> str:
    """Return the recipe of `make debug`. VERB says whose job; `make recipe VERB=debug` is train's.

    Raises SmLocalError.
    """
    verb = given.get("VERB", "train")
    if verb not in KINDS:
        raise SmLocalError(f"VERB={verb}: 'make debug' debugs VERB=train or VERB=process")
    values = planning.read_settings(given)
    plan, engine = planning.plan_and_engine(KINDS[verb], values, given)
    return run("debug", debugger.debugged(plan, values, engine.facts), engine).text()
