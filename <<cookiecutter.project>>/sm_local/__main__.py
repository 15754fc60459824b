"""Write a verb's recipe to stdout, or fetch a job's data; the only place that prints an error and exits.

usage: python -m sm_local VERB     VERB is train, shell, build, pull-dlc or data; values come from the environment as make exports them
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from . import engine as engines
from . import machine, recipe, settings
from .errors import SmLocalError
from .kinds import job as jobs

VERBS = ("train", "shell", "build", "pull-dlc", "data")
GIVEN = ("JOB", "HP", *settings.RULES)


def main(arguments: list[str]) -> int:
    """Do one verb; return the exit status."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        print(f"usage: python -m sm_local {'|'.join(VERBS)}", file=sys.stderr)
        return 2
    sys.stdout.reconfigure(
        encoding="utf-8", errors="surrogateescape"
    )  # a recipe has values byte for byte
    try:
        given = {key: os.environ[key] for key in GIVEN if os.environ.get(key)}
        if arguments[0] == "data":
            fetch(given)
        else:
            print(write(arguments[0], given), end="")
    except KeyboardInterrupt:
        print(
            "sm-local: interrupted"
            + ("; 'make data' again goes on from here" if arguments[0] == "data" else ""),
            file=sys.stderr,
        )
        return 130
    except SmLocalError as error:
        print(*(f"sm-local: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        return 1
    return 0


def fetch(given: dict[str, str]) -> None:
    """Fetch what a job's S3 channels name. Raises SmLocalError."""
    from .s3 import fetch as data

    values = settings.read(Path(), {key: value for key, value in given.items() if key != "IMAGE"})
    data.fetch(jobs.load(Path(), values, given), data.connect(values["REGION"]))


def write(verb: str, given: dict[str, str]) -> str:
    """Return a verb's recipe; `given` are the command line's values. Raises SmLocalError."""
    root = Path()
    # IMAGE names the project's own image for `build`; for the others it may be any, and the settings' one stays its own
    values = settings.read(
        root, {key: value for key, value in given.items() if key != "IMAGE" or verb == "build"}
    )
    engine = machine.require(machine.find_engine(values["ENGINE"]))
    if verb == "build":
        return recipe.build(values, engine)
    if verb == "pull-dlc":
        return recipe.pull_dlc(values, engine, given.get("REGION", ""))
    job = jobs.load(root, values, given)
    engines.check(job, engine, given)
    return {"train": recipe.train, "shell": recipe.shell}[verb](job, engine)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
