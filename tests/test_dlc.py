"""A Deep Learning Container's toolkit finds and runs code/train.py.

The image has the real sagemaker-training.
"""

import json
import os
import subprocess
import sys

import pytest
from conftest import last_job, make, script
from debugging import at, debugged, link_debugger

pytestmark = [pytest.mark.engine, pytest.mark.linux]
DLC = "pytorch:2.13-cpu-amzn2023-sagemaker"
LOCAL = f"sm-local/dlc/{DLC}"
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64")
NEEDS = """
numpy boto3 botocore s3transfer jmespath python-dateutil urllib3 six pip retrying gevent greenlet
inotify_simple werkzeug markupsafe paramiko bcrypt cryptography cffi pycparser pynacl psutil
protobuf scipy zope.event zope.interface setuptools invoke
"""


@pytest.fixture(scope="module")
def toolkit(docker, base_image, tmp_path_factory):
    """Build an image that starts jobs as a Deep Learning Container does.

    The toolkit is installed from wheels that are made on the host.
    """
    folder = tmp_path_factory.mktemp("dlc")
    python = (
        docker.containers.run(
            base_image,
            ["python3", "-c", "import sys; print('%d%d' % sys.version_info[:2])"],
            remove=True,
        )
        .decode()
        .strip()
    )
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv/bin/pip", "--disable-pip-version-check"]
    subprocess.run(
        [
            *pip,
            "wheel",
            "--use-pep517",  # Debian's venvs have no `wheel`
            "--quiet",
            "--no-deps",
            "--wheel-dir",
            folder / "wheels",
            "sagemaker-training==5.1.4",
        ],
        check=True,
    )
    subprocess.run(
        [
            *pip,
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--python-version",
            python,
            "--implementation",
            "cp",
            *[word for name in PLATFORMS for word in ("--platform", name)],
            "--dest",
            folder / "wheels",
            *NEEDS.split(),
        ],
        check=True,
    )
    (folder / "Dockerfile").write_text(f"""FROM {base_image}
COPY wheels /wheels
RUN python3 -c "import glob,sys,zipfile; \\
    [zipfile.ZipFile(w).extractall('/usr/lib/python3/site') for w in glob.glob('/wheels/*.whl')]" \\
 && printf '#!/usr/bin/python3\\nfrom sagemaker_training.cli.train import main\\nmain()\\n' \\
    > /usr/local/bin/train && chmod +x /usr/local/bin/train \\
 && (command -v python || ln -s "$(command -v python3)" /usr/bin/python)
ENV PYTHONPATH=/usr/lib/python3/site
ENTRYPOINT ["bash", "-m", "-c", "exec \\"$@\\"", "--"]
CMD ["/bin/bash"]
""")
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", LOCAL, folder], check=True, capture_output=True
    )
    yield LOCAL
    docker.images.remove(LOCAL, force=True)


JOB = """
HyperParameters: {epochs: "3", batch-size: "32"}
InputDataConfig:
  - {ChannelName: training, ContentType: text/csv}
  - {ChannelName: my-channel}
"""
CHANNELS = {
    "my-channel": {
        "RecordWrapperType": "None",
        "S3DistributionType": "FullyReplicated",
        "TrainingInputMode": "File",
    },
    "training": {
        "ContentType": "text/csv",
        "RecordWrapperType": "None",
        "S3DistributionType": "FullyReplicated",
        "TrainingInputMode": "File",
    },
}
GROUP = {
    "hosts": ["algo-1"],
    "instance_group_name": "homogeneousCluster",
    "instance_type": "ml.m5.xlarge",
}
RESOURCES = {
    "current_group_name": "homogeneousCluster",
    "current_host": "algo-1",
    "current_instance_type": "ml.m5.xlarge",
    "hosts": ["algo-1"],
    "instance_groups": [GROUP],
    "network_interface_name": "eth0",
    "topology": None,
}
SM = {  # all that toolkit 5.1.4's environment.py makes of the platform's values
    "SM_CHANNELS": ["my-channel", "training"],
    "SM_CHANNEL_MY-CHANNEL": "/opt/ml/input/data/my-channel",
    "SM_CHANNEL_TRAINING": "/opt/ml/input/data/training",
    "SM_CURRENT_HOST": "algo-1",
    "SM_CURRENT_INSTANCE_GROUP": "homogeneousCluster",
    "SM_CURRENT_INSTANCE_GROUP_HOSTS": ["algo-1"],
    "SM_CURRENT_INSTANCE_TYPE": "ml.m5.xlarge",
    "SM_DISTRIBUTION_INSTANCE_GROUPS": [],
    "SM_FRAMEWORK_MODULE": "",
    "SM_FRAMEWORK_PARAMS": {},
    "SM_HOSTS": ["algo-1"],
    "SM_HPS": {"batch-size": 32, "epochs": 3},
    "SM_HP_BATCH-SIZE": 32,
    "SM_HP_EPOCHS": 3,
    "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
    "SM_INPUT_DATA_CONFIG": CHANNELS,
    "SM_INPUT_DIR": "/opt/ml/input",
    "SM_INSTANCE_GROUPS": ["homogeneousCluster"],
    "SM_INSTANCE_GROUPS_DICT": {"homogeneousCluster": GROUP},
    "SM_IS_HETERO": False,
    "SM_LOG_LEVEL": 20,
    "SM_MODEL_DIR": "/opt/ml/model",
    "SM_MODULE_DIR": "/opt/ml/code",
    "SM_MODULE_NAME": "train",
    "SM_NETWORK_INTERFACE_NAME": "eth0",
    "SM_NUM_CPUS": os.cpu_count(),
    "SM_NUM_GPUS": 0,
    "SM_NUM_NEURONS": 0,
    "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
    "SM_OUTPUT_DIR": "/opt/ml/output",
    "SM_OUTPUT_INTERMEDIATE_DIR": "/opt/ml/output/intermediate",
    "SM_RESOURCE_CONFIG": RESOURCES,
    "SM_USER_ARGS": ["--batch-size", "32", "--epochs", "3"],
    "SM_USER_ENTRY_POINT": "train.py",
}


