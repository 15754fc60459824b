"""The rows about other tools: the same image and the same job, each tool in an environment of its own under build/peers/.

Conditions favour them: telemetry off, AWS is moto on the loopback, everything is compiled and warm, nothing is pulled.
"""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker as docker_sdk
from measure import Case, interleave
from ours import BARE, Row, bare, empty, row
from workplace import REPO, TRIVIAL, Workplace

HERE = Path(__file__).parent / "peers"
VERSIONS = {
    "SageMaker SDK v2": ["sagemaker==2.257.7"],
    "SageMaker SDK v3": ["sagemaker==3.27.0"],
    "sagify": ["sagify==0.25.4", "setuptools==80.9.0"],  # it imports pkg_resources, which newer ones have not
}
NETWORK = "sagemaker-local"  # the SDKs make it and leave it


def peers(place: Workplace, rounds: int) -> list[Row]:
    """Each peer's local training over a bare docker run, in one run with ours."""
    project, here = place.trained("ours", TRIVIAL), place.environment()
    cases = [Case(BARE, bare(project, place.image), project, here, lambda: empty(project)),
             Case("make train", ["make", "train"], project, here, lambda: empty(project))]
    refused = []
    with aws(place) as endpoint, cleaned_up(place):
        for name in VERSIONS:
            reason = missing(name)
            if reason:
                refused.append(Row(name, BARE, "not measured", "", reason))
            else:
                cases.append(case(name, place, project, peer_environment(place, endpoint)))
        times = interleave(cases, min(rounds, 7), place.say)
    return [*(row(times, case.name, BARE) for case in cases[1:]), *refused]


def missing(name: str) -> str:
    """Return what this machine lacks for a peer, or nothing."""
    if name == "sagify":
        return "" if sys.version_info < (3, 12) else "sagify needs Python 3.11 or older (it imports imp)"
    compose = subprocess.run(["docker", "compose", "version"], capture_output=True, text=True, check=False).stdout
    if name.endswith("v2") and "v2" not in compose and not shutil.which("docker-compose"):
        return f"needs a docker compose with v2 in its version, found: {compose.strip() or 'none'}"
    return "" if compose or shutil.which("docker-compose") else "needs docker compose"


def case(name: str, place: Workplace, project: Path, environment: dict[str, str]) -> Case:
    """Return a peer's run: what its own documentation shows, for our image and channel."""
    python, output = installed(name, place) / "bin/python", place.folder / name.replace(" ", "-")
    channel = str(project / "opt/ml/input/data/training")
    if name == "sagify":
        tool = sagify_project(output, place)
        return Case(name, [str(python), "-m", "sagify", "local", "train"], tool, environment)
    script = HERE / f"sdk_{name[-2:]}.py"
    return Case(name, [str(python), str(script), place.image, channel, str(output)], place.folder, environment, lambda: forget(output, place))


def installed(name: str, place: Workplace) -> Path:
    """Return a peer's environment; it is made when it is missing or other versions are wanted."""
    venv, wanted = REPO / "build/peers" / name.replace(" ", "-"), "\n".join(VERSIONS[name])
    ready = venv / "ready"
    if not ready.exists() or ready.read_text() != wanted:
        place.say(f"installing {wanted.replace(chr(10), ', ')}")
        shutil.rmtree(venv, ignore_errors=True)
        make_venv(venv, VERSIONS[name], place)
        ready.write_text(wanted)
    return venv


def make_venv(venv: Path, packages: list[str], place: Workplace) -> None:
    """Make an environment with uv, or with venv and pip where there is no uv; compile it, as pip does."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    python = str(Path(sys.base_prefix) / "bin/python3")
    home = os.environ.get("HOME", "")
    if uv:
        place.run(uv, "venv", "--quiet", "--python", python, str(venv), HOME=home)
        place.run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(venv / "bin/python"), *packages, HOME=home)
    else:
        place.run(python, "-m", "venv", str(venv), HOME=home)
        place.run(str(venv / "bin/python"), "-m", "pip", "install", "--quiet", *packages, HOME=home)


def sagify_project(folder: Path, place: Workplace) -> Path:
    """Return what `sagify init` would make, of it what `sagify local train` uses; the template's own script runs."""
    package = installed("sagify", place).glob("lib/python*/site-packages/sagify/template/sagify_base")
    shutil.copytree(next(package), folder / "src/sagify_base")
    for name in ("input/config", "input/data/training", "model", "output"):
        (folder / "src/sagify_base/local_test/test_dir" / name).mkdir(parents=True, exist_ok=True)
    (folder / "src/sagify_base/local_test/train_local.sh").chmod(0o755)
    config = {"image_name": place.image.split(":")[0], "aws_profile": "", "aws_region": "us-west-2", "python_version": "3.11",
              "sagify_module_dir": "src", "requirements_dir": "requirements.txt"}
    (folder / ".sagify.json").write_text(json.dumps(config))
    return folder


def peer_environment(place: Workplace, endpoint: str) -> dict[str, str]:
    """Return our environment with moto for AWS, telemetry off, temporary files here, and the engine's plugins found."""
    config, temporary = place.folder / "sagemaker.yaml", place.folder / "tmp"
    config.write_text('SchemaVersion: "1.0"\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n')
    temporary.mkdir(exist_ok=True)
    return place.environment(AWS_ENDPOINT_URL=endpoint, AWS_ACCESS_KEY_ID="benchmark", AWS_SECRET_ACCESS_KEY="benchmark", AWS_REGION="us-west-2",
                             AWS_DEFAULT_REGION="us-west-2", AWS_EC2_METADATA_DISABLED="true", TMPDIR=str(temporary),
                             SAGEMAKER_USER_CONFIG_OVERRIDE=str(config),
                             DOCKER_CONFIG=os.environ.get("DOCKER_CONFIG", f"{os.environ.get('HOME', '')}/.docker"))


@contextlib.contextmanager
def aws(place: Workplace) -> Iterator[str]:
    """Run moto as all of AWS; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env=place.environment())
    try:
        deadline = time.monotonic() + 60
        while not listens(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("bench: moto did not start; is moto[server] installed?")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def forget(output: Path, place: Workplace) -> None:
    """Remove what the last run of an SDK left: stopped containers, archives, temporary folders."""
    for container in docker_sdk.from_env().containers.list(all=True, filters={"ancestor": place.image}):
        container.remove(force=True)
    for folder in (output, place.folder / "tmp"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()


@contextlib.contextmanager
def cleaned_up(place: Workplace) -> Iterator[None]:
    """Remove at the end what the SDKs made on the engine, and only that."""
    client = docker_sdk.from_env()
    before = client.networks.list(names=[NETWORK])
    try:
        yield
    finally:
        for container in client.containers.list(all=True, filters={"ancestor": place.image}):
            container.remove(force=True)
        for network in client.networks.list(names=[NETWORK]) if not before else []:
            network.remove()
