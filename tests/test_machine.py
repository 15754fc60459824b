"""What this machine has, judged by the output of its tools; and the doctor's report.

No engine is asked: its answers are in the tables below.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sm_local import machine, settings
from sm_local.__main__ import main
from sm_local.errors import SmLocalError
from sm_local.machine import AVAILABLE, NOT_FOUND, UNKNOWN, AwsCli, EngineFacts, Gpu
from sm_local.verbs import doctor

cdi_specs = machine.cdi_specs  # the real one
CLEAN = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", *settings.RULES)


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """Pretend to be a Linux machine with an empty home and PATH, and no engine's socket."""
    for name in CLEAN:
        monkeypatch.delenv(name, raising=False)
    for name in ("home", "bin"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(machine, "cdi_specs", lambda: [])
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("platform.system", lambda: "Linux")


def tool(folder: Path, name: str, body: str = "") -> str:
    """Write an executable file; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def says(out: str = "", err: str = "", status: int = 0) -> str:
    """Return the body of a script that prints something and exits."""
    return f"/bin/cat <<'EOF'\n{out}\nEOF\n/bin/cat >&2 <<'EOF'\n{err}\nEOF\nexit {status}"


# AWS CLI


@pytest.mark.parametrize(
    ("out", "err", "version"),
    [
        pytest.param(
            "aws-cli/1.46.3 Python/3.11.7 Linux/6.18.44-fc-v657 botocore/1.43.62\n",
            "",
            (1, 46, 3),
            id="v1",
        ),
        pytest.param(
            "",
            "aws-cli/1.10.46 Python/2.7.11 Darwin/15.6.0 botocore/1.4.36\n",
            (1, 10, 46),
            id="v1-on-stderr",
        ),
        pytest.param(
            "aws-cli/1.22.34 Python/3.10.12 Linux/5.15 botocore/2.0.0\n",
            "",
            (1, 22, 34),
            id="v1-with-a-2-elsewhere",
        ),
        pytest.param(
            "aws-cli/2.0.0 Python/3.8.1 Darwin/19.3.0 botocore/2.0.0dev4\n",
            "",
            (2, 0, 0),
            id="v2-with-botocore",
        ),
        pytest.param(
            "aws-cli/2.0.48 Python/3.7.3 Linux/4.4.0-18362-Microsoft exe/x86_64.ubuntu.18\n",
            "",
            (2, 0, 48),
            id="v2-bundle",
        ),
        pytest.param(
            "aws-cli/2.4.15 Python/3.8.8 Darwin/21.2.0 exe/x86_64 prompt/off\n",
            "",
            (2, 4, 15),
            id="v2-prompt",
        ),
        pytest.param(
            "aws-cli/2.36.7 Python/3.11.7 Linux/6.18.44-fc-v657 source/x86_64.debian.12\n",
            "",
            (2, 36, 7),
            id="v2-from-source",
        ),
        pytest.param(
            "aws-cli/2.9.19 Python/3.11.2 Linux/6.1 exec-env/1 exe/x86_64.debian.12\r\n",
            "",
            (2, 9, 19),
            id="v2-execution-environment",
        ),
        pytest.param("aws-cli/3.0.1 Python/3.14\n", "", (3, 0, 1), id="v3"),
        pytest.param("aws-cli/10.2.3\n", "", (10, 2, 3), id="two-digits"),
        pytest.param(
            "using the wrapper of the data team\naws-cli/2.15.0 Python/3.11\n",
            "",
            (2, 15, 0),
            id="python-wrapper-that-talks",
        ),
        pytest.param(
            "",
            "/usr/lib/python3/dist-packages/x.py:1: Warning: old\naws-cli/1.22.34 Python/3.10\n",
            (1, 22, 34),
            id="python-warning-before",
        ),
        pytest.param("aws-cli/1.46.3", "aws-cli/2.0.0", (1, 46, 3), id="stdout-first"),
        pytest.param("wrapper", "aws-cli/2.0.0", (2, 0, 0), id="stdout-without-a-newline"),
        pytest.param(
            "/opt/aws-cli/2.15.0/bin/aws: python3: not found\n", "", (), id="a-path-is-no-version"
        ),
        pytest.param("", "my-aws-cli/2.1.0\n", (), id="another-program"),
        pytest.param("awscli-local/2.1.0 aws-cli-2.1.0 v2 aws/2.1.0\n", "", (), id="similar-names"),
        pytest.param("aws-cli/2 Python/3\n", "", (), id="no-full-number"),
        pytest.param(
            "",
            "Traceback (most recent call last):\nModuleNotFoundError: No module named 'awscli'\n",
            (),
            id="broken-wrapper",
        ),
        pytest.param("", "no answer within 15 s", (), id="no-answer"),
        pytest.param("", "", (), id="nothing"),
    ],
)
def test_the_version_of_the_aws_cli(out, err, version):
    assert machine.aws_version(0, out, err) == version


def test_every_aws_on_the_path_is_found_in_its_order(tmp_path, monkeypatch):
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    found = [
        tool(one, "aws", says(err="aws-cli/1.18.0 Python/2.7")),
        tool(three, "aws", says("aws-cli/2.15.0 Python/3.11")),
    ]
    (two / "aws").mkdir(parents=True)
    monkeypatch.setenv(
        "PATH", os.pathsep.join(map(str, ["", one, two, tmp_path / "missing", three, one]))
    )
    assert machine.find_aws() == [AwsCli(found[0], (1, 18, 0)), AwsCli(found[1], (2, 15, 0))]


def test_no_aws_is_named_behind_the_first_v2(tmp_path, monkeypatch):
    one, two = (tmp_path / name for name in ("one", "two"))
    found = tool(one, "aws", says("aws-cli/2.15.0 Python/3.11"))
    tool(two, "aws", says("aws-cli/1.18.0 Python/2.7"))
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, [one, two])))
    assert machine.find_aws() == [AwsCli(found, (2, 15, 0))]


def test_an_aws_of_two_names_is_asked_once(tmp_path, monkeypatch):
    one, two = (tmp_path / name for name in ("one", "two"))
    found = tool(one, "aws", f"echo asked >> {tmp_path}/log\n{says('aws-cli/1.18.0 Python/2.7')}")
    two.symlink_to(one)
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, [one, two])))
    assert machine.find_aws() == [AwsCli(found, (1, 18, 0))]
    assert (tmp_path / "log").read_text() == "asked\n"


def test_an_aws_that_cannot_run_is_there_without_a_version(tmp_path):
    path = tmp_path / "bin/aws"
    path.write_text("#!/nonexistent/python\n")
    path.chmod(0o755)
    assert machine.find_aws() == [AwsCli(str(path), ())]


def test_no_aws_is_found():
    assert machine.find_aws() == []


# Child processes


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        pytest.param("echo out; echo err >&2", (0, "out\n", "err\n"), id="both"),
        pytest.param("exit 3", (3, "", ""), id="status"),
        pytest.param("cat; echo end", (0, "end\n", ""), id="no-stdin"),
        pytest.param("printf 'a\\377b'", (0, "a\ufffdb", ""), id="not-utf-8"),
    ],
)
def test_a_child_answers(monkeypatch, body, answer):
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    assert machine.run("/bin/sh", "-c", body) == answer


def test_a_child_that_hangs_is_given_up():
    assert machine.run("/bin/sleep", "30", timeout=0.2) == (124, "", "no answer within 0 s")


def test_a_child_that_is_not_there():
    assert machine.run("/nonexistent/x") == (
        127,
        "",
        "[Errno 2] No such file or directory: '/nonexistent/x'",
    )


# Is there a Docker engine


@pytest.fixture
def no_system(monkeypatch):
    """Hide this machine's own daemon and socket."""
    real = Path.exists
    hidden = {"/var/run/docker.sock", "/usr/sbin/dockerd", "/Applications/Docker.app"}
    monkeypatch.setattr(
        Path, "exists", lambda path, **options: str(path) not in hidden and real(path, **options)
    )


def config(folder: Path, text: str) -> None:
    """Write a Docker client's config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(text)


@pytest.mark.parametrize(
    ("environment", "files", "there"),
    [
        pytest.param({}, {}, False, id="nothing"),
        pytest.param({}, {"bin/docker": ""}, False, id="the-client-alone"),
        pytest.param({}, {"bin/dockerd": ""}, True, id="daemon"),
        pytest.param({}, {"home/.docker/run/docker.sock": ""}, True, id="docker-desktop's-socket"),
        pytest.param(
            {"XDG_RUNTIME_DIR": "TMP/run"}, {"run/docker.sock": ""}, True, id="rootless-socket"
        ),
        pytest.param({"XDG_RUNTIME_DIR": "TMP/run"}, {}, False, id="no-rootless-socket"),
        pytest.param(
            {"XDG_RUNTIME_DIR": ""},
            {"docker.sock": ""},
            False,
            id="empty-runtime-folder-is-not-this-one",
        ),
        pytest.param({"DOCKER_HOST": "unix:///x"}, {}, True, id="DOCKER_HOST"),
        pytest.param({"DOCKER_HOST": ""}, {}, False, id="empty-DOCKER_HOST"),
        pytest.param({"DOCKER_CONTEXT": "colima"}, {}, True, id="DOCKER_CONTEXT"),
        pytest.param({"DOCKER_CONTEXT": "default"}, {}, False, id="DOCKER_CONTEXT-default"),
        pytest.param(
            {"DOCKER_CONTEXT": "default"},
            {"home/.docker/config.json": '{"currentContext": "colima"}'},
            False,
            id="DOCKER_CONTEXT-over-the-file",
        ),
        pytest.param(
            {}, {"home/.docker/config.json": '{"currentContext": "colima"}'}, True, id="context"
        ),
        pytest.param(
            {},
            {"home/.docker/config.json": '{"currentContext": "default"}'},
            False,
            id="default-context",
        ),
        pytest.param(
            {}, {"home/.docker/config.json": '{"currentContext": ""}'}, False, id="empty-context"
        ),
        pytest.param(
            {}, {"home/.docker/config.json": '{"currentContext": null}'}, False, id="null-context"
        ),
        pytest.param({}, {"home/.docker/config.json": '{"auths": {}}'}, False, id="no-context"),
        pytest.param({}, {"home/.docker/config.json": "{"}, False, id="broken-file"),
        pytest.param({}, {"home/.docker/config.json": "[]"}, False, id="no-object"),
        pytest.param(
            {"DOCKER_CONFIG": "TMP/other"},
            {"other/config.json": '{"currentContext": "colima"}'},
            True,
            id="DOCKER_CONFIG",
        ),
        pytest.param(
            {"DOCKER_CONFIG": "TMP/other"},
            {"home/.docker/config.json": '{"currentContext": "colima"}'},
            False,
            id="DOCKER_CONFIG-over-home",
        ),
        pytest.param(
            {"DOCKER_CONFIG": ""},
            {"config.json": '{"currentContext": "colima"}'},
            False,
            id="empty-DOCKER_CONFIG-is-not-this-folder",
        ),
    ],
)
def test_whether_a_docker_engine_is_there(
    no_system, tmp_path, monkeypatch, environment, files, there
):
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.replace("TMP", str(tmp_path)))
    for name, text in files.items():
        tool(tmp_path / Path(name).parent, Path(name).name)
        if text:
            (tmp_path / name).write_text(text)
    assert machine.docker_is_there() == there


@pytest.mark.parametrize(
    "path", ["/var/run/docker.sock", "/usr/sbin/dockerd", "/Applications/Docker.app"]
)
def test_the_systems_own_docker_is_there(monkeypatch, path):
    monkeypatch.setattr(Path, "exists", lambda self, **_: str(self) == path)
    assert machine.docker_is_there()


@pytest.mark.parametrize(
    ("tools", "wanted", "name"),
    [
        pytest.param([], "auto", "sandbox", id="nothing"),
        pytest.param(["docker"], "auto", "sandbox", id="the-client-alone"),
        pytest.param(["docker", "podman"], "auto", "podman", id="podman"),
        pytest.param(["dockerd", "docker", "podman"], "auto", "docker", id="docker-first"),
        pytest.param(["dockerd"], "auto", "docker", id="daemon-without-a-client"),
        pytest.param(["dockerd", "docker"], "podman", "podman", id="podman-by-name"),
        pytest.param(["podman"], "docker", "docker", id="docker-by-name"),
        pytest.param(["dockerd", "docker", "podman"], "sandbox", "sandbox", id="sandbox-by-name"),
    ],
)
def test_which_engine(no_system, tmp_path, tools, wanted, name):
    for each in tools:
        tool(tmp_path / "bin", each, "exit 1")
    assert machine.find_engine(wanted).name == name


# Another machine's engine


@pytest.mark.parametrize(
    ("host", "other"),
    [
        pytest.param("", False, id="none"),
        pytest.param("unix:///var/run/docker.sock", False, id="socket"),
        pytest.param("npipe:////./pipe/docker_engine", False, id="pipe"),
        pytest.param("fd://", False, id="fd"),
        pytest.param("tcp://localhost:2375", False, id="localhost"),
        pytest.param("tcp://localhost", False, id="localhost-without-a-port"),
        pytest.param("tcp://127.0.0.1:2375/", False, id="loopback"),
        pytest.param("tcp://127.1.2.3:2376", False, id="another-loopback"),
        pytest.param("tcp://[::1]:2375", False, id="loopback-6"),
        pytest.param("tcp://:2375", False, id="port-alone"),
        pytest.param("localhost:2375", False, id="localhost-without-a-scheme"),
        pytest.param("ssh://me@gpu", True, id="ssh"),
        pytest.param("tcp://docker:2375", True, id="name"),
        pytest.param("tcp://10.0.0.5:2376", True, id="address"),
        pytest.param("tcp://[fe80::1]:2375", True, id="address-6"),
        pytest.param("10.0.0.5:2375", True, id="address-without-a-scheme"),
        pytest.param("tcp://localhost.example.com:2375", True, id="begins-like-localhost"),
        pytest.param("tcp://127.example.com", True, id="begins-like-loopback"),
    ],
)
def test_whether_an_address_is_another_machines(host, other):
    assert machine.other_machine(host) == other


ELSEWHERE = Gpu(UNKNOWN, "the engine is on another machine")


@pytest.mark.parametrize("host", ["ssh://me@gpu", "tcp://10.0.0.5:2376"])
def test_a_remote_docker_is_refused_without_asking_it(tmp_path, monkeypatch, host):
    tool(tmp_path / "bin", "docker", f"touch '{tmp_path}/asked'")
    monkeypatch.setenv("DOCKER_HOST", host)
    assert machine.find_docker() == EngineFacts(
        "docker",
        problem=f"DOCKER_HOST is {host}, another machine, which does not see this one's folders",
        remedy="unset DOCKER_HOST, or use ENGINE=sandbox",
        gpu=ELSEWHERE,
    )
    assert not (tmp_path / "asked").exists()


def docker_of(folder: Path, host: str) -> None:
    """Put a docker client on PATH whose context has this address."""
    tool(
        folder,
        "docker",
        f"""case "$*" in
  "context inspect --format {{{{.Endpoints.docker.Host}}}}") echo {host} ;;
  "info --format {{{{json .}}}}") echo '{{"ServerVersion": "28.0"}}' ;;
