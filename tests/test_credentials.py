"""AWS credentials in the container: none by default.

On request they are served as SageMaker serves them, and nowhere else.
"""

import json
import os
import signal
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from conftest import clean_environment, jobs, last_job, make, need_podman, script
from servers import moto_serving
from sm_local.errors import SmLocalError
from sm_local.libexec.credentials import Credentials
from terminal import background, eventually, processes
from test_ownership import as_user, hand_over

SECRET = "wJalrXUtnFEMI-the-secret"
OWN = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": "the-token",
    "AWS_EC2_METADATA_DISABLED": "true",
    "HOME": "/nonexistent",
}
ROLE = "arn:aws:iam::123456789012:role/sagemaker-training"
ASK = """
import json, urllib.request
given = {key: value for key, value in os.environ.items() if key.startswith("AWS_C")}
for name, value in given.items():
    url = value if name.endswith("FULL_URI") else "http://169.254.170.2" + value
    got = {"names": list(given), **json.load(urllib.request.urlopen(url))}
    json.dump(got, open("/opt/ml/model/got.json", "w"))
names = [name for name in os.environ if name.startswith("AWS_")]
json.dump(names, open("/opt/ml/model/names.json", "w"))
"""
engine = pytest.mark.engine


@pytest.fixture
def asking(project, built):
    """Return a project whose script asks the endpoint and keeps what it got."""
    script(project, ASK)
    return project


@pytest.fixture(scope="module")
def sts(tmp_path_factory):
    with moto_serving(tmp_path_factory.mktemp("sts")) as url:
        yield url


