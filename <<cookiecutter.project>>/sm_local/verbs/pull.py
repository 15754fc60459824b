"""`make pull-dlc`: fetch the Deep Learning Container: the public gallery's, or a region's ECR's."""

from __future__ import annotations

from .. import images
from ..engines import Engine
from ..errors import SmLocalError
from ..script import Recipe
from . import planning

ARM = ("arm64", "aarch64")


def write(given: dict[str, str]) -> str:
    """Return the recipe of `make pull-dlc`. Raises SmLocalError."""
    values = planning.read_settings(given)
    return pull(values, planning.find_engine(values), given.get("REGION", "")).text()


def pull(values: dict[str, str], engine: Engine, region: str) -> Recipe:
    """Return the recipe that pulls with an engine; no region means the public gallery."""
    facts, dlc, registry = engine.facts, values["DLC"], values["DLC_REGISTRY"]
    if not facts.has_images:
        raise SmLocalError("pull-dlc: needs Docker or Podman to keep images; the sandbox has none")
    source = images.dlc_source(dlc, region, registry)
    host, login_region = images.dlc_login(source, region or values["REGION"], registry)
    platform = values["PLATFORM"] or ("linux/amd64" if facts.arch in ARM else "")
    recipe = Recipe("pull-dlc", f"engine {facts.name} {facts.version}", ("say", "pull"))
    names = (source, images.dlc_local(dlc), host, login_region)
    recipe.call("pull_dlc", facts.name, *names, platform, values["UPDATE"])
    return recipe
