"""Call functions of sm_local/lib and libexec one by one, in a Bash of their own."""

import subprocess
from pathlib import Path

from conftest import TEMPLATE, clean_environment

SM_LOCAL = TEMPLATE / "sm_local"


def bash(folder: Path, names: str, body: str, *arguments: str, check: bool = True, **variables):
    """Source files by their names, run a body in a folder, and return what it said."""
    sources = "\n".join(f'source "$SM_LOCAL/{name}.sh"' for name in names.split())
    return subprocess.run(
        ["bash", "-p", "-c", f"set -euo pipefail\n{sources}\n{body}", "recipe", *arguments],
        cwd=folder,
        env=clean_environment(SM_LOCAL=str(SM_LOCAL), **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=check,
    )


def a_job(folder: Path, name: str = "j", **facts: str) -> Path:
    """Make a job's folder and return it."""
    place = folder / "output" / name
    for part in ("record", "model", "output/data"):
        (place / part).mkdir(parents=True)
    for fact, value in facts.items():
        (place / "record" / fact).write_text(f"{value}\n")
    return place


def identity(process: int) -> str:
    """Return what a recipe records of itself, for any process: number, start time, machine."""
    body = 'find_start "$1"; echo "$1 $start $HOSTNAME"'
    return bash(Path(), "lib/process", body, str(process)).stdout.strip()