def train(project, *arguments: str, **environment: str) -> str:
    done = make(
        project,
        "train",
        "ENGINE=docker",
        *arguments,
        env=clean_environment(**environment),
        timeout=180,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def got(job) -> dict:
    return json.loads((job / "model/got.json").read_text())


@engine
def test_none_reach_the_container_by_default(asking):
    train(asking, **OWN)
    assert json.loads((last_job(asking) / "model/names.json").read_text()) == ["AWS_REGION"]


@engine
@pytest.mark.linux
def test_the_callers_own_are_served_and_written_nowhere(asking):
    said = train(asking, "CREDENTIALS=session", **OWN)
    answer = got(last_job(asking))
    assert (answer["AccessKeyId"], answer["SecretAccessKey"], answer["Token"]) == (
        "AKIDEXAMPLE",
        SECRET,
        "the-token",
    )
    assert datetime.strptime(answer["Expiration"], "%Y-%m-%dT%H:%M:%SZ") > datetime.now(
        timezone.utc
    ).replace(tzinfo=None)
    assert "sm-local: credentials: your own, until " in said
    (last_job(asking) / "model/got.json").unlink()
    (last_job(asking) / "model.tar.gz").unlink()
    found = subprocess.run(
        [
            "grep",
            "-rlaE",
            f"{SECRET}|/v2/credentials/",
            asking,
            "--exclude=credentials.py",
            "--exclude=train.py",
            "--exclude-dir=.venv",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""


@engine
@pytest.mark.linux
def test_a_roles_are_served_when_asked_for(asking, sts):
    (asking / "job.yaml").write_text(f"RoleArn: {ROLE}\n")
    said = train(asking, "CREDENTIALS=role", AWS_ENDPOINT_URL_STS=sts, **OWN)
    assert got(last_job(asking))["AccessKeyId"].startswith("ASIA")
    assert f"sm-local: credentials: {ROLE}, until " in said


@engine
@pytest.mark.linux
def test_every_host_is_served(asking):
    (asking / "job.yaml").write_text(
        "ResourceConfig: {InstanceType: ml.m5.large, InstanceCount: 2}\n"
    )
    train(asking, "CREDENTIALS=session", **OWN)
    (job,) = jobs(asking)
    assert [got(job / host)["AccessKeyId"] for host in ("algo-1", "algo-2")] == ["AKIDEXAMPLE"] * 2


@engine
@pytest.mark.linux
def test_an_unprivileged_caller_serves_at_another_port(asking):
    # Other users cannot run a Python in root's home, such as pyenv's.
    system = {**os.environ, "PATH": f"/usr/bin:/bin:{os.environ['PATH']}"}
    for what in ([], ["aws"]):
        subprocess.run(
            ["bash", "sm_local/libexec/venv.sh", *what],
            cwd=asking,
            check=True,
            capture_output=True,
            env=system,
        )
    hand_over(asking, "CREDENTIALS=session")
    done = subprocess.run(
        [*as_user(asking), "bash", "recipes/train.sh"],
        cwd=asking,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=clean_environment(**OWN),
    )
    assert done.returncode == 0, done.stderr
    assert got(last_job(asking))["SecretAccessKey"] == SECRET
    if as_user(asking):
        assert got(last_job(asking))["names"] == ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]


@engine
@pytest.mark.linux
def test_network_isolation_keeps_them_out(asking):
    (asking / "job.yaml").write_text("EnableNetworkIsolation: true\n")
    said = train(asking, "CREDENTIALS=session", **OWN)
    assert (
        "sm-local: no credentials reach the container: EnableNetworkIsolation, as on SageMaker\n"
        in said
    )
    assert json.loads((last_job(asking) / "model/names.json").read_text()) == ["AWS_REGION"]


@engine
@pytest.mark.linux
@pytest.mark.parametrize("kill", [False, True], ids=["ended", "killed"])
def test_the_endpoint_ends_with_the_job(asking, docker, kill):
    script(asking, f"print('up', flush=True); time.sleep({4 if kill else 0})")
    make(asking, "recipe", "ENGINE=docker", "CREDENTIALS=session")
    process = background(
        ["bash", "recipes/train.sh"], asking, stderr=None, env=clean_environment(**OWN)
    )
    assert process.stdout.readline() == "up\n"
    if kill:
        assert len(processes("[s]m_local.libexec.credentials 169", asking)) == 1
        process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert eventually(lambda: processes("[s]m_local.libexec.credentials 169", asking) == [])
    own = {"filters": {"label": f"sm-local.project={asking}"}}
    # After SIGKILL only the next job on the engine that makes a network removes this one. It may be
    # a job of another test. It must go; otherwise the one address would be taken for ever.
    assert len(docker.networks.list(**own)) <= kill
    assert eventually(lambda: not docker.containers.list(**own))
    train(asking, "CREDENTIALS=session", **OWN)
    assert not docker.networks.list(**own)


NONE = (
    "you have no AWS credentials; 'aws configure' or 'aws sso login' gets some, "
    "CREDENTIALS=off runs without"
)
PODMAN = (
    "their endpoint needs Docker on this machine's own Linux, run by root; "
    "else pass yours by name: "
    "DOCKER_ARGS='--env AWS_ACCESS_KEY_ID --env AWS_SECRET_ACCESS_KEY --env AWS_SESSION_TOKEN'"
)
SANDBOX = (
    "the sandbox serves none and needs none, for your HOME, ~/.aws included, is there; set "
    "CREDENTIALS=off"
)


@engine
@pytest.mark.linux
@pytest.mark.parametrize(
    ("job", "mode", "changes", "why"),
    [
        pytest.param(
            "{}",
            "session",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            f": {NONE}",
            id="none",
        ),
        pytest.param(
            "{}",
            "session",
            {"AWS_PROFILE": "corp"},
            ": The config profile (corp) could not be found",
            id="profile",
        ),
        pytest.param(
            "{}",
            "role",
            {},
            ", but job.yaml has no RoleArn; add it, or CREDENTIALS=session for your own",
            id="no role",
        ),
        pytest.param(
            f"RoleArn: {ROLE}",
            "role",
            {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9"},
            ': Could not connect to the endpoint URL: "http://127.0.0.1:9/"',
            id="no answer",
        ),
        pytest.param("{}", "session", {"ENGINE": "sandbox"}, f": {SANDBOX}", id="sandbox"),
        pytest.param("{}", "session", {"ENGINE": "podman"}, f": {PODMAN}", id="podman"),
    ],
)
def test_what_cannot_be_had_stops_the_job_with_one_line(asking, docker, job, mode, changes, why):
    if changes.get("ENGINE") == "podman":
        need_podman()
    (asking / "job.yaml").write_text(job)
    done = make(
        asking,
        "train",
        f"CREDENTIALS={mode}",
        f"ENGINE={changes.get('ENGINE', 'docker')}",
        env=clean_environment(**{**OWN, **changes}),
    )
    assert done.returncode == 2
    assert [line for line in done.stdout.splitlines() if line.startswith("sm-local: CRED")] == [
        f"sm-local: CREDENTIALS={mode}{why}"
    ]
    assert jobs(asking) == []
    assert docker.networks.list(filters={"label": f"sm-local.project={asking}"}) == []


def answer(minutes: int) -> dict:
    return {
        "AccessKeyId": str(minutes),
        "Expiration": datetime.now(timezone.utc) + timedelta(minutes=minutes),
    }


def test_credentials_are_fetched_anew_before_they_expire():
    answers = [answer(15), answer(60), answer(90)]
    credentials = Credentials(lambda: answers.pop(0))
    assert [credentials.current()["AccessKeyId"] for _ in range(3)] == ["60"] * 3


def test_a_refusal_at_renewal_is_told_and_tried_again():
    answers = [answer(1), SmLocalError("expired"), answer(60)]

    def fetch():
        value = answers.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    credentials = Credentials(fetch)
    with pytest.raises(SmLocalError):
        credentials.current()
    assert credentials.current()["AccessKeyId"] == "60"
