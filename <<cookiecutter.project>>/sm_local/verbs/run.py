"""`make train`: run a plan as SageMaker would. Knows no kind of job and no engine."""

from __future__ import annotations

from ..engines import Engine
from ..plan import Code, Container, Feed, Mount, Piece, Plan, Prefix, View
from ..script import DIR, JOB, VIEW, Recipe, assign, assign_array, glue, host_folder, own
from . import planning

LIBRARIES = (
    *("say", "record", "process", "sidecar", "folder", "sweep", "lines"),
    *("job", "results", "answer", "pack"),
)


def train(given: dict[str, str]) -> str:
    """Return the recipe of `make train`. Raises SmLocalError."""
    return _planned("train", "training", given)


def process(given: dict[str, str]) -> str:
    """Return the recipe of `make process`. Raises SmLocalError."""
    return _planned("process", "processing", given)


def _planned(verb: str, kind: str, given: dict[str, str]) -> str:
    values = planning.read_settings(given)
    engine = planning.find_engine(values)
    return run(verb, planning.make_plan(kind, values, given, engine), engine).text()


def run(verb: str, plan: Plan, engine: Engine) -> Recipe:
    """Return the recipe of a job, from top to bottom as it runs."""
    headline = engine.headline(plan)
    libraries = (*LIBRARIES, *data_libraries(plan), *engine.libraries(plan))
    libraries += ("terminal",) if plan.at_terminal else ()
    recipe = Recipe(verb, headline, libraries)
    recipe.bash(*engine.opening(plan))
    recipe.bash(assign(stop_grace=plan.stop_grace, interrupt_grace=plan.interrupt_grace), "")
    recipe.bash(*before_anything(plan))
    make_folders(recipe, plan, engine)
    recipe.bash(*engine.before(plan))
    recipe.say(glue(JOB, ":"), headline)
    for note in plan.notes:
        recipe.say(note)
    if plan.runs_code:
        recipe.call("take_code")
    make_views(recipe, plan)
    recipe.bash(*engine.beside(plan))
    for container in plan.containers:
        start(recipe, plan, engine, container)
    recipe.bash(*engine.meanwhile(plan), "sweep_beside")
    first = host_folder(plan.below(plan.containers[0], "").rstrip("/"))
    recipe.call("point_links", first, *plan.results)
    finish(recipe, plan, engine)
    return recipe


def before_anything(plan: Plan) -> list[str]:
    """Return what refuses a job, or looks at what it runs, before its folder is made."""
    found = (("need_terminal", plan.at_terminal), ("look_at_code", plan.runs_code))
    return [function for function, needed in found if needed]


def finish(recipe: Recipe, plan: Plan, engine: Engine) -> None:
    """Wait for the job's end; keep what it wrote, and nothing else."""
    recipe.call("wait_job")
    if plan.at_terminal:
        recipe.call("leave_terminal")
    recipe.bash(*engine.after(plan), *drop_inputs(plan))
    recipe.bash("if ! started; then not_started; fi")
    recipe.call("settle", DIR, *plan.handed_back)
    recipe.call("pack", plan.archives, DIR, otherwise="true")  # it has said why
    recipe.call("verdict", plan.produces)


def data_libraries(plan: Plan) -> tuple[str, ...]:
    """Return the files of lib/ for code/, and for channels that are more than folders."""
    feeds = any(isinstance(piece, Feed) for one in plan.containers for piece in one.layout)
    views = plan.checks or any(container.views for container in plan.containers)
    pipes = feeds or "drop_pipes" in drop_inputs(plan)
    needed = (("code", plan.runs_code), ("view", views), ("pipe", pipes))
    return tuple(name for name, is_needed in needed if is_needed)


def make_folders(recipe: Recipe, plan: Plan, engine: Engine) -> None:
    """Refuse a job whose data is not here; make its folder, and in it what its hosts mount."""
    for check in plan.checks:
        recipe.call(*check)
    copied = ("cow",) if plan.runs_code else ()
    folders = [
        plan.below(container, name)
        for container in plan.containers
        for name in (*container.folders, *copied, *engine.scratch(container))
    ]
    folders += ["code"] if plan.runs_code else []
    recipe.command("", [["new_job", plan.stem], folders])
    facts = {"engine": engine.facts.name, "verb": recipe.verb, "stop_grace": plan.stop_grace}
    recipe.call("record", *(f"{key}={value}" for key, value in facts.items()))
    if plan.locked:
        recipe.bash("[[ -d opt/ml/checkpoints ]] || mkdir -p opt/ml/checkpoints")


def make_views(recipe: Recipe, plan: Plan) -> None:
    """Make what shows objects that lie elsewhere, before the first of the hosts starts."""
    for container in plan.containers:
        if container.views and plan.several:
            recipe.call("on_host", container.host)
        objects: tuple[str, ...] = ()
        for view in container.views:
            make_view(recipe, view, objects)
            objects = view.objects


def make_view(recipe: Recipe, view: View, objects: tuple[str, ...]) -> None:
    """Make one view; its objects are named only where they are not the last view's."""
    if view.objects != objects:
        recipe.bash(assign_array("objects", view.objects))
    recipe.call(view.function, view.channel)


def start(recipe: Recipe, plan: Plan, engine: Engine, container: Container) -> None:
    """Start one host."""
    furnish(recipe, plan, engine, container)
    recipe.bash(*engine.claim(plan, container))
    recipe.command("start_job", engine.run(plan, container))


def furnish(recipe: Recipe, plan: Plan, engine: Engine, container: Container) -> None:
    """Write a host's config files and lay out its folders."""
    if plan.several:
        recipe.call("on_host", container.host)
    for name, text in container.files.items():
        recipe.call("write_config", name, text)
    for piece in container.layout:
        lay_out(recipe, piece)
    recipe.bash(*engine.furnish(plan, container))


def lay_out(recipe: Recipe, piece: Piece) -> None:
    """Put one folder, or one FIFO, into a container."""
    if isinstance(piece, Feed):
        recipe.bash(assign_array("objects", piece.objects))
        recipe.call("feed", piece.channel, *piece.options)
    elif isinstance(piece, Prefix):
        recipe.call("view_or_folder", piece.channel, piece.folder)
    elif isinstance(piece, Code):
        recipe.call("show_code", piece.target, piece.small, piece.large)
    else:
        mount(recipe, piece)


def mount(recipe: Recipe, piece: Mount) -> None:
    """Mount one folder or file."""
    source = own(piece.source) if piece.own else piece.source or VIEW
    if piece.mode == "cow":
        recipe.call("cow", source, piece.target, piece.channel)
    else:
        recipe.call("bind", source, piece.target, *["readonly"][: piece.mode == "ro"])


def drop_inputs(plan: Plan) -> list[str]:
    """Return what removes FIFOs and views, which only the running job needed."""
    pipes = any(mount.own and mount.source == "pipes" for mount in plan.mounts)
    views = any(container.views for container in plan.containers)
    found = (("drop_pipes", pipes), ("drop_views", views))
    return [function for function, needed in found if needed]
