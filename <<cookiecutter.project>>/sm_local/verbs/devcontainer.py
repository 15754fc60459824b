"""`make devcontainer`: .devcontainer/, by which an editor works in the training container.

Made of the same plan and options as the recipe of `make train`. What differs is meant: process 1 is
the editor's, data is read-only, model and output stay in the container.
"""

from __future__ import annotations

import json
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..engines import Engine
from ..errors import SmLocalError
from ..kinds.layout import ML
from ..plan import STAMP, Container, Feed, Mount, Plan, Prefix
from . import planning

FOLDER = Path(".devcontainer")
FILE, CONFIG = FOLDER / "devcontainer.json", FOLDER / "config"
MARK = "// written by 'make devcontainer', sum {:08x}; after a change of job.yaml: once more\n"
PROJECT, LOOKED_UP = "${localWorkspaceFolder}/", "${{localEnv:{}}}"
SCRIPT = ["bash", "-p", "sm_local/libexec/devcontainer.sh"]
KERNELS = ".devcontainer/kernels"
KERNEL = "/opt/sm-local/kernel"
SPECS = "/usr/local/share/jupyter/kernels"  # where Jupyter looks, whoever calls it
NAME = "-devcontainer"  # in the place of the time in a job's name
EXTENSIONS = ["ms-python.python", "ms-python.debugpy", "ms-toolsai.jupyter"]


def write(given: dict[str, str]) -> str:
    """Write the files; return what to say. Raises SmLocalError."""
    return written(given, kernel=False)[0]


def jupyter(given: dict[str, str]) -> int:
    """Write the files, with a kernel that is fetched now; return the exit status."""
    text, command = written(given, kernel=True)
    print(text, end="", flush=True)
    return subprocess.run(command, check=False).returncode


def written(given: dict[str, str], kernel: bool) -> tuple[str, list[str]]:
    """Write the files; return what to say, and what an editor runs here first."""
    values = planning.read_settings(given)
    plan, engine = planning.plan_and_engine("training", values, given, alone=True)
    body = described(plan, engine, kernel)
    text = json.dumps(body, indent=2, ensure_ascii=False) + "\n"
    refuse_yours()
    for name, content in files(plan.containers[0], kernel).items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(named(content), encoding="utf-8")
    FILE.write_text(MARK.format(zlib.crc32(text.encode())) + text, encoding="utf-8")
    said = [f"{FILE} is written: 'Reopen in Container' in VS Code, or 'devcontainer up'"]
    said += left_out(plan)
    return "".join(f"sm-local: {line}\n" for line in said), body["initializeCommand"]


def files(container: Container, kernel: bool) -> dict[str, str]:
    """Return the files beside devcontainer.json: those that SageMaker writes, and the kernel's."""
    config = {f"{CONFIG.name}/{name}": text for name, text in container.files.items()}
    if not kernel:
        return config
    path = ":".join(filter(None, [container.environment.get("PYTHONPATH"), KERNEL]))
    spec = {
        "argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "training container",
        "language": "python",
        "env": {"PYTHONPATH": path},  # the kernel's alone: a job has no such package
    }
    return {**config, "kernels/sm-local/kernel.json": json.dumps(spec), ".gitignore": "kernel\n"}


def described(plan: Plan, engine: Engine, kernel: bool) -> dict:
    """Return devcontainer.json as a value."""
    first, image = plan.containers[0], f"localhost/{plan.stem.lower()}{NAME}:latest"
    environment = {**first.variables, **first.environment}
    looked_up = {name: LOOKED_UP.format(name) for name in plan.passed}
    first_here = [engine.facts.name, plan.image_source, plan.image, image, plan.remedy]
    beside = [bind(".devcontainer/kernel", KERNEL, ",readonly"), bind(KERNELS, SPECS, ",readonly")]
    return {
        "name": plan.stem,
        "image": image,  # a name that no registry resolves: a missing one is not pulled
        "initializeCommand": [*SCRIPT, *first_here, *(["kernel"] if kernel else [])],
        "overrideCommand": True,
        "updateRemoteUserUID": False,
        "workspaceFolder": f"{ML}/code",
        "workspaceMount": bind("code", f"{ML}/code"),
        "runArgs": engine.look(plan, first),
        "containerEnv": {**{k: named(v) for k, v in environment.items()}, **looked_up},
        "mounts": [*mounts(first), *(beside if kernel else [])],
        "postCreateCommand": ["mkdir", "-p", *made(first)],
        "customizations": {"vscode": {"extensions": EXTENSIONS}},
    }


def named(text: str) -> str:
    """Return a value of a job's with a name that is no job's."""
    return text.replace(STAMP, NAME)


def bind(source: str, target: str, mode: str = "") -> str:
    """Return a mount of one of the project's folders."""
    return f"source={PROJECT}{source},target={target},type=bind{mode}"


def mounts(container: Container) -> Iterator[str]:
    """Yield what the container sees of the project: config files, data, checkpoints."""
    prefix = ""
    for piece in container.layout:
        if isinstance(piece, Prefix):
            prefix = piece.folder
        elif not isinstance(piece, Mount):
            continue
        elif piece.source == "config" and piece.own:
            yield bind(str(CONFIG), piece.target, ",readonly")
        elif piece.channel and not piece.own:
            yield bind(piece.source or prefix, piece.target, ",readonly")
        elif not piece.own:
            yield bind(piece.source, piece.target)


def made(container: Container) -> list[str]:
    """Return the folders that are the container's own, as they are a job's."""
    own = [one for one in container.layout if isinstance(one, Mount) and one.own]
    targets = [one.target for one in own if one.source != "config" and not one.channel]
    return [*targets, f"{ML}/output/data"]


def left_out(plan: Plan) -> Iterator[str]:
    """Yield what a job would see and an editor does not."""
    for piece in plan.containers[0].layout:
        if isinstance(piece, Feed) or (isinstance(piece, Mount) and piece.channel and piece.own):
            yield f"channel {piece.channel} is left out: it is made for each job anew"
    if plan.credentials or plan.isolated:
        yield "credentials and network isolation are left out: they are a job's"


def refuse_yours() -> None:
    """Raise SmLocalError for a file that somebody else wrote, or has changed."""
    if not FILE.exists():
        return
    mark, _, text = FILE.read_text(encoding="utf-8").partition("\n")
    if f"{mark}\n" != MARK.format(zlib.crc32(text.encode())):
        raise SmLocalError(f"{FILE} is yours, or changed by you; move it away and run it again")
