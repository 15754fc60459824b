"""Do one verb: the table of verbs, and the only place that prints an error and exits.

usage: python -m sm_local VERB [WORD…]

Values come from the environment: SM_LOCAL_GIVEN names those that were typed behind `make`, which
exports them. A verb returns the text of its recipe, which is printed, or an exit status.
"""

from __future__ import annotations

import sys

# Ctrl-C while modules are read: Python ends of it as ever, and shows nobody where that was.
sys.excepthook = lambda kind, value, trace: (
    None if issubclass(kind, KeyboardInterrupt) else sys.__excepthook__(kind, value, trace)
)

import difflib  # noqa: E402
import importlib  # noqa: E402
import io  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
from pathlib import Path  # noqa: E402

from . import settings  # noqa: E402
from .errors import SmLocalError  # noqa: E402
from .script import quote  # noqa: E402

# verb: module and function; imported when asked for, as some need more than the standard library
VERBS = {
    "train": ("verbs.run", "train"),
    "process": ("verbs.run", "process"),
    "debug": ("verbs.debug", "write"),
    "shell": ("verbs.shell", "write"),
    "watch": ("verbs.watch", "run"),
    "build": ("verbs.build", "write"),
    "pull-dlc": ("verbs.pull", "write"),
    "data": ("verbs.data", "run"),
    "doctor": ("verbs.doctor", "run"),
    "conform": ("verbs.conform", "run_all"),
    "upgrade": ("verbs.upgrade", "run"),
    "devcontainer": ("verbs.devcontainer", "write"),
    "jupyter": ("verbs.devcontainer", "jupyter"),
    "explain": ("verbs.explain", "write"),
    "unknown": ("verbs.unknown", "run"),
}
OTHERS = (
    "JOB",
    "HP",
    "VERB",
    "FULL",
    "EXPLAIN",
    "DRY_RUN",
    "FOLLOW",
    "JSON",
    "YES",
    "VERSION",
)  # what the command line knows besides settings


def main(arguments: list[str]) -> int:
    """Do one verb; return the exit status."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        print(f"usage: python -m sm_local {'|'.join(VERBS)}", file=sys.stderr)
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper):  # a recipe has values byte for byte
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    module_name, function = VERBS[arguments[0]]
    try:
        module = importlib.import_module(f".{module_name}", __package__)
        result = getattr(module, function)(read_given())
    except KeyboardInterrupt:
        said = getattr(
            sys.modules.get(f"{__package__}.{module_name}"), "INTERRUPTED", "interrupted"
        )
        print(f"sm-local: {said}", file=sys.stderr)
        return 130
    except SmLocalError as error:
        print(*(f"sm-local: {line}" for line in shown(error)), sep="\n", file=sys.stderr)
        return 1
    if isinstance(result, int):
        return result
    return show(result)


def show(text: str) -> int:
    """Print a recipe; return the exit status."""
    try:
        print(text, end="", flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would say it again as it ends
        print(f"sm-local: the recipe was not written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def shown(error: SmLocalError) -> list[str]:
    """Return an error's lines without what in a value would move the terminal's cursor."""
    return [re.sub(r"[^ -~]", _visible, line) for line in str(error).split("\n")]


def _visible(found: re.Match[str]) -> str:
    """Return a character as it is, or as an escape where it has no shape of its own."""
    return found[0] if found[0].isprintable() else found[0].encode("unicode_escape").decode()


def read_given() -> dict[str, str]:
    """Return the command line's values. Raises SmLocalError for a name that means nothing."""
    names = os.environ.get("SM_LOCAL_GIVEN", "").split()
    known = (*settings.RULES, *OTHERS)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SmLocalError("\n".join(misunderstood(name, known) for name in unknown))
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def misunderstood(name: str, known: tuple[str, ...]) -> str:
    """Say that a name means nothing, and what to write: the right case, HP, or the nearest name."""
    value = os.environ.get(name, "")
    if name.upper() in known:
        pasted = quote(value) if name.upper() != "HP" or "'" in value else f"'{value}'"
        return f"{name}={value}: names are in capitals; write {name.upper()}={pasted}"
    for known_name in hyperparameter_names():
        if name.lower() == known_name.lower():
            pair = f"{known_name}={quote(value)}"
            pair = quote(pair) if "'" in pair else f"'{pair}'"
            return f"{name}={value}: {known_name} is a hyperparameter; write HP={pair}"
    near = difflib.get_close_matches(name.upper(), known, 1)
    hint = (
        f"did you mean {near[0]}?"
        if near
        else "settings.env lists the settings, 'make help' the rest"
    )
    return f"{name}={value}: make knows no {name}; {hint}"


def hyperparameter_names() -> list[str]:
    """Return those of the job; none where its files have errors, which are not the point now."""
    from .request import hyperparameters, reading

    job = os.environ.get("JOB") or "job.yaml"
    try:
        body = reading.read(Path(job)).body if Path(job).exists() else {}
        return [*body.get("HyperParameters", {}), *hyperparameters.read(Path()).body]
    except (SmLocalError, ImportError):  # the doctor runs without ruamel.yaml
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
