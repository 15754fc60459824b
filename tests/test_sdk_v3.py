"""A job of the SageMaker SDK v3, as its ModelTrainer lays it out.

Its own drivers and script come from its wheel, as channels.
"""

import json
import subprocess
import sys
import zipfile

import pytest
from conftest import PROJECT, last_job, make

pytestmark = [pytest.mark.engine, pytest.mark.linux]
WHEEL = "sagemaker-train==1.27.0"
DRIVERS = "sagemaker/train/container_drivers/"


@pytest.fixture(scope="module")
def sdk(tmp_path_factory):
    """Return a folder with the SDK's own files."""
    folder = tmp_path_factory.mktemp("sdk")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    subprocess.run(
        [
            folder / "venv/bin/pip",
            "--disable-pip-version-check",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            folder,
            WHEEL,
        ],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def with_pip(docker, built):
    """Return the project's image with a pip on PATH.

    The SDK's script looks for pip, and never calls it in a job without requirements.
    """
    name = f"{PROJECT}-pip:latest"
    dockerfile = f"FROM {built}\nRUN command -v pip3 || ln -s /bin/true /usr/local/bin/pip3\n"
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", name, "-"],
        input=dockerfile,
        text=True,
        check=True,
        capture_output=True,
    )
    yield name
    docker.images.remove(name, force=True)


@pytest.fixture
def laid_out(project, sdk):
    """Return a project with the channels and the request that ModelTrainer makes."""
    drivers, code = project / "opt/ml/input/data/sm_drivers", project / "opt/ml/input/data/code"
    code.mkdir()
    subprocess.run(["cp", "-R", sdk / DRIVERS, drivers], check=True)
    template: dict = {}
    exec((sdk / "sagemaker/train/templates.py").read_text(), template)
    script = template["TRAIN_SCRIPT_TEMPLATE"].format(
        working_dir="cd /opt/ml/input/data/code \n",
        install_requirements="",
        execute_driver=template["EXECUTE_BASIC_SCRIPT_DRIVER"],
    )
    (drivers / "sm_train.sh").write_text(script)
    (drivers / "distributed.json").write_text("{}")
    (drivers / "sourcecode.json").write_text(
        json.dumps(
            {"source_dir": "src", "entry_script": "main.py", "command": None, "requirements": None}
        )
    )
    (project / "job.yaml").write_text(
        json.dumps(
            {
                "AlgorithmSpecification": {
                    "ContainerEntrypoint": ["/bin/bash"],
                    "ContainerArguments": [
                        "-c",
                        (
                            "chmod +x /opt/ml/input/data/sm_drivers/sm_train.sh && "
                            "/opt/ml/input/data/sm_drivers/sm_train.sh"
                        ),
                    ],
                },
                "HyperParameters": {"epochs": "3"},
                "InputDataConfig": [
                    {"ChannelName": name, "InputMode": "File"}
                    for name in ("training", "code", "sm_drivers")
                ],
            }
        )
    )
    return project


def test_a_model_trainers_job_runs(laid_out, with_pip):
    (laid_out / "opt/ml/input/data/code/main.py").write_text("""
import json, os, sys
sm = {k: v for k, v in os.environ.items() if k.startswith("SM_")}
json.dump({"argv": sys.argv[1:], "sm": sm}, open("/opt/ml/model/seen.json", "w"))
""")
    done = make(laid_out, "train", "ENGINE=docker", f"IMAGE={with_pip}")
    assert done.returncode == 0, done.stdout
    assert "Training Container Execution Completed" in done.stdout
    seen = json.loads((last_job(laid_out) / "model/seen.json").read_text())
    assert seen["argv"] == ["--epochs", "3"]
    wanted = {
        "SM_CHANNEL_TRAINING": "/opt/ml/input/data/training",
        "SM_CURRENT_HOST": "algo-1",
        "SM_HOSTS": '["algo-1"]',
        "SM_HP_EPOCHS": "3",
        "SM_CURRENT_INSTANCE_TYPE": "ml.m5.xlarge",
        "SM_NETWORK_INTERFACE_NAME": "eth0",
        "SM_HOST_COUNT": "1",
        "SM_CURRENT_HOST_RANK": "0",
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_MASTER_ADDR": "algo-1",
        "SM_ENTRY_SCRIPT": "main.py",
    }
    assert {key: seen["sm"].get(key) for key in wanted} == wanted
    driver = laid_out / "opt/ml/input/data/sm_drivers/sm_train.sh"
    assert not driver.stat().st_mode & 0o100  # its chmod stayed in the container


def test_its_failure_is_told(laid_out, with_pip):
    (laid_out / "opt/ml/input/data/code/main.py").write_text("raise SystemExit(5)\n")
    done = make(laid_out, "train", "ENGINE=docker", f"IMAGE={with_pip}")
    assert done.returncode == 2
    assert "AlgorithmError: " in done.stdout and "exit code: " in done.stdout
    assert (last_job(laid_out) / "output/failure").read_text()
