"""The same job on Podman."""

import json
import re
import shutil
import subprocess

import pytest
from conftest import clean_environment, jobs, last_job, make, need_podman, script
from sm_local.kinds.job import Channel
from terminal import Terminal

pytestmark = [pytest.mark.engine, pytest.mark.linux]


def test_train_on_podman(project, in_podman):
    script(
        project,
        """
import socket
address, job = socket.gethostbyname("algo-1"), os.environ["TRAINING_JOB_NAME"]
print("pid", os.getpid(), socket.gethostname(), address, job)
os.remove("/opt/ml/input/data/training/train.csv")
open("/opt/ml/model/m", "w").write("m"); sys.exit(7)
""",
    )
    done = make(project, "train", "ENGINE=podman", f"IMAGE={in_podman}")
    job = last_job(project)
    assert f"pid 1 ip-10-0-0-1.us-west-2.compute.internal 127.0.0.1 {job.name}" in done.stdout, (
        done.stdout
    )
    assert "exit code: 7" in done.stdout and (job / "exit-code").read_text() == "7\n"
    assert (project / "opt/ml/input/data/training/train.csv").exists()
    assert (job / "model.tar.gz").exists()


def test_a_sample_a_deadline_and_a_shell_where_the_job_ended_on_podman(project, in_podman):
    data = project / "opt/ml/input/data/training"
    for number in range(10):
        (data / f"{number}.txt").write_text("yours")
    script(
        project,
        """
def stop(*_):
    open("/opt/ml/model/files", "w").write(" ".join(os.listdir("/opt/ml/input/data/training")))
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
time.sleep(60)
""",
    )
    given = ["ENGINE=podman", f"IMAGE={in_podman}", "SAMPLE=2", "MAX_SECONDS=3"]
    done = make(project, "train", *given)
    job = last_job(project)
    assert "channel training: 2 of 11 files" in done.stdout, done.stdout
    assert f"MaxRuntimeExceeded, MAX_SECONDS=3; output/{job.name}\n" in done.stdout
    files = (job / "model/files").read_text().split()
    assert len(files) == 2
    shell = subprocess.run(
        ["make", "shell", "JOB=last"],
        cwd=project,
        input="ls /opt/ml/input/data/training; cat /opt/ml/model/files; echo > /opt/ml/model/x\n",
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )
    assert shell.stdout.split() == [*sorted(files), *files], shell.stderr
    assert f"; output/{job.name} is as it was\n" in shell.stderr
    assert not (job / "model/x").exists()


def test_pdb_on_podman(project, in_podman):
    script(project, "x = 41\nbreakpoint()\nraise ValueError('bad')")
    command = ["make", "train", "PDB=1", "ENGINE=podman", f"IMAGE={in_podman}"]
    terminal = Terminal(command, project, clean_environment())
    for typed, answer in (("p x + 1", "42"), ("c", "ValueError: bad"), ("p x", "41"), ("q", "")):
        terminal.wait_for(r"\(Pdb\) \Z")
        terminal.type(f"{typed}\n".encode())
        terminal.wait_for(rf"(?s)\(Pdb\) {re.escape(typed)}\n.*{answer}")
    assert terminal.wait() == 2
    job = last_job(project)
    assert (job / "exit-code").read_text() == "1\n" and "(Pdb) p x\n41\n" in (
        job / "log"
    ).read_text()


def test_views_and_whole_prefixes_of_s3_on_podman(project, in_podman):
    """The mirror is as `make data` leaves it; a job that writes everywhere cannot change it."""
    objects = {"p/train-1": "1", "p/train/2": "2", "q/deep/3": "3"}
    for key, text in objects.items():
        (project / "data/s3/b" / key).parent.mkdir(parents=True, exist_ok=True)
        (project / "data/s3/b" / key).write_text(text)
    (project / "data/s3/.ready").mkdir()
    channels = {"view": "s3://b/p/train", "whole": "s3://b/q"}
    for uri in channels.values():
        (project / Channel("", "", s3_uri=uri).ready).touch()
    (project / "job.yaml").write_text(
        json.dumps(
            {
                "InputDataConfig": [
                    {
                        "ChannelName": name,
                        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
                    }
                    for name, uri in channels.items()
                ]
            }
        )
    )
    script(
        project,
        """
for at, _, names in list(os.walk("/opt/ml/input/data")):
    for name in names:
        path = os.path.join(at, name); text = open(path).read()
        open(path, "w").write("spoilt"); os.chmod(path, 0o600)
        open("/opt/ml/model/seen", "a").write(f"{path[len('/opt/ml/input/data/'):]}={text} ")
        if text == "2": os.remove(path)
open("/opt/ml/input/data/whole/new", "w")
""",
    )
    done = make(project, "train", "ENGINE=podman", f"IMAGE={in_podman}")
    assert done.returncode == 0, done.stdout
    assert sorted((last_job(project) / "model/seen").read_text().split()) == [
        "view/2=2",
        "view/train-1=1",
        "whole/deep/3=3",
    ]
    assert {key: (project / "data/s3/b" / key).read_text() for key in objects} == objects
    assert {oct((project / "data/s3/b" / key).stat().st_mode & 0o777) for key in objects} == {
        "0o644"
    }
    assert [path.name for path in (project / "data/s3/b/q").iterdir()] == ["deep"] and not (
        last_job(project) / "views"
    ).exists()


def test_a_missing_image_on_podman_names_the_remedy(project):
    need_podman()
    done = make(project, "train", "ENGINE=podman", "IMAGE=localhost/none:1")
    assert (
        "image 'localhost/none:1' is not here; 'podman pull localhost/none:1' fetches it"
        in done.stdout
    )


def test_a_runtime_that_refuses_is_no_failure_of_the_script(project, in_podman, tmp_path):
    """crun refuses this way where cgroups v1 and v2 are mixed."""
    runtime = tmp_path / "runtime"
    runtime.write_text("#!/bin/sh\necho 'no containers on this machine' >&2\nexit 1\n")
    runtime.chmod(0o755)
    (tmp_path / "containers.conf").write_text(f'[engine]\nruntime = "{runtime}"\n')
    done = make(
        project,
        "train",
        "ENGINE=podman",
        f"IMAGE={in_podman}",
        env=clean_environment(CONTAINERS_CONF=str(tmp_path / "containers.conf")),
    )
    assert (
        f"sm-local: podman did not start the job: Error: OCI runtime error: {runtime}: no "
        "containers on this machine\n"
    ) in done.stdout
    assert done.returncode == 2 and "AlgorithmError" not in done.stdout and jobs(project) == []


def test_build_and_shell_on_podman(project, in_podman):
    assert shutil.which("podman")
    make(project, "recipe", "VERB=shell", "ENGINE=podman", f"IMAGE={in_podman}")
    done = subprocess.run(
        ["bash", "recipes/shell.sh"],
        cwd=project,
        input="echo shell in $AWS_REGION\n",
        text=True,
        capture_output=True,
        check=False,
    )
    assert "shell in us-west-2" in done.stdout, done.stderr
