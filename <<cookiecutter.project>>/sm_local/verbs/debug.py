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
    engine = planning.find_engine(values)
    plan = planning.make_plan(KINDS[verb], values, given, engine)
    return run("debug", debugger.debugged(plan, values, engine.facts), engine).text()
