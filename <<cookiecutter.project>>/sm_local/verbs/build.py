"""`make build`: make the project's image from container/ and code/."""

from __future__ import annotations

from ..engines import Engine
from ..script import Recipe
from . import planning


def write(given: dict[str, str]) -> str:
    """Return the recipe of `make build`. Raises SmLocalError."""
    values = planning.read_settings(given, builds=True)
    return build(values, planning.find_engine(values)).text()


def build(values: dict[str, str], engine: Engine) -> Recipe:
    """Return the recipe that builds with an engine."""
    facts = engine.facts
    version = f" {facts.version}" if facts.has_images else ""
    libraries = ("say", "build", "company", "builder") if facts.has_images else ("say",)
    recipe = Recipe("build", f"engine {facts.name}{version}", libraries)
    recipe.bash(*engine.build(values))
    return recipe
