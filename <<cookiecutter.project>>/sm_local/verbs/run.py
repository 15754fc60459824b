"""`make train`: run a plan as SageMaker would. Knows no kind of job and no engine."""

from __future__ import annotations

from ..engines import Engine
from ..plan import Code, Container, Debugger, Feed, Mount, Parking, Piece, Plan, Prefix, View
from ..script import (
    DIR,
    JOB,
    VIEW,
    Recipe,
    array,
    assign,
    assign_array,
    call,
    fill_array,
    glue,
    host_folder,
    own,
)
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
    return run(verb, *planning.plan_and_engine(kind, values, given)).text()


def run(verb: str, plan: Plan, engine: Engine) -> Recipe:
    """Return the recipe of a job, from top to bottom as it runs."""
    headline = say_first(plan, engine, plan.max_seconds)
    libraries = (*LIBRARIES, *data_libraries(plan), *engine.libraries(plan))
    recipe = Recipe(verb, headline, (*engine.first, *optional_libraries(plan), *libraries))
    recipe.bash(*engine.opening(plan))
    recipe.bash(*known(plan), "", *before_anything(plan))
    make_folders(recipe, plan, engine)
    recipe.bash(*engine.before(plan))
    if not plan.parking:
        recipe.say(glue(JOB, ":"), headline)
    for note in plan.notes:
        recipe.say(note)
    if plan.runs_code:
        recipe.call("take_code")
    make_views(recipe, plan)
    start_hosts(recipe, plan, engine)
    recipe.bash(*engine.meanwhile(plan), "sweep_beside")
    first = host_folder(plan.below(plan.containers[0], "").rstrip("/"))
    recipe.call("point_links", first, *plan.results)
    finish(recipe, plan, engine)
    return recipe


def say_first(plan: Plan, engine: Engine, max_seconds: str = "") -> str:
    """Return what runs where, and what makes it no ordinary job, in one line."""
    sample = f"a sample: {plan.sample}" if plan.sample else ""
    limit = f"at most {max_seconds} s" if max_seconds else ""
    return ", ".join(filter(None, (engine.headline(plan), sample, limit)))


def known(plan: Plan) -> list[str]:
    """Return what lib/job.sh knows of a job."""
    graces = assign(stop_grace=plan.stop_grace, interrupt_grace=plan.interrupt_grace)
    return [graces, *([assign(sample=plan.sample)] if plan.sample else [])]


def optional_libraries(plan: Plan) -> tuple[str, ...]:
    """Return the files of lib/ that few jobs need."""
    needed = (("deadline", plan.max_seconds), ("terminal", plan.at_terminal))
    return tuple(name for name, is_needed in needed if is_needed)


def deadline(plan: Plan) -> list[str]:
    """Return what limits a job's time."""
    return [call("limit_time", plan.max_seconds)] if plan.max_seconds else []


def before_anything(plan: Plan) -> list[str]:
    """Return what refuses a job, or looks at what it runs, before its folder is made."""
    found = (("need_terminal", plan.at_terminal), ("look_at_code", plan.runs_code))
    return [function for function, needed in found if needed]


def finish(recipe: Recipe, plan: Plan, engine: Engine) -> None:
    """Wait for the job's end; keep what it wrote, and nothing else."""
    recipe.call("wait_job")
    if plan.at_terminal:
        recipe.call("leave_terminal")
    recipe.bash(*(["drop_deadline"] if plan.max_seconds else []))
    recipe.bash(*engine.after(plan), *drop_inputs(plan))
    recipe.bash("if ! started; then not_started; fi")
    if plan.debug_ports:
        recipe.call("look_for_debugger")
    recipe.call("settle", DIR, *plan.handed_back)
    recipe.call("pack", plan.archives, DIR, otherwise="true")  # it has said why
    if plan.parking:
        recipe.call("trap", call("park", *parking_words(plan.parking)), "EXIT")
    recipe.call("verdict", plan.produces)


