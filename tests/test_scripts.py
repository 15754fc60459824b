"""Scripts as people write them, unchanged: in our image, in the sandbox, with the real toolkit.

Each is told the same and ends the same. Those that need PyTorch are in test_torchrun.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import REPO, clean_environment, last_job, make
from toolkit import TRAIN, WITNESS, Tree, packages, real_toolkit

pytestmark = [pytest.mark.engine, pytest.mark.linux]
SCRIPTS = REPO / "tests/scripts"
SKLEARN = "scikit-learn==1.7.2"


@dataclass(frozen=True)
class Case:
    """A script: its program and hyperparameters, and how it ends."""

    program: str = "train.py"
    given: dict[str, str] = field(default_factory=lambda: {"epochs": "2", "learning-rate": "0.1"})
    needs: tuple[str, ...] = ()
    makes: str = ""
    status: int = 0
    reason: str | None = None


CASES = {
    "scikit": Case(
        given={"n-estimators": "5", "min-samples-leaf": '"2"'},
        needs=(SKLEARN,),
        makes="model.joblib",
    ),
    "shell": Case(program="train.sh", given={"epochs": "2", "lr": "0.1"}, makes="rows.txt"),
    "spawn": Case(program="main.py", makes="sums.json"),
    "package": Case(
        program="churn.train", needs=("pip==25.3", "setuptools==80.9.0"), makes="losses"
    ),
    "subfolder": Case(program="src/run.py", makes="ok"),
    "requirements": Case(needs=("pip==25.3",), makes="name"),
    "notebook": Case(makes="n.txt"),
    "logs": Case(
        status=1,
        reason=(
            "FileNotFoundError: [Errno 2] No such file or directory: "
            "'/opt/ml/input/data/training/validation.csv'\n  at /opt/ml/code/train.py:13 in load"
        ),
    ),
    "exit_text": Case(
        status=1,
        reason=(
            "SystemExit: this job needs a channel named validation\n"
            "  at /opt/ml/code/train.py:5 in <module>"
        ),
    ),
}


def wheel(folder: Path) -> Path:
    """Make the package that one script's requirements.txt names; nothing else has it."""
    folder.mkdir()
    about = "slugger-1.2.dist-info"
    files = {
        "slugger.py": "def slug(text):\n    return text.lower().replace(' ', '-')\n",
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: slugger\nVersion: 1.2\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(folder / "slugger-1.2-py3-none-any.whl", "w") as archive:
        for name, text in [*files.items(), (f"{about}/RECORD", record)]:
            archive.writestr(name, text)
    return folder


def version(*command: str) -> str:
    """Return a Python's version as packages are made for it."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([*command, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def environment_for(case: Case, python: str, wheels: Path) -> dict[str, str]:
    """Return variables that let a job find what the script needs, and pip no network."""
    values = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_BUILD_ISOLATION": "false"}
    if case.needs:
        values["PYTHONPATH"] = ":".join(str(packages(name, python)) for name in case.needs)
    return values


def in_project(project: Path, case: Case, engine: str, values: dict[str, str]) -> dict:
    """Run a script by `make train`; return what it saw and how it ended."""
    request = {
        "HyperParameters": {**case.given, "sagemaker_program": case.program},
        "Environment": values,
    }
    (project / "job.yaml").write_text(json.dumps(request))
    folders = [values["PIP_FIND_LINKS"], *filter(None, values.get("PYTHONPATH", "").split(":"))]
    mounts = [f"--mount type=bind,source={one},target={one},readonly" for one in folders]
    arguments = [f"DOCKER_ARGS={' '.join(mounts)}"] if engine == "docker" else []
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = clean_environment(PATH=path)
    done = make(project, "train", f"ENGINE={engine}", *arguments, env=environment, timeout=300)
    job = last_job(project)
    status = int((job / "exit-code").read_text())
    assert status == case.status, done.stdout
    assert (job / "model" / case.makes).exists()
    failure = job / "output/failure"
    reason = failure.read_text() if failure.exists() else None
    return {**alike(json.loads((job / "model/seen.json").read_text()), job.name), "reason": reason}


def alike(seen: dict, job: str) -> dict:
    """Return what a script saw without the job's name, which no two jobs share."""
    return json.loads(json.dumps(seen).replace(job, "JOB"))


def beside(tree: Tree, case: Case, code: Path, config: Path, job: str, program, **more) -> dict:
    """Run a script in a stand-in for /opt/ml, with the config files of a real run of ours."""
    tree.empty()
    shutil.copytree(code, tree.root / "code", dirs_exist_ok=True)
    shutil.copytree(config, tree.root / "input/config", dirs_exist_ok=True)
    data = tree.root.parent / "project/opt/ml/input/data/training"
    shutil.copytree(data, tree.root / "input/data/training")
    more.update(TRAINING_JOB_NAME=job, SM_STUDIO_LOCAL_MODE="true")
    done = tree.run(program, python=real_toolkit(), **more)
    assert bool(done.status) == bool(case.status), done.err
    assert (tree.root / "model" / case.makes).exists()
    seen = alike(tree.seen(), job)
    del seen["sm"]["SM_STUDIO_LOCAL_MODE"]
    return seen


@pytest.mark.parametrize("name", CASES)
def test_it_runs_everywhere_and_is_told_the_same(name, project, built, tmp_path):
    case, code = CASES[name], project / "code"
    shutil.rmtree(code)
    shutil.copytree(SCRIPTS / name, code)
    (code / "sitecustomize.py").write_text(WITNESS)
    wheels = wheel(tmp_path / "wheels")
    here = version(sys.executable)
    there = version("docker", "run", "--rm", built, "python3")

    sandbox = in_project(project, case, "sandbox", environment_for(case, here, wheels))
    job, config = last_job(project).name, last_job(project) / "config"
    image = in_project(project, case, "docker", environment_for(case, there, wheels))
    assert image == sandbox
    assert image.pop("reason") == case.reason

    tree, values = Tree(tmp_path / "ml"), environment_for(case, here, wheels)
    (tmp_path / "project").symlink_to(project)
    try:
        for program in (real_toolkit() / "train", TRAIN):
            assert beside(tree, case, code, config, job, program, **values) == image
    finally:
        pip = [real_toolkit() / "python", "-m", "pip", "uninstall", "--quiet", "--yes"]
        subprocess.run([*pip, "slugger", "churn-trainer"], check=True, capture_output=True)
    left = {file.name for file in code.iterdir()} - {f.name for f in (SCRIPTS / name).iterdir()}
    assert left == {"sitecustomize.py"}
