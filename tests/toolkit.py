"""The real sagemaker-training, and folders that stand in for /opt/ml, to compare `train` with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import house
from conftest import CACHE, TEMPLATE

REAL = "sagemaker-training==5.1.4"
TRAIN = TEMPLATE / "container/train"
# Imported when Python starts, from the script's folder: records what the script is given.
WITNESS = """\
import atexit, json, os, sys
def told():
    sm = {k: v for k, v in os.environ.items() if k.startswith("SM_")}
    seen = {"sm": sm, "argv": sys.argv, "cwd": os.getcwd()}
    with open(os.environ["SM_MODEL_DIR"] + "/seen.json", "w") as file:
        json.dump(seen, file)
if "SM_MODEL_DIR" in os.environ and sys.argv[:1] != ["-c"]:  # and not a helper of multiprocessing
    parent = os.getpid()
    atexit.register(lambda: os.getpid() == parent and told())
"""


def real_toolkit() -> Path:
    """Return the folder of programs of an environment with the real toolkit; it stays in the cache.

    It has a C extension, so this needs a compiler and Python's headers.
    """
    folder = CACHE / f"{REAL}-{sys.version_info[0]}.{sys.version_info[1]}"
    with house.locked("toolkit"):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [folder / "bin/pip", "--disable-pip-version-check", "install", "--quiet"]
            subprocess.run([*pip, REAL, "setuptools", "wheel"], check=True)
            (folder / "ready").touch()
    return folder / "bin"


def packages(requirement: str, python: str) -> Path:
    """Return a folder with a package and what it needs for a version of Python; in the cache."""
    folder = CACHE / f"{requirement}-{python}"
    with house.locked(requirement):
        if not (folder / "ready").exists():
            words = ["--target", folder, "--python-version", python, "--only-binary", ":all:"]
            uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet"]
            subprocess.run([*uv, *words, requirement], check=True)
            (folder / "ready").touch()
    return folder


@dataclass
class Ended:
    """How a run ended, and what it printed."""

    status: int
    out: str
    err: str


class Tree:
    """A folder that stands in for /opt/ml, by the toolkit's own SAGEMAKER_BASE_DIR."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.empty()

    def empty(self) -> None:
        """Make it as SageMaker does before a job."""
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in ("input/config", "input/data", "code", "model", "output/data"):
            (self.root / folder).mkdir(parents=True)

    def config(self, **files: object) -> None:
        """Write files of input/config."""
        for name, value in files.items():
            (self.root / f"input/config/{name}.json").write_text(json.dumps(value))

    def code(self, text: str, name: str = "train.py") -> Path:
        """Write a file of the code."""
        path = self.root / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, program: Path | str = TRAIN, python: Path | None = None, **more: str) -> Ended:
        """Run `train` in a clean environment; the given folder's python3 is the first on PATH."""
        first = python or Path(sys.executable).parent
        environment = {
            "HOME": str(self.root),
            "PATH": f"{first}:/usr/bin:/bin",
            "SAGEMAKER_BASE_DIR": str(self.root),
            **more,
        }
        done = subprocess.run(
            [program], cwd="/", env=environment, capture_output=True, text=True, timeout=120
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def failure(self) -> str | None:
        """Return what the job said of its failure."""
        path = self.root / "output/failure"
        return path.read_text() if path.exists() else None

    def seen(self) -> dict:
        """Return what the script's witness wrote."""
        text = (self.root / "model/seen.json").read_text()
        return json.loads(text.replace(str(self.root), "/opt/ml"))


def plain(path: Path) -> Ended:
    """Run a script by itself, as a person does in its folder."""
    done = subprocess.run(
        [sys.executable, "-u", path.name],
        cwd=path.parent,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