def data_libraries(plan: Plan) -> tuple[str, ...]:
    """Return the files of lib/ for code/, channels that are more than folders, a debugger."""
    feeds = any(isinstance(piece, Feed) for one in plan.containers for piece in one.layout)
    views = plan.checks or any(container.views for container in plan.containers)
    pipes = feeds or "drop_pipes" in drop_inputs(plan)
    debugs = bool(plan.debug_ports)
    needed = (("code", plan.runs_code), ("view", views), ("pipe", pipes), ("debugger", debugs))
    return tuple(name for name, is_needed in needed if is_needed)


def make_folders(recipe: Recipe, plan: Plan, engine: Engine) -> None:
    """Refuse a job whose data is not here; make its folder, and in it what its hosts mount."""
    for check in plan.checks:
        recipe.call(*check)
    if plan.debug_ports:
        recipe.call("need_debugger", *map(str, plan.debug_ports))
    copied = ("cow",) if plan.runs_code else ()
    folders = [
        plan.below(container, name)
        for container in plan.containers
        for name in (*container.folders, *copied, *engine.scratch(container))
    ]
    folders += ["code"] if plan.runs_code else []
    if plan.parking:
        take_parked(recipe, plan, engine, folders)
    else:
        recipe.command("", [["new_job", plan.stem], folders])
    facts = {"engine": engine.facts.name, "verb": recipe.verb, "stop_grace": plan.stop_grace}
    if plan.sample:
        facts["sample"] = plan.sample
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


def start_hosts(recipe: Recipe, plan: Plan, engine: Engine) -> None:
    """Start all hosts, and what lives as long as they do."""
    if plan.parking:
        recipe.bash(*deadline(plan))
        start_parked(recipe, plan, engine, plan.parking)
        return
    recipe.bash(*engine.beside(plan), *deadline(plan))
    for container in plan.containers:
        start(recipe, plan, engine, container)


def start(recipe: Recipe, plan: Plan, engine: Engine, container: Container) -> None:
    """Start one host."""
    furnish(recipe, plan, engine, container)
    recipe.bash(*engine.claim(plan, container))
    recipe.command("start_job", engine.run(plan, container))


def take_parked(recipe: Recipe, plan: Plan, engine: Engine, folders: list[str]) -> None:
    """Make the folder of a job whose container may be there already; say what that rests on."""
    outside = [mount for mount in plan.mounts if not mount.own]
    lower = [mount.source for mount in outside if mount.mode == "cow"]
    recipe.bash(assign_array("lower", lower))
    recipe.bash(assign_array("bound", [one.source for one in outside if one.source not in lower]))
    folders = [*folders, *(["cow/+copy"] if plan.runs_code else [])]
    flat = [name for name in folders if "/" not in name]
    deep = [name for name in folders if "/" in name]
    recipe.bash(*fill_array("folders", [flat, deep]))
    recipe.call("begin_job", plan.stem)
    recipe.bash(*engine.claim(plan, plan.containers[0]), "take_parked")
    recipe.call("furnish_job", array("folders"))


def start_parked(recipe: Recipe, plan: Plan, engine: Engine, parking: Parking) -> None:
    """Start the one host of a job by its parked container, and then what may come later."""
    container = plan.containers[0]
    furnish(recipe, plan, engine, container)
    recipe.bash(*engine.park(plan, container))
    recipe.call("fit_parked", *parking_words(parking)[1:])
    recipe.call("say_start", engine.headline(plan))
    recipe.command("start_job", engine.run(plan, container))
    recipe.bash("leave_parked", *engine.beside(plan))


def parking_words(parking: Parking) -> tuple[str, str]:
    """Return what lib/parked.sh is told: how long, and what is imported."""
    return str(parking.seconds), ",".join(parking.preload)


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
    elif isinstance(piece, Debugger):
        recipe.call("show_debugger")
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
