"""From what a person wrote to a plan and the engine that runs it."""

from __future__ import annotations

from pathlib import Path

from .. import features, machine, settings
from ..engines import ENGINES, Engine
from ..errors import SmLocalError
from ..kinds import KINDS
from ..machine import EngineFacts
from ..plan import Plan

Given = dict[str, str]  # the command line's values


def read_settings(given: Given, builds: bool = False) -> dict[str, str]:
    """Return the settings. IMAGE names the project's own image for `build`, else any to run."""
    own = {key: value for key, value in given.items() if key != "IMAGE" or builds}
    return settings.read(Path(), own)


def find_engine(values: dict[str, str]) -> Engine:
    """Return the engine that the settings mean. Raises SmLocalError if it cannot be used."""
    return engine_of(machine.require(machine.find_engine(values["ENGINE"])))


def engine_of(facts: EngineFacts) -> Engine:
    """Return the engine that the facts are about."""
    return ENGINES[facts.name](facts)


def finish(plan: Plan, values: dict[str, str], engine: Engine) -> Plan:
    """Return a kind's plan as the settings and the engine change it. Raises SmLocalError."""
    return engine.accept(features.apply(plan, values, engine.facts))


def plan_and_engine(
    kind: str, values: dict[str, str], given: Given, alone: bool = False
) -> tuple[Plan, Engine]:
    """Return the plan of the project in the current folder, and the engine. Raises SmLocalError.

    Where no engine answers, a typo in what a person wrote is told instead.
    """
    try:
        engine = find_engine(values)
    except SmLocalError:
        KINDS[kind].plan(Path(), values, given, alone)
        raise
    return make_plan(kind, values, given, engine, alone), engine


def make_plan(
    kind: str, values: dict[str, str], given: Given, engine: Engine, alone: bool = False
) -> Plan:
    """Return the plan of the project in the current folder. Raises SmLocalError.

    `alone` is for the first host only.
    """
    if "IMAGE" in given and not engine.facts.has_images:
        raise SmLocalError(
            f"IMAGE={given['IMAGE']}: the sandbox has no images; use ENGINE=docker or ENGINE=podman"
        )
    return finish(KINDS[kind].plan(Path(), values, given, alone), values, engine)