def test_the_toolkit_runs_code_train_py(project, toolkit):
    (project / "job.yaml").write_text(JOB)
    (project / "opt/ml/input/data/my-channel").mkdir()
    script(
        project,
        """
import json
sm = {key: value for key, value in os.environ.items() if key.startswith("SM_")}
seen = {"argv": sys.argv, "cwd": os.getcwd(), "sm": sm}
json.dump(seen, open("/opt/ml/output/data/seen.json", "w"))
""",
    )
    done = make(project, "train", "IMAGE=dlc")
    assert done.returncode == 0, done.stdout
    seen = json.loads((last_job(project) / "output/data/seen.json").read_text())
    assert seen["cwd"] == "/opt/ml/code" and seen["argv"][-4:] == [
        "--batch-size",
        "32",
        "--epochs",
        "3",
    ]
    told = json.loads(seen["sm"].pop("SM_TRAINING_ENV"))
    assert {name: decoded(value) for name, value in seen["sm"].items()} == SM
    assert (told["job_name"], told["channel_input_dirs"]["training"]) == (
        last_job(project).name,
        "/opt/ml/input/data/training",
    )


def decoded(value: str):
    """Return the value of a variable: the toolkit writes text as it is, anything else as JSON."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def test_the_default_script_trains_under_the_toolkit(project, toolkit):
    done = make(project, "train", "IMAGE=dlc")
    assert done.returncode == 0, done.stdout
    assert (last_job(project) / "model/model.json").exists() and "train_loss" in done.stdout


def test_a_failure_under_the_toolkit_reads_as_on_sagemaker(project, toolkit):
    script(project, "print('bad luck', file=sys.stderr); sys.exit(7)")
    done = make(project, "train", "IMAGE=dlc")
    assert "AlgorithmError: ExecuteUserScriptError" in done.stdout and "ExitCode 7" in done.stdout
    assert (last_job(project) / "exit-code").read_text() == "1\n"


def test_conform_tries_the_toolkit(project, toolkit):
    done = make(project, "conform", "ENGINE=docker", f"IMAGE={toolkit}", "JSON=1", timeout=240)
    rows = {
        row["check"]: row
        for row in json.loads(done.stdout[done.stdout.index("[") : done.stdout.rindex("]") + 1])
    }
    assert {number: row for number, row in rows.items() if row["verdict"] != "as there"} == {}
    assert "exit code 7 of a script is 1" in rows[40]["seen"]


def test_a_dlc_that_is_not_here_names_pull_dlc(project, docker):
    done = make(project, "train", "IMAGE=dlc", "DLC=pytorch:9.9-cpu-amzn2023-sagemaker")
    assert (
        "image 'sm-local/dlc/pytorch:9.9-cpu-amzn2023-sagemaker' is not here; run 'make pull-dlc'"
        in done.stdout
    )


def test_the_toolkit_s_script_is_debugged_and_the_toolkit_is_not(project, toolkit):
    """The image has a PYTHONPATH of its own, by which the toolkit is found."""
    link_debugger(project)
    (project / "job.yaml").write_text("HyperParameters: {epochs: '3'}\n")
    (project / "code/train.py").write_text("import sys\nprint(sys.argv)\n")
    with debugged(project, "ENGINE=docker", f"IMAGE={toolkit}") as job:
        editor = job.join({"train.py": [2]}, "sys.argv[1:]")
        assert at(editor.stop()) == ("breakpoint", "train.py", 2, "['--epochs', '3']")
        assert job.end() == 0, job.text
    assert job.text.count("waiting for a debugger") == 1
