"""Several hosts: one network, a /opt/ml each, one log, one archive; the end is as SageMaker's."""

import json
import os
import shutil
import subprocess
import tarfile
import time

import pytest
from conftest import clean_environment, containers, jobs, make, script
from terminal import CTRL_C, Terminal, background, eventually, processes

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("built")]
TWO = "ResourceConfig: {InstanceType: ml.c5.xlarge, InstanceCount: 2}\n"

ALL_REDUCE = """
import json, socket
config = json.load(open("/opt/ml/input/config/resourceconfig.json"))
me, hosts = config["current_host"], config["hosts"]
assert socket.gethostbyname(me) == socket.gethostbyname(socket.gethostname())
def connect(name):
    for _ in range(100):
        try: return socket.create_connection((name, 7777), 5)
        except OSError: time.sleep(0.1)
server = socket.create_server((me, 7777), backlog=8)
mine, total = int(me.split("-")[1]) * 10, 0
if me == hosts[0]:
    links = [server.accept()[0] for _ in hosts[1:]]
    total = mine + sum(int(link.recv(64)) for link in links)
    for link in links: link.sendall(str(total).encode())
else:
    link = connect(hosts[0]); link.sendall(str(mine).encode()); total = int(link.recv(64))
print("sum", total, flush=True)
os.mkdir(f"/opt/ml/model/{me}"); open(f"/opt/ml/model/{me}/w", "w").write(str(total))
open(f"/opt/ml/output/data/{me}", "w")
"""


def assert_nothing_left(docker, project) -> None:
    assert eventually(lambda: containers(docker, project) == [], 20)
    assert eventually(
        lambda: docker.networks.list(filters={"label": f"sm-local.project={project}"}) == [], 20
    )


def test_two_hosts_exchange_data_by_name(project, docker):
    script(project, ALL_REDUCE)
    (project / "job.yaml").write_text(TWO)
    done = make(project, "train")
    assert done.returncode == 0, done.stdout
    assert "algo-1 | sum 30\n" in done.stdout and "algo-2 | sum 30\n" in done.stdout
    (job,) = jobs(project)
    with tarfile.open(job / "model.tar.gz") as archive:
        assert sorted(archive.getnames()) == ["algo-1", "algo-1/w", "algo-2", "algo-2/w"]
        assert {(member.uid, member.uname) for member in archive} == {(0, "")}
    with tarfile.open(job / "output.tar.gz") as archive:
        assert sorted(archive.getnames()) == ["algo-1", "algo-2"]
    assert sorted(path.name for path in job.iterdir() if path.suffix in (".tar", ".names")) == []
    configs = [
        json.loads((job / host / "config/resourceconfig.json").read_text())
        for host in ("algo-1", "algo-2")
    ]
    assert [config["current_host"] for config in configs] == ["algo-1", "algo-2"]
    assert (job / "algo-2/log").read_text() == "sum 30\n"
    assert_nothing_left(docker, project)


@pytest.mark.linux
def test_what_hosts_print_is_not_read_byte_by_byte(project):
    """Once it was, and 100 MB took a minute: a count of reads tells, and no clock is needed."""
    script(project, "sys.stdout.write(('x' * 99 + chr(10)) * 20_000)")
    (project / "job.yaml").write_text(TWO)
    command = ["sh", "-c", 'make train > shown; cat "/proc/$$/io"']
    done = subprocess.run(
        command, cwd=project, env=clean_environment(), capture_output=True, text=True, check=True
    )
    reads = int(dict(line.split(": ") for line in done.stdout.splitlines())["syscr"])
    lines = (project / "shown").read_text().splitlines()
    for host in ("algo-1", "algo-2"):
        assert lines.count(f"{host} | {'x' * 99}") == 20_000
    assert reads < 400_000, reads  # of 4 MB, through several pipes; it was 4.1 million


@pytest.mark.parametrize("failing", ["algo-1", "algo-2"])
def test_one_host_that_fails_ends_the_others(project, docker, failing):
    script(
        project,
        f"""
import json
signal.signal(signal.SIGTERM, lambda *_: (open("/opt/ml/model/stopped", "w"), sys.exit(0)))
if json.load(open("/opt/ml/input/config/resourceconfig.json"))["current_host"] == "{failing}":
    time.sleep(1); open("/opt/ml/output/failure", "w").write("no luck"); sys.exit(3)
time.sleep(60)
""",
    )
    (project / "job.yaml").write_text(TWO)
    begin = time.monotonic()
    done = make(project, "train")
    assert time.monotonic() - begin < 30
    assert "a host failed: stopping the others" in done.stdout and "Error 3" in done.stdout
    assert "AlgorithmError: no luck, exit code: 3" in done.stdout
    (job,) = jobs(project)
    assert (job / "exit-code").read_text() == "3\n" and (job / "status").read_text().startswith(
        "Failed "
    )
    other = "algo-2" if failing == "algo-1" else "algo-1"
    assert (job / other / "model/stopped").exists() and (job / "model.tar.gz").exists()
    assert_nothing_left(docker, project)