esac""",
    )


def test_a_context_of_another_machine_is_refused(tmp_path):
    docker_of(tmp_path / "bin", "ssh://me@gpu")
    config(tmp_path / "home/.docker", '{"currentContext": "gpu"}')
    assert machine.find_docker() == EngineFacts(
        "docker",
        problem="the Docker context gpu is ssh://me@gpu, another machine, which does not see this "
        "one's folders",
        remedy="'docker context use default', or use ENGINE=sandbox",
        gpu=ELSEWHERE,
    )


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        pytest.param({}, "ssh://me@gpu", id="no-context"),
        pytest.param({"DOCKER_CONTEXT": "default"}, "ssh://me@gpu", id="default"),
        pytest.param({"DOCKER_CONTEXT": "colima"}, "unix:///x.sock", id="of-this-machine"),
        pytest.param(
            {"DOCKER_CONTEXT": "gpu", "DOCKER_HOST": "unix:///x"},
            "ssh://me@gpu",
            id="DOCKER_HOST-wins",
        ),
    ],
)
def test_this_machines_context_is_taken(tmp_path, monkeypatch, environment, host):
    docker_of(tmp_path / "bin", host)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert machine.find_docker() == EngineFacts(
        "docker", "28.0", owns_files=True, can_overlay=True, same_kernel=True, gpu=NOTHING
    )


# The output of docker info


NOTHING = Gpu(NOT_FOUND, "neither runtime 'nvidia' nor a CDI device nor NVIDIA's hook")
SILENT = Gpu(UNKNOWN, "docker does not answer")
RUNC = {"io.containerd.runc.v2": {"path": "runc"}, "runc": {"path": "runc"}}
CDI = [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}, {"Source": "cdi", "ID": "nvidia.com/gpu=all"}]
INFO = {
    "ServerVersion": "28.5.2",
    "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
    "Architecture": "x86_64",
    "NCPU": 8,
    "DockerRootDir": "/var/lib/docker",
    "Runtimes": RUNC,
    "DiscoveredDevices": [],
}
ANSWERING = EngineFacts(
    "docker",
    "28.5.2",
    owns_files=True,
    can_overlay=True,
    same_kernel=True,
    arch="x86_64",
    cpus=8,
    root_dir="/var/lib/docker",
    gpu=NOTHING,
)
ON_DESKTOP = replace(ANSWERING, owns_files=False, can_overlay=False, same_kernel=False)
LINUX = {"owns_files": True, "can_overlay": True, "same_kernel": True}
DOWN = {
    "ServerVersion": "",
    "Runtimes": None,
    "SecurityOptions": None,
    "OperatingSystem": "",
    "NCPU": 0,
}


@pytest.mark.parametrize(
    ("info", "engine"),
    [
        pytest.param({}, ANSWERING, id="plain"),
        pytest.param({"SecurityOptions": None}, ANSWERING, id="no-security"),
        pytest.param(
            {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]},
            replace(ANSWERING, owns_files=False, can_overlay=False),
            id="rootless",
        ),
        pytest.param(
            {"SecurityOptions": ["name=userns"]},
            replace(ANSWERING, owns_files=False, can_overlay=False),
            id="userns",
        ),
        pytest.param(
            {"OperatingSystem": "Docker Desktop"},
            replace(ON_DESKTOP, desktop=True),
            id="desktop",
        ),
        pytest.param(
            {"OperatingSystem": "Docker Desktop 4.34 (containerized)"},
            replace(ON_DESKTOP, desktop=True),
            id="desktop-of-a-version",
        ),
        pytest.param(
            {"Architecture": None, "NCPU": None, "DockerRootDir": None, "OperatingSystem": None},
            EngineFacts("docker", "28.5.2", gpu=NOTHING, **LINUX),
            id="says-little",
        ),
        pytest.param(
            {"DiscoveredDevices": CDI},
            replace(ANSWERING, gpu=Gpu(AVAILABLE, "CDI device nvidia.com/gpu=0", "cdi")),
            id="gpu",
        ),
    ],
)
def test_a_docker_that_answers(info, engine):
    assert (
        machine.docker_engine(
            0, json.dumps({**INFO, **info}), "WARNING: No swap limit support\n", False
        )
        == engine
    )


def test_files_on_a_mac_are_owned_by_the_virtual_machine(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert machine.docker_engine(0, json.dumps(INFO), "", False) == ON_DESKTOP


START = "start it ('sudo systemctl start docker'), or train without: ENGINE=sandbox"
GROUP = (
    "'sudo usermod -aG docker $USER' and a new login let you use it, ENGINE=sandbox trains without"
)
CANNOT = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
    "Is the docker daemon running?"
)
DENIED = (
    "permission denied while trying to connect to the Docker daemon socket at "
    "unix:///var/run/docker.sock: connect: permission denied"
)


@pytest.mark.parametrize(
    ("status", "out", "err", "reason", "remedy"),
    [
        pytest.param(1, json.dumps(DOWN), f"{CANNOT}\n", CANNOT, START, id="down-with-valid-json"),
        pytest.param(
            1,
            json.dumps({**DOWN, "ServerErrors": [CANNOT]}),
            "errors pretty printing info\n",
            CANNOT,
            START,
            id="down-with-its-errors",
        ),
        pytest.param(
            0,
            json.dumps({**DOWN, "ServerErrors": [CANNOT]}),
            "",
            CANNOT,
            START,
            id="down-with-status-0",
        ),
        pytest.param(0, json.dumps(DOWN), "", "no reason given", START, id="no-version"),
        pytest.param(
            1,
            json.dumps(INFO),
            "half an answer.\n",
            "half an answer",
            START,
            id="a-version-and-an-error",
        ),
        pytest.param(
            1,
            json.dumps({**DOWN, "ServerErrors": [DENIED]}),
            "",
            DENIED,
            GROUP,
            id="permission-denied",
        ),
        pytest.param(
            1, "", f"Got {DENIED}\n", f"Got {DENIED}", GROUP, id="permission-denied-on-stderr"
        ),
        pytest.param(
            1,
            "",
            "Permission Denied.\n",
            "Permission Denied",
            GROUP,
            id="permission-denied-in-capitals",
        ),
        pytest.param(
            1,
            "",
            "\n  \npanic: runtime error\ngoroutine 1\n",
            "panic: runtime error",
            START,
            id="a-client-that-crashes",
        ),
        pytest.param(124, "", "no answer within 15 s", "no answer within 15 s", START, id="hangs"),
        pytest.param(
            127,
            "",
            "[Errno 8] Exec format error: 'docker'",
            "[Errno 8] Exec format error: 'docker'",
            START,
            id="cannot-run",
        ),
        pytest.param(
            0,
            "The command 'docker' could not be found in this WSL 2 distro\n",
            "",
            "no reason given",
            START,
            id="no-json",
        ),
        pytest.param(0, "[]", "", "no reason given", START, id="no-object"),
        pytest.param(1, "", "", "no reason given", START, id="nothing"),
    ],
)
def test_a_docker_that_does_not_answer_is_unknown_not_without_gpus(
    status, out, err, reason, remedy
):
    assert machine.docker_engine(status, out, err, True) == EngineFacts(
        "docker", problem=f"does not answer ({reason})", remedy=remedy, gpu=SILENT
    )


def test_a_docker_that_is_down_on_a_mac(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert (
        machine.docker_engine(1, json.dumps(DOWN), CANNOT, False).remedy
        == "open Docker Desktop, or train without: ENGINE=sandbox"
    )


def test_no_docker_client(tmp_path):
    assert machine.find_docker() == EngineFacts(
        "docker",
        problem="has no client on PATH",
        remedy="install Docker, or use ENGINE=sandbox",
        gpu=Gpu(UNKNOWN, "there is no docker client"),
    )


@pytest.mark.parametrize("hook", ["nvidia-container-runtime-hook", "nvidia-cdi-hook"])
def test_a_hook_on_the_path_is_a_sign(tmp_path, hook):
    tool(tmp_path / "bin", "docker", says(json.dumps(INFO)))
    tool(tmp_path / "bin", hook)
    assert machine.find_docker() == replace(ANSWERING, gpu=HOOK)


def test_other_tools_of_nvidia_are_no_sign(tmp_path):
    tool(tmp_path / "bin", "docker", says(json.dumps(INFO)))
    for name in ("nvidia-ctk", "nvidia-smi", "nvidia-container-cli"):
        tool(tmp_path / "bin", name)
    assert machine.find_docker() == ANSWERING


def test_a_docker_that_is_down_is_asked_once(tmp_path):
    tool(
        tmp_path / "bin",
        "docker",
        f"echo \"$@\" >> '{tmp_path}/asked'\n" + says(json.dumps(DOWN), CANNOT, 1),
    )
    assert machine.find_docker() == EngineFacts(
        "docker", problem=f"does not answer ({CANNOT})", remedy=START, gpu=SILENT
    )
    assert (tmp_path / "asked").read_text() == "info --format {{json .}}\n"


# Podman


PODMAN = {
    "host": {"arch": "amd64", "cpus": 4, "buildahVersion": "1.28.2"},
    "store": {"graphRoot": "/home/me/.local/share/containers/storage"},
    "version": {"APIVersion": "4.3.1", "Version": "4.3.1"},
}
AS_PODMAN = EngineFacts(
    "podman",
    "4.3.1",
    can_overlay=True,
    overlay_is_cheap=True,
    arch="amd64",
    cpus=4,
    root_dir="/home/me/.local/share/containers/storage",
    gpu=Gpu(NOT_FOUND, "no CDI specification in /etc/cdi"),
)


def test_podman_behind_the_name_docker(tmp_path):
    banner = "Emulate Docker CLI using podman. Create /etc/containers/nodocker to quiet msg.\n"
    assert machine.docker_engine(0, json.dumps(PODMAN), banner, True) == AS_PODMAN
    tool(tmp_path / "bin", "docker", says(json.dumps(PODMAN), banner))
    assert machine.find_docker() == AS_PODMAN


@pytest.mark.parametrize(
    ("info", "engine"),
    [
        pytest.param(PODMAN, AS_PODMAN, id="plain"),
        pytest.param({**PODMAN, "version": None}, replace(AS_PODMAN, version=""), id="no-version"),
        pytest.param(
            {"host": None, "store": None},
            EngineFacts("podman", can_overlay=True, overlay_is_cheap=True, gpu=AS_PODMAN.gpu),
            id="says-nothing",
        ),
        pytest.param(
            {**PODMAN, "Runtimes": {"nvidia": {}}}, AS_PODMAN, id="a-runtime-means-nothing"
        ),
    ],
)
def test_a_podman_that_answers(info, engine):
    assert machine.podman_engine(info) == engine


def test_podman_hands_out_gpus_by_cdi(monkeypatch):
    monkeypatch.setattr(
        machine, "cdi_specs", lambda: ["/etc/cdi/nvidia.yaml", "/var/run/cdi/nvidia.yaml"]
    )
    assert machine.podman_engine(PODMAN) == replace(
        AS_PODMAN, gpu=Gpu(AVAILABLE, "CDI specification /etc/cdi/nvidia.yaml", "cdi")
    )


@pytest.mark.parametrize(
    ("files", "specs"),
    [
        pytest.param([], [], id="none"),
        pytest.param(["a/amd.yaml", "b/x-nvidia.yaml"], [], id="others"),
        pytest.param(
            ["b/nvidia.yaml", "a/nvidia-2.json", "a/nvidia-1.yaml"],
            ["a/nvidia-1.yaml", "a/nvidia-2.json", "b/nvidia.yaml"],
            id="in-order",
        ),
    ],
)
def test_the_cdi_specifications_of_this_machine(tmp_path, files, specs):
    for name in files:
        tool((tmp_path / name).parent, Path(name).name)
    assert cdi_specs((f"{tmp_path}/a", f"{tmp_path}/b", f"{tmp_path}/missing")) == [
        f"{tmp_path}/{name}" for name in specs
    ]


@pytest.mark.parametrize(
    ("body", "engine"),
    [
        pytest.param(says(json.dumps(PODMAN)), AS_PODMAN, id="answers"),
        pytest.param(
            says("", "Error: cannot find newuidmap.", 125),
            EngineFacts(
                "podman",
                problem="does not answer (Error: cannot find newuidmap)",
                remedy="'podman info' says more, ENGINE=sandbox trains without",
                gpu=Gpu(UNKNOWN, "podman does not answer"),
            ),
            id="does-not",
        ),
    ],
)
def test_podman_is_asked(tmp_path, body, engine):
    tool(tmp_path / "bin", "podman", f'[ "$*" = "info --format json" ] || exit 2\n{body}')
    assert machine.find_podman() == engine


def test_no_podman():
    assert machine.find_podman() == EngineFacts(
        "podman",
        problem="there is no podman on PATH",
        remedy="install Podman, or use ENGINE=sandbox",
        gpu=Gpu(UNKNOWN, "there is no podman"),
    )


# The sandbox


HERE = {
    "has_images": False,
    "can_overlay": True,
    "overlay_is_cheap": True,
    "gpu": Gpu(NOT_FOUND, "no /dev/nvidia0"),
}
NAMESPACES = EngineFacts("sandbox", "6.1.0", arch="x86_64", **HERE)
REFUSING = {
    "problem": "namespaces are forbidden here (unshare: unshare failed: Operation not permitted)",
    "remedy": "run as root, allow user namespaces, or install Docker or Podman",
}
UNSHARE = "--mount --pid --uts --ipc --fork"


@pytest.mark.parametrize(
    ("user", "body", "engine"),
    [
        pytest.param(0, f'[ "$*" = "{UNSHARE} true" ]', NAMESPACES, id="root"),
        pytest.param(
            1000, f'[ "$*" = "{UNSHARE} --user --map-root-user true" ]', NAMESPACES, id="user"
        ),
        pytest.param(
            1000,
            says("", "unshare: unshare failed: Operation not permitted", 1),
            EngineFacts("sandbox", **HERE, **REFUSING),
            id="forbidden",
        ),
    ],
)
def test_the_sandbox_tries_its_namespaces(tmp_path, monkeypatch, user, body, engine):
    tool(tmp_path / "bin", "unshare", body)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr("platform.release", lambda: "6.1.0-13-amd64")
    monkeypatch.setattr(Path, "exists", lambda path, **_: False)
    assert machine.find_sandbox() == engine


def test_the_sandbox_sees_this_machines_gpus(tmp_path, monkeypatch):
    tool(tmp_path / "bin", "unshare")
    monkeypatch.setattr(Path, "exists", lambda path, **_: str(path) == "/dev/nvidia0")
    assert machine.find_sandbox().gpu == Gpu(AVAILABLE, "the sandbox sees this machine's devices")


def test_no_namespaces(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path, **_: False)
    assert machine.find_sandbox() == EngineFacts(
        "sandbox",
        problem="needs Linux namespaces ('unshare' of util-linux), which are not here",
        remedy="install Docker or Podman",
        **HERE,
    )


# GPUs


RUNTIME, HOOK = (
    Gpu(AVAILABLE, "runtime 'nvidia'", "gpus"),
    Gpu(AVAILABLE, "NVIDIA's container hook on PATH, though docker info does not show it", "gpus"),
)
NVIDIA = {**RUNC, "nvidia": {"path": "nvidia-container-runtime"}}


def cdi(mechanism: str, device: str = "nvidia.com/gpu=0") -> Gpu:
    """Return the verdict for a CDI device."""
    return Gpu(AVAILABLE, f"CDI device {device}", mechanism)


@pytest.mark.parametrize(
    ("info", "hook", "gpu"),
    [
        pytest.param({"Runtimes": RUNC}, False, NOTHING, id="no-toolkit"),
        pytest.param({}, False, NOTHING, id="no-runtimes"),
        pytest.param(
            {"Runtimes": None, "DiscoveredDevices": None},
            False,
            NOTHING,
            id="a-client-newer-than-its-server",
        ),
        pytest.param({"Runtimes": NVIDIA}, False, RUNTIME, id="runtime"),
        pytest.param(
            {"Runtimes": {**RUNC, "nvidia-cdi": {}, "nvidia-legacy": {}}},
            False,
            NOTHING,
            id="nvidia-cdi-is-another-runtime",
        ),
        pytest.param(
            {"Runtimes": {"runc": {"path": "nvidia"}}}, False, NOTHING, id="nvidia-in-a-value"
        ),
        pytest.param({"Runtimes": {**NVIDIA, "nvidia-cdi": {}}}, True, RUNTIME, id="runtime-first"),
        pytest.param(
            {"ServerVersion": "28.2.2", "Runtimes": NVIDIA, "DiscoveredDevices": CDI},
            True,
            RUNTIME,
            id="runtime-before-cdi",
        ),
        pytest.param(
            {"ServerVersion": "28.2.2", "Runtimes": RUNC, "DiscoveredDevices": CDI},
            False,
            cdi("cdi"),
            id="cdi-28.2",
        ),
        pytest.param(
            {"ServerVersion": "29.1.5", "DiscoveredDevices": CDI}, False, cdi("cdi"), id="cdi-29.1"
        ),
        pytest.param(
            {"ServerVersion": "29.2.0", "DiscoveredDevices": CDI}, False, cdi("gpus"), id="cdi-29.2"
        ),
        pytest.param(
            {"ServerVersion": "29.2", "DiscoveredDevices": CDI},
            False,
            cdi("gpus"),
            id="cdi-29.2-in-short",
        ),
        pytest.param(
            {"ServerVersion": "29.10.0", "DiscoveredDevices": CDI},
            False,
            cdi("gpus"),
            id="cdi-29.10",
        ),
        pytest.param(
            {"ServerVersion": "30.0.0-rc.1", "DiscoveredDevices": CDI},
            False,
            cdi("gpus"),
            id="cdi-30",
        ),
        pytest.param(
            {"ServerVersion": "dev", "DiscoveredDevices": CDI},
            False,
            cdi("cdi"),
            id="cdi-of-a-version-without-numbers",
        ),
        pytest.param(
            {"DiscoveredDevices": [{"ID": "amd.com/gpu=0"}, {"ID": "nvidia.com/gpu=GPU-1"}]},
            False,
            cdi("cdi", "nvidia.com/gpu=GPU-1"),
            id="cdi-second",
        ),
        pytest.param({"DiscoveredDevices": CDI}, True, cdi("cdi"), id="cdi-before-hook"),
        pytest.param(
            {
                "DiscoveredDevices": [
                    {"ID": "amd.com/gpu=all"},
                    {"ID": "x.nvidia.com/gpu=0"},
                    {"ID": "nvidia.com/nic=0"},
                ]
            },
            False,
            NOTHING,
            id="other-devices",
        ),
        pytest.param(
            {"DiscoveredDevices": ["nvidia.com/gpu=0", None, {}]},
            False,
            NOTHING,
            id="not-as-documented",
        ),
        pytest.param({"Runtimes": RUNC}, True, HOOK, id="hook"),
    ],
)
def test_whether_docker_has_gpus(info, hook, gpu):
    assert machine.docker_gpu(info, hook, False) == gpu


@pytest.mark.parametrize(
    ("info", "gpu"),
    [
        pytest.param(
            {"Runtimes": NVIDIA},
            Gpu(
                AVAILABLE,
                "runtime 'nvidia', which Docker Desktop lists on machines without a GPU too",
                "gpus",
            ),
            id="4.34-or-newer",
        ),
        pytest.param({"Runtimes": RUNC}, NOTHING, id="4.33-or-older"),
    ],
)
def test_whether_docker_desktop_has_gpus(info, gpu):
    assert machine.docker_gpu(info, False, True) == gpu


@pytest.mark.parametrize(
    ("out", "count"),
    [
        pytest.param(
            "GPU 0: NVIDIA H200 (UUID: GPU-1)\nGPU 1: NVIDIA H200 (UUID: GPU-2)", 2, id="two"
        ),
        pytest.param(
            "GPU 0: NVIDIA H200 (UUID: GPU-1)\n  MIG 1g.18gb Device 0: (UUID: MIG-1)\n"
            "  MIG 1g.18gb Device 1: (UUID: MIG-2)",
            1,
            id="parts-of-one",
        ),
        pytest.param("No devices were found", 0, id="none"),
        pytest.param(
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
            0,
            id="no-driver",
        ),
    ],
)
def test_the_number_of_gpus(tmp_path, out, count):
    tool(tmp_path / "bin", "nvidia-smi", f'[ "$*" = --list-gpus ] || exit 2\n{says(out)}')
    assert machine.count_gpus() == count


def test_gpus_are_counted_where_some_can_be_had(tmp_path):
    tool(tmp_path / "bin", "nvidia-smi", says("GPU 0: a\nGPU 1: b"))
    tool(tmp_path / "bin", "docker", says(json.dumps({**INFO, "Runtimes": NVIDIA})))
    assert machine.find_engine("docker") == replace(ANSWERING, gpu=replace(RUNTIME, count=2))
    tool(tmp_path / "bin", "docker", says(json.dumps(INFO)))
    assert machine.find_engine("docker") == ANSWERING


def test_no_driver_lists_no_gpus():
    assert machine.count_gpus() == 0


# An engine that cannot be used


def test_an_engine_that_can_be_used_is_returned():
    assert machine.require(ANSWERING) is ANSWERING


def test_an_engine_that_cannot_be_used_is_refused_with_the_remedy():
    with pytest.raises(SmLocalError) as error:
        machine.require(EngineFacts("docker", problem="does not answer (x)", remedy="start it"))
    assert str(error.value) == "docker: does not answer (x); start it"


def test_free_bytes_of_a_folder_that_cannot_be_seen(tmp_path):
    assert machine.free_bytes(str(tmp_path / "missing")) == -1
    assert machine.free_bytes(str(tmp_path)) > 0


# The doctor


SETTINGS = {key: rule.default for key, rule in settings.RULES.items()}
V1, V2 = AwsCli("/usr/bin/aws", (1, 46, 3)), AwsCli("/usr/local/bin/aws", (2, 36, 7))
GET = "get v2: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"


def test_the_whole_report():
    assert doctor.report(ANSWERING, SETTINGS, [V2], 100 * 1024**3) == (
        [
            "engine    docker 28.5.2 answers",
            (
                "GPU       not found (neither runtime 'nvidia' nor a CDI device nor NVIDIA's "
                "hook); jobs run on the CPU"
            ),
            "AWS CLI   2.36.7 at /usr/local/bin/aws",
            "disk      100 GB free",
            "machine   x86_64 Linux",
        ],
        [],
    )


BROKEN = EngineFacts("docker", problem="does not answer (x)", remedy="start it", gpu=SILENT)
WITH_GPU = replace(ANSWERING, gpu=RUNTIME)
NO_GPU = (
    f"but the GPU runtime is not found ({NOTHING.reason}); "
    "install the NVIDIA Container Toolkit, or set GPU=auto"
)
NO_ANSWER = (
    "but the GPU runtime is unknown (docker does not answer); "
    "install the NVIDIA Container Toolkit, or set GPU=auto"
)


@pytest.mark.parametrize(
    ("engine", "gpu", "missing"),
    [
        pytest.param(ANSWERING, "auto", [], id="auto"),
        pytest.param(ANSWERING, "none", [], id="none"),
        pytest.param(ANSWERING, "required", [f"GPU=required, {NO_GPU}"], id="required"),
        pytest.param(ANSWERING, "all", [f"GPU=all, {NO_GPU}"], id="all"),
        pytest.param(ANSWERING, "0,1", [f"GPU=0,1, {NO_GPU}"], id="devices"),
        pytest.param(WITH_GPU, "required", [], id="required-and-there"),
        pytest.param(WITH_GPU, "0", [], id="device-and-there"),
        pytest.param(BROKEN, "auto", ["docker does not answer (x); start it"], id="no-engine"),
        pytest.param(
            BROKEN, "none", ["docker does not answer (x); start it"], id="no-engine-without-gpus"
        ),
        pytest.param(
            BROKEN,
            "required",
            ["docker does not answer (x); start it", f"GPU=required, {NO_ANSWER}"],
            id="no-engine-and-no-gpu",
        ),
        pytest.param(EngineFacts("sandbox", has_images=False), "auto", [], id="sandbox"),
    ],
)
def test_what_the_settings_demand_and_the_machine_lacks(engine, gpu, missing):
    assert doctor.report(engine, {**SETTINGS, "GPU": gpu}, [], -1)[1] == missing


@pytest.mark.parametrize(
    ("engine", "given", "aws", "status", "said"),
    [
        pytest.param(ANSWERING, {}, [V2], 0, "", id="all-is-there"),
        pytest.param(ANSWERING, {}, [], 0, "", id="no-aws-cli-is-no-failure"),
        pytest.param(
            ANSWERING,
            {"GPU": "required"},
            [V2],
            1,
            f"sm-local: GPU=required, {NO_GPU}\n",
            id="a-gpu-is-demanded",
        ),
        pytest.param(WITH_GPU, {"GPU": "required"}, [V2], 0, "", id="a-gpu-is-demanded-and-there"),
        pytest.param(
            BROKEN,
            {"GPU": "all"},
            [],
            1,
            f"sm-local: docker does not answer (x); start it\nsm-local: GPU=all, {NO_ANSWER}\n",
            id="two-things",
        ),
    ],
)
def test_the_doctors_exit_status(tmp_path, monkeypatch, capsys, engine, given, aws, status, said):
    monkeypatch.chdir(tmp_path)
    for key, value in {"SM_LOCAL_GIVEN": " ".join(given), **given}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(machine, "find_engine", {"auto": engine}.__getitem__)
    monkeypatch.setattr(machine, "find_aws", lambda: aws)
    monkeypatch.setattr(machine, "free_bytes", {engine.root_dir or ".": 50 * 1024**3}.__getitem__)
    assert (main(["doctor"]), capsys.readouterr()) == (
        status,
        (
            "\n".join(doctor.report(engine, {**SETTINGS, **given}, aws, 50 * 1024**3)[0]) + "\n",
            said,
        ),
    )


def test_the_doctor_refuses_settings_that_say_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.env").write_text("GPU=yes\nENGIN=docker\n")
    monkeypatch.setattr(machine, "find_engine", None)
    assert (main(["doctor"]), *capsys.readouterr()) == (
        1,
        "",
        "sm-local: settings.env:1: GPU is 'yes'; write auto, none, required, all, or devices "
        "such as 0,1\n"
        "sm-local: settings.env:2: ENGIN is not a setting; did you mean ENGINE?\n",
    )


def test_the_doctor_asks_for_the_engine_that_the_settings_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.env").write_text("ENGINE=docker\nGPU=none\n")
    assert (main(["doctor"]), capsys.readouterr().err) == (
        1,
        ("sm-local: docker has no client on PATH; install Docker, or use ENGINE=sandbox\n"),
    )


@pytest.mark.parametrize(
    ("engine", "line"),
    [
        pytest.param(ANSWERING, "docker 28.5.2 answers", id="docker"),
        pytest.param(AS_PODMAN, "podman 4.3.1 answers", id="podman"),
        pytest.param(BROKEN, "docker: does not answer (x); start it", id="broken"),
        pytest.param(
            EngineFacts("sandbox", "6.1", has_images=False),
            "none here; the sandbox (Linux namespaces) trains with this machine's Python, "
            "without an image",
            id="sandbox",
        ),
        pytest.param(
            EngineFacts("sandbox", has_images=False, problem="p", remedy="r"),
            "sandbox: p; r",
            id="broken-sandbox",
        ),
    ],
)
def test_the_engines_line(engine, line):
    assert doctor.engine_line(engine) == line


PROOF = "only a run proves it: make shell, then nvidia-smi"


@pytest.mark.parametrize(
    ("gpu", "wanted", "line"),
    [
        pytest.param(
            RUNTIME, "auto", f"looks available (runtime 'nvidia'); flag --gpus; {PROOF}", id="gpus"
        ),
        pytest.param(
            cdi("cdi"),
            "required",
            f"looks available (CDI device nvidia.com/gpu=0); flag --device nvidia.com/gpu; {PROOF}",
            id="cdi",
        ),
        pytest.param(
            Gpu(AVAILABLE, "devices"),
            "0",
            f"looks available (devices); flag none; {PROOF}",
            id="sandbox",
        ),
        pytest.param(RUNTIME, "none", "not asked for (GPU=none)", id="not-wanted"),
        pytest.param(SILENT, "auto", "unknown: docker does not answer", id="unknown"),
        pytest.param(
            Gpu(NOT_FOUND, "nothing"),
            "auto",
            "not found (nothing); jobs run on the CPU",
            id="not-found",
        ),
        pytest.param(
            Gpu(NOT_FOUND, "nothing"),
            "required",
            "not found (nothing)",
            id="not-found-and-demanded",
        ),
    ],
)
def test_the_gpus_line(gpu, wanted, line):
    assert doctor.gpu_line(gpu, wanted) == line


def test_a_driver_without_the_toolkit_is_named(tmp_path):
    tool(tmp_path / "bin", "nvidia-smi")
    assert doctor.gpu_line(Gpu(NOT_FOUND, "nothing"), "auto") == (
        "not found (nothing); jobs run on the CPU; "
        "nvidia-smi is here, so install the NVIDIA Container Toolkit: "
        "sudo nvidia-ctk runtime configure --runtime=docker"
    )


@pytest.mark.parametrize(
    ("found", "line"),
    [
        pytest.param(
            [],
            "none on PATH; only 'make pull-dlc REGION=…' needs it (SSO login exists in v2 "
            f"alone); {GET}",
            id="none",
        ),
        pytest.param([V2, V1], "2.36.7 at /usr/local/bin/aws", id="v2-first"),
        pytest.param([AwsCli("/a", (3, 0, 0))], "3.0.0 at /a", id="v3"),
        pytest.param([AwsCli("/a", (10, 0, 0))], "10.0.0 at /a", id="v10"),
        pytest.param(
            [V1],
            "1.46.3 at /usr/bin/aws is not v2, which 'make pull-dlc REGION=…' needs (SSO login "
            f"exists in v2 alone); {GET}",
            id="v1",
        ),
        pytest.param(
            [V1, V2],
            "1.46.3 at /usr/bin/aws is v1 and first on PATH; 'make pull-dlc' takes v2 at "
            "/usr/local/bin/aws",
            id="v1-first",
        ),
        pytest.param(
            [AwsCli("/a", ())],
            "of unknown version at /a is not v2, which 'make pull-dlc REGION=…' needs (SSO "
            f"login exists in v2 alone); {GET}",
            id="broken",
        ),
    ],
)
def test_the_aws_clis_line(found, line):
    assert doctor.aws_line(found) == line


@pytest.mark.parametrize(
    ("free", "line"),
    [
        pytest.param(-1, "unknown: the engine's disk cannot be seen from here", id="unseen"),
        pytest.param(
            0,
            "0 GB free; a GPU Deep Learning Container takes about 40 GB while it is pulled, a "
            "CPU one 12 GB",
            id="full",
        ),
        pytest.param(
            40 * 1024**3 - 1,
            "39 GB free; a GPU Deep Learning Container takes about 40 GB while it is pulled, a "
            "CPU one 12 GB",
            id="short",
        ),
        pytest.param(40 * 1024**3, "40 GB free", id="enough"),
    ],
)
def test_the_disks_line(free, line):
    assert doctor.disk_line(free) == line


EMULATED = "AWS images are linux/amd64 and run emulated here, TensorFlow may abort on AVX"


@pytest.mark.parametrize(
    ("arch", "system", "desktop", "line"),
    [
        pytest.param("x86_64", "Linux", False, "x86_64 Linux", id="linux"),
        pytest.param("aarch64", "Linux", False, f"aarch64 Linux; {EMULATED}", id="arm"),
        pytest.param(
            "arm64", "Darwin", True, f"arm64 Darwin; {EMULATED}; Docker Desktop", id="mac"
        ),
        pytest.param("x86_64", "Darwin", True, "x86_64 Darwin; Docker Desktop", id="old-mac"),
    ],
)
def test_the_machines_line(monkeypatch, arch, system, desktop, line):
    monkeypatch.setattr("platform.machine", lambda: arch)
    monkeypatch.setattr("platform.system", lambda: system)
    assert doctor.machine_line(EngineFacts("docker", desktop=desktop)) == line
