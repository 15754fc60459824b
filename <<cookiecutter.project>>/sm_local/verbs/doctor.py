"""`make doctor`: print what this machine has, and what to do about what it lacks.

Standard library only: the template's hook runs it too.

usage: python -m sm_local doctor    exits with 1 if the settings demand something that is missing
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from .. import machine, settings
from ..errors import SmLocalError
from ..machine import AVAILABLE, UNKNOWN, AwsCli, EngineFacts, Gpu

GET_AWS = "get v2: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
ALONE = "(SSO login exists in v2 alone)"
GIB = 1024**3


def run(given: dict[str, str]) -> int:
    """Print the report; return 0. Raises SmLocalError for bad settings and for what is missing."""
    values = settings.read(Path(), given)
    with ThreadPoolExecutor() as pool:  # both wait for a child, `aws` for most of a second
        aws = pool.submit(machine.find_aws)
        engine = machine.find_engine(values["ENGINE"])
    lines, missing = report(
        engine, values, aws.result(), machine.free_bytes(engine.root_dir or ".")
    )
    lines += parked_line(find_parked()) + left_line(find_left())
    if given.get("JSON"):
        print(json.dumps(facts(engine, aws.result(), lines, missing), indent=1))
    else:
        print("\n".join(lines))
    if missing:
        raise SmLocalError("\n".join(missing))
    return 0


def facts(
    engine: EngineFacts, aws: list[AwsCli], lines: list[str], missing: list[str]
) -> dict[str, object]:
    """Return the report for programs: what was found, and the lines for people. Pure."""
    said = {line[:8].strip(): line[10:] for line in lines}
    return {
        "engine": asdict(engine),
        "aws": [{"path": one.path, "version": list(one.version)} for one in aws],
        "lines": said,
        "missing": missing,
    }


def report(
    engine: EngineFacts, values: dict[str, str], aws: list[AwsCli], free: int
) -> tuple[list[str], list[str]]:
    """Return the lines to print and what the settings demand and this machine lacks. Pure."""
    lines = [
        f"{name:8}  {text}"
        for name, text in [
            ("engine", engine_line(engine)),
            ("GPU", gpu_line(engine.gpu, values["GPU"])),
            ("AWS CLI", aws_line(aws)),
            ("disk", disk_line(free)),
            ("machine", machine_line(engine)),
        ]
    ]
    missing = []
    if engine.problem:
        missing.append(f"{engine.name} {engine.problem}; {engine.remedy}")
    if values["GPU"] not in ("auto", "none") and engine.gpu.verdict != AVAILABLE:
        missing.append(gpu_demand(engine.gpu, values["GPU"]))
    return lines, missing


def find_left() -> list[str]:
    """Return the jobs whose recipe was killed, and of which something may be left."""
    if not any(Path("output/.open").glob("*")):
        return []
    command = ["bash", "sm_local/libexec/left.sh"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.split()


def find_parked() -> list[str]:
    """Return when the container that is parked for the next job ends, and its MB; [] for none."""
    if not Path("output/.parked/ready").exists():
        return []
    command = ["bash", "sm_local/libexec/parked.sh"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.split()


def parked_line(found: list[str]) -> list[str]:
    """Say what is parked; nothing of most projects."""
    if not found:
        return []
    until = time.strftime("%H:%M", time.localtime(int(found[0])))
    hint = "'make stop' removes it"
    return [f"{'parked':8}  a container for the next job, until {until}, {found[1]} MB; {hint}"]


def left_line(jobs: list[str]) -> list[str]:
    """Say what killed recipes have left; nothing of most projects."""
    if not jobs:
        return []
    hint = "'make stop' ends what runs, and clears away the rest"
    return [f"{'left':8}  by recipes that were killed: {', '.join(jobs)}; {hint}"]


def gpu_demand(gpu: Gpu, wanted: str) -> str:
    """Say that a GPU is demanded and cannot be had."""
    return (
        f"GPU={wanted}, but the GPU runtime is {gpu.verdict} ({gpu.reason}); "
        "install the NVIDIA Container Toolkit, or set GPU=auto"
    )


def engine_line(engine: EngineFacts) -> str:
    """Say which engine, its version, and whether it answers."""
    if engine.problem:
        return f"{engine.name}: {engine.problem}; {engine.remedy}"
    if not engine.has_images:
        return (
            "none here; the sandbox (Linux namespaces) trains with this machine's Python, "
            "without an image"
        )
    return f"{engine.name} {engine.version} answers"


def gpu_line(gpu: Gpu, wanted: str) -> str:
    """Say the verdict, what it rests on, and which flag a job gets."""
    if wanted == "none":
        return "not asked for (GPU=none)"
    flag = {"gpus": "--gpus", "cdi": "--device nvidia.com/gpu"}.get(gpu.mechanism, "none")
    if gpu.verdict == AVAILABLE:
        proof = "only a run proves it: make shell, then nvidia-smi"
        return f"looks available ({gpu.reason}); flag {flag}; {proof}"
    if gpu.verdict == UNKNOWN:
        return f"unknown: {gpu.reason}"
    hint = ""
    if shutil.which("nvidia-smi"):
        hint = (
            "; nvidia-smi is here, so install the NVIDIA Container Toolkit: "
            "sudo nvidia-ctk runtime configure --runtime=docker"
        )
    return f"not found ({gpu.reason}){'; jobs run on the CPU' if wanted == 'auto' else ''}{hint}"


def aws_line(found: list[AwsCli]) -> str:
    """Say which AWS CLI is first on PATH; only `make pull-dlc REGION=…` needs one, v2."""
    if not found:
        return f"none on PATH; only 'make pull-dlc REGION=…' needs it {ALONE}; {GET_AWS}"
    first = found[0]
    text = ".".join(map(str, first.version)) or "of unknown version"
    if first.version[:1] >= (2,):
        return f"{text} at {first.path}"
    later = next((aws for aws in found if aws.version[:1] >= (2,)), None)
    if later:
        taken = f"'make pull-dlc' takes v2 at {later.path}"
        return f"{text} at {first.path} is v1 and first on PATH; {taken}"
    needed = f"'make pull-dlc REGION=…' needs {ALONE}"
    return f"{text} at {first.path} is not v2, which {needed}; {GET_AWS}"


def disk_line(free: int) -> str:
    """Say whether a GPU Deep Learning Container (about 28 GB unpacked) fits."""
    if free < 0:
        return "unknown: the engine's disk cannot be seen from here"
    text = f"{free // GIB} GB free"
    if free >= 40 * GIB:
        return text
    return (
        f"{text}; a GPU Deep Learning Container takes about 40 GB while it is pulled, "
        "a CPU one 12 GB"
    )


def machine_line(engine: EngineFacts) -> str:
    """Say the architecture, and when images will be emulated."""
    here = platform.machine()
    text = f"{here} {platform.system()}"
    if here in ("arm64", "aarch64"):
        text += "; AWS images are linux/amd64 and run emulated here, TensorFlow may abort on AVX"
    if engine.desktop:
        text += "; Docker Desktop"
    return text