def test_ctrl_c_stops_every_host(project, docker):
    script(
        project,
        "signal.signal(signal.SIGTERM, lambda *_: (open('/opt/ml/model/stopped', 'w'), "
        "sys.exit(0)))\nprint('ready', flush=True); time.sleep(60)",
    )
    (project / "job.yaml").write_text(TWO)
    make(project, "recipe")
    terminal = Terminal(["bash", "recipes/train.sh"], project, clean_environment())
    terminal.wait_for("algo-1 . ready")
    terminal.wait_for("algo-2 . ready")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130, terminal.text
    (job,) = jobs(project)
    assert [(job / host / "model/stopped").exists() for host in ("algo-1", "algo-2")] == [
        True,
        True,
    ]
    assert_nothing_left(docker, project)


def test_instance_groups_and_their_channels(project, docker):
    script(
        project,
        """
import json
config = json.load(open("/opt/ml/input/config/resourceconfig.json"))
channels = sorted(os.listdir("/opt/ml/input/data"))
names = ("current_group_name", "current_instance_type", "hosts")
print(*(config[name] for name in names), channels, flush=True)
""",
    )
    (project / "opt/ml/input/data/extra").mkdir()
    (project / "job.yaml").write_text("""
ResourceConfig:
  InstanceGroups:
    - {InstanceGroupName: big, InstanceType: ml.c5.2xlarge, InstanceCount: 1}
    - {InstanceGroupName: small, InstanceType: ml.c5.xlarge, InstanceCount: 1}
InputDataConfig:
  - ChannelName: training
  - ChannelName: extra
    DataSource: {S3DataSource: {InstanceGroupNames: [small]}}
""")
    done = make(project, "train")
    assert done.returncode == 0, done.stdout
    assert "algo-1 | big ml.c5.2xlarge ['algo-1', 'algo-2'] ['training']" in done.stdout
    assert "algo-2 | small ml.c5.xlarge ['algo-1', 'algo-2'] ['extra', 'training']" in done.stdout
    assert_nothing_left(docker, project)


def test_a_missing_image_leaves_nothing_of_several_hosts(project, docker):
    (project / "job.yaml").write_text(TWO)
    done = make(project, "train", "IMAGE=nowhere/none:1")
    assert (
        "sm-local: image 'nowhere/none:1' is not here; 'docker pull nowhere/none:1' fetches it"
        in done.stdout
        and done.returncode == 2
    )
    assert "a host failed" not in done.stdout
    assert jobs(project) == []
    assert_nothing_left(docker, project)


def test_eleven_hosts_are_sorted_as_text(project):
    (project / "job.yaml").write_text(TWO.replace("2}", "11}"))
    recipe = make(project, "recipe", "ENGINE=docker").stdout
    assert '"hosts":["algo-1","algo-10","algo-11","algo-2"' in recipe


@pytest.mark.linux
@pytest.mark.parametrize("engine", ["docker", "sandbox"])
def test_every_byte_of_a_host_s_log_is_shown_and_kept(project, engine):
    """No line is longer than what a pipe takes at once, or hosts could be shown in one line."""
    script(
        project,
        """
text = b"".join(b"line %d\\n" % n for n in range(20000))
text += b"nul \\0 here\\n" + b"x" * 3000 + b"\\nno newline at its end"
while text: text = text[os.write(1, text):]
""",
    )
    (project / "job.yaml").write_text(TWO)
    make(project, "recipe", f"ENGINE={engine}")
    done = subprocess.run(
        ["bash", "recipes/train.sh"],
        cwd=project,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=120,
        check=True,
    )
    wanted = b"".join(b"line %d\n" % n for n in range(20000))
    wanted += b"nul \0 here\n" + b"x" * 3000 + b"\nno newline at its end"
    (job,) = jobs(project)
    for host in ("algo-1", "algo-2"):
        assert (job / host / "log").read_bytes() == wanted
        name = host.encode() + b" | "
        lines = [line for line in done.stdout.splitlines(keepends=True) if line.startswith(name)]
        assert [line.removeprefix(name) for line in lines] == [
            line + b"\n" for line in wanted.split(b"\n")
        ]


