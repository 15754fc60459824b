"""At the end of a failed job: the line that raised, as an editor here opens it, and a hint."""

import re
import subprocess

import pytest
from conftest import clean_environment, make, script

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("built")]
BOTH = pytest.mark.parametrize("engine", ["docker", "sandbox"])
TWO = "ResourceConfig: {InstanceType: ml.m5.large, InstanceCount: 2}\n"


def verdict(project, *arguments: str) -> list[str]:
    """Run a job that fails; return what was said from its verdict on."""
    done = make(project, "train", *arguments)
    assert done.returncode == 2 and "sm-local: Failed after" in done.stdout, done.stdout
    lines = done.stdout.split("sm-local: Failed after")[1].splitlines()
    return [line for line in lines[1:] if not line.startswith(("make: ", "  at "))]


@BOTH
def test_the_line_that_raised(project, engine):
    """script() puts an import and the body below it, so the body's second line is line 3."""
    script(project, "def f():\n    return 1 / 0\nf()")
    said = verdict(project, f"ENGINE={engine}")
    assert said == ["code/train.py:3: ZeroDivisionError: division by zero"]
    assert (project / "code/train.py").read_text().splitlines()[2] == "    return 1 / 0"


@BOTH
def test_a_script_that_the_platform_starts_itself(project, engine):
    script(project, "os.environ['SM_HOSTS']")
    program = "{ContainerEntrypoint: [python3, /opt/ml/code/train.py]}"
    (project / "job.yaml").write_text(f"AlgorithmSpecification: {program}\n")
    line, hint = verdict(project, f"ENGINE={engine}")
    assert line == "code/train.py:2: KeyError: 'SM_HOSTS'"
    assert hint.startswith("sm-local: SM_HOSTS is set by 'train', not by SageMaker")


def test_the_image_s_own_copy_of_the_code_keeps_its_path(project):
    """code/train.py here may be another one."""
    done = make(project, "train", "ENGINE=docker", "CODE=baked", "HP=epochs=many")
    assert re.search(r"^/opt/ml/code/train\.py:\d+: ValueError: ", done.stdout, re.MULTILINE)


@BOTH
def test_a_full_shm(project, engine):
    body = "from multiprocessing import shared_memory\n"
    body += "m = shared_memory.SharedMemory(create=True, size=8 << 20)\nm.buf[:] = bytes(8 << 20)"
    script(project, body)
    said = verdict(project, f"ENGINE={engine}", "SHM=1m")
    assert said[-1] == (
        "sm-local: exit code 135 is SIGBUS, as when /dev/shm is full: 'make train SHM=8g' makes it "
        "larger"
    )


def test_a_user_of_the_image_who_may_not_write(project):
    script(project, "open('/opt/ml/model/x', 'w')")
    (project / "job.yaml").write_text("{}")
    said = verdict(project, "ENGINE=docker", "DOCKER_ARGS=--user 4321")
    assert said[0].startswith("code/train.py:2: PermissionError: [Errno 13] Permission denied: ")
    assert "so an image with another USER may not write there" in said[-1]


def test_a_read_only_channel(project):
    script(project, "open('/opt/ml/input/data/training/x', 'w')")
    said = verdict(project, "ENGINE=docker", "CHANNELS=ro")
    assert said[0].startswith("code/train.py:2: OSError: [Errno 30] Read-only file system: ")
    assert said[-1].startswith("sm-local: this channel is read-only")


@BOTH
def test_of_several_hosts_the_first_that_failed(project, engine):
    body = "import json\nif 'algo-2' in open('/opt/ml/input/config/resourceconfig.json').read()"
    script(project, f"{body}.split('hosts')[0]:\n    raise ValueError('no rain')\ntime.sleep(60)")
    (project / "job.yaml").write_text(TWO)
    said = verdict(project, f"ENGINE={engine}")
    assert said == ["code/train.py:4: ValueError: no rain"]


@BOTH
def test_a_processing_job(project, engine):
    (project / "code/process.py").write_text("import nosuch\n")
    done = make(project, "process", f"ENGINE={engine}")
    assert "code/process.py:1: ModuleNotFoundError: No module named 'nosuch'\n" in done.stdout
    assert "sm-local: Python finds 'nosuch' neither in code/ nor " in done.stdout


def test_a_recipe_in_one_file_says_it_too(project, tmp_path):
    script(project, "1 / 0")
    done = make(project, "-s", "recipe", "ENGINE=sandbox", "FULL=1")
    (project / "full.sh").write_text(done.stdout)
    (project / "sm_local").rename(tmp_path / "sm_local")
    done = subprocess.run(
        ["bash", "full.sh"],
        cwd=project,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("\ncode/train.py:2: ZeroDivisionError: division by zero\n")


@BOTH
def test_an_end_without_an_exception_gets_no_answer(project, engine):
    script(project, "print('no data'); os._exit(3)")
    assert verdict(project, f"ENGINE={engine}") == []
