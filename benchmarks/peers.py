"""The rows about our peers: the SageMaker SDK's local mode (v2, v3) and sagify.

They get the same image and channel, an environment each under build/peers, made with pip, and
the best case: moto on this machine answers as AWS, telemetry is off, the image is here, byte
code is compiled. A peer that cannot run here gets the reason in its row.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

import docker as docker_sdk
from measure import Case, Row, first_line, interleave
from ours import BARE, MARK, TRAIN, bare, cleaner, loop_case
from workplace import REPO, TRIVIAL, Workplace

HERE = Path(__file__).parent / "peers"
VERSIONS = {
    "SageMaker SDK v2": ["sagemaker==2.257.7"],
    "SageMaker SDK v3": ["sagemaker==3.27.0"],
    "sagify": [
        "sagify==0.25.4",
        "setuptools==80.9.0",  # sagify imports pkg_resources, which newer versions lack
    ],
}
NETWORK = "sagemaker-local"  # the SDKs create it and leave it behind


def peers(place: Workplace, rounds: int) -> list[Row]:
    """Compare each peer's local training to a bare docker run, with ours in the same run.

    To its end, and to the script's first line.
    """
    project, here, networks = (
        place.trained("ours", TRIVIAL),
        place.environment(),
        docker_sdk.from_env().networks,
    )
    cases = [
        Case(BARE, bare(project, place.image), project, here, cleaner(project), mark=MARK),
        Case(
            f"{TRAIN}, beside the peers",
            ["make", "train"],
            project,
            here,
            cleaner(project),
            mark=MARK,
        ),
    ]
    stack = contextlib.ExitStack()
    cases.append(loop_case(place, stack, "· FAST=1, beside the peers", TRIVIAL, ["FAST=1"]))
    refused, environment, before = (
        [],
        peer_environment(place, aws()),
        networks.list(names=[NETWORK]),
    )
    try:
        for name in VERSIONS:
            try:
                cases.append(tried(name, place, project, environment))
            except SystemExit as error:
                refused.append(Row(name, BARE, "not measured", "", reason(str(error))))
        times = interleave(cases, min(rounds, 7), place.say)
    finally:
        stack.close()
        place.remove_containers()
        for network in [] if before else networks.list(names=[NETWORK]):
            network.remove()
    names = [name for case in cases[1:] for name in (first_line(case.name), case.name)]
    bases = [first_line(BARE), BARE] * len(cases[1:])
    return [*(times.row(name, base) for name, base in zip(names, bases)), *refused]


def tried(name: str, place: Workplace, project: Path, environment: dict[str, str]) -> Case:
    """Return a peer's run, as its documentation shows it, for our image and channel; try once."""
    programs, output = installed(name, place) / "bin", place.folder / name.replace(" ", "-")
    if name == "sagify":
        found = Case(
            name,
            [str(programs / "sagify"), "local", "train"],
            sagify_project(output, project, place),
            environment,
            mark=MARK,
        )
    else:
        command = [
            str(programs / "python"),
            str(HERE / f"sdk_{name[-2:]}.py"),
            place.image,
            str(project / "opt/ml/input/data/training"),
            str(output),
        ]
        found = Case(
            name, command, place.folder, environment, lambda: forget(output, place), mark=MARK
        )
    place.say(f"trying {name}")
    found.run()
    if not any(output.rglob("model.t*")):  # model.txt, or model.tar.gz with it
        raise SystemExit("exit status 0, yet there is no model")
    return found


def reason(output: str) -> str:
    """Return the line that explains a failure: the last with an exception's name, else the last."""
    lines = output.splitlines()
    return next((line for line in reversed(lines) if "Error: " in line), lines[-1])[:120].replace(
        "|", "/"
    )


def installed(name: str, place: Workplace) -> Path:
    """Return a peer's environment; make it if it is missing or has other versions."""
    venv, wanted = REPO / "build/peers" / name.replace(" ", "-"), "\n".join(VERSIONS[name])
    ready = venv / "ready"
    if not ready.exists() or ready.read_text() != wanted:
        place.say(f"installing {' '.join(VERSIONS[name])}: some minutes")
        shutil.rmtree(venv, ignore_errors=True)
        place.run(str(Path(sys.base_prefix) / "bin/python3"), "-m", "venv", str(venv))
        place.run(str(venv / "bin/python"), "-m", "pip", "install", "--quiet", *VERSIONS[name])
        ready.write_text(wanted)
    return venv


def sagify_project(folder: Path, project: Path, place: Workplace) -> Path:
    """Return the parts of `sagify init` that `sagify local train` uses.

    sagify mounts test_dir over all of /opt/ml.
    """
    package = installed("sagify", place).glob(
        "lib/python*/site-packages/sagify/template/sagify_base"
    )
    shutil.copytree(next(package), folder / "src/sagify_base")
    root = folder / "src/sagify_base/local_test/test_dir"
    shutil.copytree(project / "code", root / "code")
    for name in ("input/config", "input/data/training", "model", "output"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (folder / "src/sagify_base/local_test/train_local.sh").chmod(0o755)
    config = {
        "image_name": place.image.split(":")[0],
        "aws_profile": "",
        "aws_region": "us-west-2",
        "python_version": "3.11",
        "sagify_module_dir": "src",
        "requirements_dir": "requirements.txt",
    }
    (folder / ".sagify.json").write_text(json.dumps(config))
    return folder


def peer_environment(place: Workplace, endpoint: str) -> dict[str, str]:
    """Return an environment with moto as AWS, no telemetry, our temporary folder, CLI plugins."""
    config, temporary = place.folder / "sagemaker.yaml", place.folder / "tmp"
    config.write_text(
        'SchemaVersion: "1.0"\nSageMaker:\n  PythonSDK:\n    Modules:\n'
        "      TelemetryOptOut: true\n"
    )
    temporary.mkdir(exist_ok=True)
    return place.environment(
        AWS_ENDPOINT_URL=endpoint,
        AWS_ACCESS_KEY_ID="benchmark",
        AWS_SECRET_ACCESS_KEY="benchmark",
        AWS_REGION="us-west-2",
        AWS_DEFAULT_REGION="us-west-2",
        AWS_EC2_METADATA_DISABLED="true",
        TMPDIR=str(temporary),
        SAGEMAKER_USER_CONFIG_OVERRIDE=str(config),
        DOCKER_CONFIG=os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker")),
    )


def aws() -> str:
    """Run moto as all of AWS until this process ends; return its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    return "http://{}:{}".format(*server.get_host_and_port())


def forget(output: Path, place: Workplace) -> None:
    """Remove what an SDK's last run left: stopped containers, archives, temporary folders."""
    place.remove_containers()
    for folder in (output, place.folder / "tmp"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