@pytest.mark.linux
def test_a_reader_that_has_gone_leaves_the_logs_whole(project):
    script(project, "for n in range(50000): print('line', n)")
    (project / "job.yaml").write_text(TWO)
    make(project, "recipe", "ENGINE=sandbox")
    done = subprocess.run(
        ["bash", "-c", "bash recipes/train.sh 2> said | head -n 3"],
        cwd=project,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.count("\n") == 3 and "sed" not in (project / "said").read_text()
    (job,) = jobs(project)
    assert eventually(lambda: (job / "status").read_text().startswith("Completed "))
    for host in ("algo-1", "algo-2"):
        assert (job / host / "log").read_text().splitlines()[-1] == "line 49999"


@pytest.mark.linux
def test_two_hosts_in_the_sandbox(project):
    script(
        project,
        ALL_REDUCE
        + "interfaces = sorted(os.listdir('/sys/class/net'))\n"
        + "print(open('/proc/sys/kernel/hostname').read().strip(), interfaces, flush=True)",
    )
    (project / "job.yaml").write_text(TWO + "CheckpointConfig: {}\n")
    done = make(project, "train", "ENGINE=sandbox")
    assert done.returncode == 0, done.stdout
    assert "algo-1 | sum 30\n" in done.stdout and "algo-2 | sum 30\n" in done.stdout
    assert (
        "sm-local: the hosts reach each other and nothing else: the sandbox has no way out "
        "of their network\n"
    ) in done.stdout
    assert "algo-2 | ip-10-0-0-2.us-west-2.compute.internal " in done.stdout
    (job,) = jobs(project)
    with tarfile.open(job / "model.tar.gz") as archive:
        assert sorted(archive.getnames()) == ["algo-1", "algo-1/w", "algo-2", "algo-2/w"]
    assert not (job / "algo-1/stage").exists() and not (job / "algo-2/cow").exists()
    assert eventually(lambda: processes("^cat$", project) == [])


@pytest.mark.linux
@pytest.mark.parametrize("failing", ["algo-1", "algo-2"])
def test_a_host_of_the_sandbox_that_fails_ends_the_other(project, failing):
    script(
        project,
        f"""
import json
signal.signal(signal.SIGTERM, lambda *_: (open("/opt/ml/model/stopped", "w"), sys.exit(0)))
config = json.load(open("/opt/ml/input/config/resourceconfig.json"))
if config["current_host"] == "{failing}": time.sleep(1); sys.exit(3)
time.sleep(60)
""",
    )
    (project / "job.yaml").write_text(TWO)
    begin = time.monotonic()
    done = make(project, "train", "ENGINE=sandbox")
    assert time.monotonic() - begin < 30 and "Error 3" in done.stdout
    (job,) = jobs(project)
    assert (job / ("algo-2" if failing == "algo-1" else "algo-1") / "model/stopped").exists()
    assert eventually(lambda: processes("^cat$", project) == [])


@pytest.mark.linux
def test_make_stop_ends_every_host_of_the_sandbox(project):
    script(
        project,
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "print('ready', flush=True); time.sleep(60)",
    )
    (project / "job.yaml").write_text(TWO)
    process = background(["make", "train", "ENGINE=sandbox"], project, stderr=None)
    assert sorted(process.stdout.readline() for _ in range(2)) == [
        "algo-1 | ready\n",
        "algo-2 | ready\n",
    ]
    assert make(project, "stop").stdout.count("stopping ") == 2
    process.communicate(timeout=30)
    assert (jobs(project)[0] / "status").read_text().startswith("Stopped ")


@pytest.mark.linux
@pytest.mark.parametrize("engine", ["docker", "sandbox"])
def test_make_stop_gives_every_host_its_time(project, docker, engine):
    """A host that ends at once with 143 has not failed.

    The other one still gets STOP_GRACE, not INTERRUPT_GRACE, and one signal.
    """
    script(
        project,
        """
def stop(*_):
    open("/opt/ml/model/signals", "a").write("TERM ")
    if os.environ["HOSTNAME"].startswith("ip-10-0-0-1."): sys.exit(143)
    time.sleep(4); open("/opt/ml/model/saved", "w"); sys.exit(0)
signal.signal(signal.SIGTERM, stop); print("ready", flush=True); time.sleep(60)""",
    )
    (project / "job.yaml").write_text(TWO)
    process = background(["make", "train", f"ENGINE={engine}", "INTERRUPT_GRACE=1"], project)
    while "ready" not in process.stdout.readline() or "ready" not in process.stdout.readline():
        pass
    make(project, "stop")
    said, _ = process.communicate(timeout=60)
    (job,) = jobs(project)
    assert (job / "algo-2/model/saved").exists() and "a host failed" not in said, said
    assert [(job / host / "model/signals").read_text() for host in ("algo-1", "algo-2")] == [
        "TERM ",
        "TERM ",
    ]
    assert (job / "status").read_text().startswith("Stopped ")


@pytest.mark.linux
def test_where_the_sandbox_cannot_have_several_hosts_it_says_so(project, tmp_path):
    (project / "job.yaml").write_text(TWO)
    make(project, "sm_local/.venv/ready")
    (tmp_path / "unshare").write_text(
        f'#!/bin/sh\ncase $* in *--net*) exit 1 ;; esac\nexec {shutil.which("unshare")} "$@"\n'
    )
    (tmp_path / "unshare").chmod(0o755)
    done = make(
        project,
        "train",
        "ENGINE=sandbox",
        env=clean_environment(PATH=f"{tmp_path}:{os.environ['PATH']}"),
    )
    assert done.stdout.splitlines()[0] == (
        "sm-local: several hosts in the sandbox need network namespaces, and this machine lets "
        "nobody make "
        "network namespaces and bridges; use ENGINE=docker or ENGINE=podman"
    )
    assert done.returncode == 2 and jobs(project) == []


@pytest.mark.linux
def test_two_hosts_on_podman(project, in_podman):
    script(project, ALL_REDUCE)
    (project / "job.yaml").write_text(TWO)
    done = make(project, "train", "ENGINE=podman", f"IMAGE={in_podman}")
    assert "algo-1 | sum 30\n" in done.stdout and done.returncode == 0, done.stdout
