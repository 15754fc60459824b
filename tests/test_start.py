"""How SageMaker starts a container: entrypoint, arguments, and what of the image stays."""

import json
import subprocess

import pytest
from conftest import PROJECT, last_job, make

pytestmark = [pytest.mark.engine]
IMAGE = f"{PROJECT}-probe:latest"

PROBE = """#!/usr/bin/env python3
import json, os
seen = {
    "argv": open("/proc/1/cmdline").read().split("\\0")[:-1],
    "cwd": os.getcwd(),
    "uid": os.getuid(),
    "home": os.environ["HOME"],
    "baked": os.path.exists("/opt/ml/code/baked"),
    "ml_is_mount": os.path.ismount("/opt/ml"),
}
json.dump(seen, open("/opt/ml/output/data/seen.json", "w"))
"""


@pytest.fixture(scope="module")
def probe(docker, base_image, tmp_path_factory):
    """Build an image with an ENTRYPOINT, a CMD, a WORKDIR and code of its own."""
    folder = tmp_path_factory.mktemp("probe")
    (folder / "probe").write_text(PROBE)
    (folder / "Dockerfile").write_text(f"""FROM {base_image}
COPY probe /usr/local/bin/probe
RUN chmod 755 /usr/local/bin/probe && mkdir -p /opt/ml/code /work && touch /opt/ml/code/baked
WORKDIR /work
ENTRYPOINT ["/usr/local/bin/probe", "--of-the-image"]
CMD ["cmd-of-the-image"]
""")
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", IMAGE, folder], check=True, capture_output=True
    )
    yield IMAGE
    docker.images.remove(IMAGE, force=True)


ENTRYPOINT = ["/usr/local/bin/probe"]
CASES = [
    pytest.param({}, ["/usr/local/bin/probe", "--of-the-image", "train"], id="neither"),
    pytest.param(
        {"ContainerEntrypoint": [*ENTRYPOINT, "a b", "$HOME"]},
        ["/usr/local/bin/probe", "a b", "$HOME"],
        id="entrypoint",
    ),
    pytest.param(
        {"ContainerArguments": ["x", "", "--y=$(id) 'q'"]},
        ["/usr/local/bin/probe", "--of-the-image", "x", "", "--y=$(id) 'q'"],
        id="arguments",
    ),
    pytest.param(
        {"ContainerEntrypoint": [*ENTRYPOINT, "-e"], "ContainerArguments": ["-a", "*"]},
        ["/usr/local/bin/probe", "-e", "-a", "*"],
        id="both",
    ),
]


@pytest.mark.parametrize(("algorithm", "argv"), CASES)
def test_the_command_line(project, probe, algorithm, argv):
    (project / "job.yaml").write_text(
        json.dumps({"AlgorithmSpecification": {"TrainingImage": probe, **algorithm}})
    )
    done = make(project, "train")
    assert done.returncode == 0, done.stdout
    seen = json.loads((last_job(project) / "output/data/seen.json").read_text())
    assert (
        seen["argv"][-len(argv) :] == argv and len(seen["argv"]) - len(argv) <= 1
    )  # the kernel puts the script's interpreter first
    assert {key: seen[key] for key in ("cwd", "uid", "home", "baked", "ml_is_mount")} == {
        "cwd": "/work",
        "uid": 0,
        "home": "/root",
        "baked": True,
        "ml_is_mount": False,
    }


@pytest.mark.parametrize(
    "algorithm",
    [
        pytest.param({"ContainerEntrypoint": []}, id="no-entrypoint-item"),
        pytest.param({"ContainerArguments": ["a"] * 101}, id="101-arguments"),
        pytest.param({"ContainerEntrypoint": ["a" * 257]}, id="257-characters"),
        pytest.param({"ContainerArguments": ["two\nlines"]}, id="newline"),
    ],
)
def test_the_api_s_limits_are_checked_before_anything_starts(project, algorithm):
    (project / "job.yaml").write_text(json.dumps({"AlgorithmSpecification": algorithm}))
    done = make(project, "train")
    assert done.returncode == 2 and "job.yaml:1: AlgorithmSpecification.Container" in done.stdout
    assert [path.name for path in (project / "output").iterdir()] in ([], [".gitignore"])


def test_an_image_without_train_fails_as_on_sagemaker(project, base_image):
    done = make(project, "train", f"IMAGE={base_image}")
    assert "AlgorithmError: , exit code: 127" in done.stdout
