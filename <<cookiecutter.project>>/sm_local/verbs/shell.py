"""`make shell`: a shell where `make train` would run, with a job's folder of its own."""

from __future__ import annotations

from dataclasses import replace

from ..engines import Engine
from ..features import code
from ..plan import Plan
from ..script import JOB, Bash, Recipe, glue
from . import planning
from .run import data_libraries, drop_inputs, furnish, make_folders, make_views, say_first

LIBRARIES = ("say", "record", "process", "folder", "sweep", "results", "shell")
WITH_SIDECARS = {"pipe", "credentials", "handback", "sandbox"}  # these start processes beside it


def write(given: dict[str, str]) -> str:
    """Return the recipe of `make shell`: as algo-1, without the other hosts."""
    values = planning.read_settings(given)
    plan, engine = planning.plan_and_engine("training", values, given, alone=True)
    return shell(plan, engine).text()


def shell(plan: Plan, engine: Engine) -> Recipe:
    """Return the recipe of a shell, from top to bottom as it runs."""
    plan = replace(code.live(plan), parking=None)
    headline, container = say_first(plan, engine), plan.containers[0]
    needed = (*data_libraries(plan), *engine.libraries(plan, shell=True))
    sidecar = ("sidecar",) if WITH_SIDECARS & set(needed) else ()
    libraries = (*engine.first, *LIBRARIES, *sidecar, *needed)
    recipe = Recipe("shell", headline, libraries)
    recipe.bash(*engine.opening(plan), "", *engine.before_shell(plan))
    make_folders(recipe, plan, engine)
    recipe.bash(*engine.before(plan), *engine.name_shell(plan))
    recipe.say(glue(JOB, ":"), headline)
    recipe.bash("sweep")
    make_views(recipe, plan)
    # signals are for the shell inside; `:` and not '', which it would inherit
    recipe.bash("trap : INT TERM HUP USR1", *engine.beside(plan))
    furnish(recipe, plan, engine, container)
    recipe.bash("rc=0")
    recipe.command("", engine.shell(plan, container), otherwise="rc=$?")
    recipe.bash(*engine.after(plan), *drop_inputs(plan), "drop_copies")
    recipe.call("leave_shell", Bash('"$rc"'))
    return recipe
