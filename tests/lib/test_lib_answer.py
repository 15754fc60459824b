"""What a failed job's verdict adds: the line of the script that raised, and a hint.

Messages are the real ones: Python, the kernel and boto3 raise them here; PyTorch's were printed by
torch 2.15.0 from PyPI, except for two that its source has, which are marked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from library import a_job, bash

LIBRARIES = "lib/say lib/record lib/process lib/folder lib/job lib/answer"
START = 'job=j dir=output/j at=output/j; places=("$PWD/code" code)\n'
AWS_NOWHERE = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def answer(folder: Path, log: str, code: int = 1, engine: str = "docker", failure: str = ""):
    """Return the lines that the answer to a log has."""
    job = a_job(folder, engine=engine)
    (job / "log").write_text(log)
    if failure:
        (job / "output/failure").write_text(failure)
    return bash(folder, LIBRARIES, f"{START}rc={code}; answer").stderr.splitlines()


def run(folder: Path, body: str) -> str:
    """Run a script as code/train.py, really, and return what it printed."""
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code/train.py").write_text(body)
    done = subprocess.run(
        [sys.executable, folder / "code/train.py"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **AWS_NOWHERE},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode, done.stdout
    return done.stdout


# The line that raised


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("1/0", "code/train.py:1: ZeroDivisionError: division by zero", id="one-line"),
        pytest.param(
            "def f():\n  raise KeyError('a')\n\nf()", "code/train.py:2: KeyError: 'a'", id="inner"
        ),
        pytest.param(
            "import json\n\njson.loads('{')",
            "code/train.py:3: json.decoder.JSONDecodeError: Expecting property name enclosed in "
            "double quotes: line 1 column 2 (char 1)",
            id="raised-in-a-library",
        ),
        pytest.param("x = (", "code/train.py:1: SyntaxError: '(' was never closed", id="syntax"),
        pytest.param(
            "import pathlib\n"
            "(pathlib.Path(__file__).parent / 'other.py').write_text('\\n\\nx = = 1')\n"
            "import other",
            "code/other.py:3: SyntaxError: invalid syntax",
            id="syntax-of-another-file",
        ),
        pytest.param(
            "try:\n  1/0\nexcept ZeroDivisionError:\n  raise ValueError('no') from None\n",
            "code/train.py:4: ValueError: no",
            id="raised-instead",
        ),
        pytest.param(
            "try:\n  1/0\nexcept ZeroDivisionError:\n  {}['a']\n",
            "code/train.py:4: KeyError: 'a'",
            id="raised-meanwhile",
        ),
        pytest.param(
            "class A:\n  def __del__(self):\n    1/0\na = A()\nraise OSError('x')",
            "code/train.py:5: OSError: x",
            id="another-one-ignored-at-the-end",
        ),
        pytest.param("raise ValueError", "code/train.py:1: ValueError", id="no-text"),
        pytest.param("raise ValueError('a\\nb')", "code/train.py:1: ValueError: a", id="two-lines"),
        pytest.param(
            "print('50%', end='\\r', flush=True)\n1/0",
            "code/train.py:2: ZeroDivisionError: division by zero",
            id="behind-a-progress-bar",
        ),
        pytest.param(
            "def f():\n  f()\nf()",
            "code/train.py:2: RecursionError: maximum recursion depth exceeded",
            id="recursion",
        ),
        pytest.param(
            "import traceback, sys\n"
            "try:\n  1/0\nexcept ZeroDivisionError:\n  traceback.print_exc()\nsys.exit(255)",
            "code/train.py:3: ZeroDivisionError: division by zero",
            id="printed-by-the-script",
        ),
    ],
)
def test_the_line_that_raised(tmp_path, body, said):
    assert answer(tmp_path, run(tmp_path, body)) == [said]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has groups since 3.11")
def test_of_a_group_the_last_exception_that_was_raised(tmp_path):
    body = "def f():\n  1/0\ntry:\n  f()\nexcept Exception as e:\n  raise ExceptionGroup('g', [e])"
    said = answer(tmp_path, run(tmp_path, body))
    assert said == ["code/train.py:2: ZeroDivisionError: division by zero"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("import sys; sys.exit('no data')", id="no-traceback"),
        pytest.param(
            "import traceback\ntry:\n  1/0\nexcept ZeroDivisionError:\n  traceback.print_exc()\n"
            "print('going on\\n' * 101)\nraise SystemExit(1)",
            id="one-that-was-survived",
        ),
    ],
)
def test_nothing_is_said_of_an_end_without_a_traceback(tmp_path, body):
    assert answer(tmp_path, run(tmp_path, body)) == []


def test_a_signal_is_no_exception_s_end(tmp_path):
    assert answer(tmp_path, run(tmp_path, "1/0"), code=139) == []


def test_a_file_that_is_not_here_keeps_its_container_s_path(tmp_path):
    log = """Traceback (most recent call last):
  File "/opt/program/train", line 7, in <module>
    main()
  File "/usr/lib/python3.11/json/__init__.py", line 3, in loads
    x
ValueError: no
"""
    assert answer(tmp_path, log) == ["/opt/program/train:7: ValueError: no"]


TORCHRUN = """[rank1]: Traceback (most recent call last):
[rank1]:   File "/opt/ml/code/train.py", line 3, in <module>
[rank1]:     if dist.get_rank()==1: raise ValueError("rank one failed")
[rank1]:                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
[rank1]: ValueError: rank one failed
[rank0]: Traceback (most recent call last):
[rank0]:   File "/opt/ml/code/train.py", line 4, in <module>
[rank0]:     dist.barrier()
[rank0]:   File "/usr/lib/python3/site-packages/torch/distributed/distributed_c10d.py", line 66, \
in barrier
[rank0]:     work.wait()
[rank0]: RuntimeError: Connection closed by peer [127.0.0.1]:43926. This is typically caused by a \
remote worker crashing.
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/usr/lib/python3/site-packages/torch/distributed/launcher/api.py", line 386, in launch_agent
    raise ChildFailedError(
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
"""


def test_of_torchrun_s_processes_the_first_that_failed(tmp_path):
    assert answer(tmp_path, TORCHRUN) == ["/opt/ml/code/train.py:3: ValueError: rank one failed"]
    lines = TORCHRUN.splitlines(keepends=True)
    mixed = [lines[0], lines[5], *lines[1:5], *lines[6:]]
    (tmp_path / "mixed").mkdir()
    said = answer(tmp_path / "mixed", "".join(mixed))
    assert said == ["/opt/ml/code/train.py:3: ValueError: rank one failed"]


def test_what_container_train_left_wins(tmp_path):
    failure = "ValueError: two\nlines\n  at /opt/ml/code/train.py:30 in main"
    said = answer(tmp_path, run(tmp_path, "1/0"), failure=failure)
    assert said == ["/opt/ml/code/train.py:30: ValueError: two"]


def test_what_the_script_left_itself_has_no_line_so_the_log_says_it(tmp_path):
    said = answer(tmp_path, run(tmp_path, "1/0"), failure="no rain")
    assert said == ["code/train.py:1: ZeroDivisionError: division by zero"]


# Hints

BIND = "import socket\na, b = socket.socket(), socket.socket()\na.bind(('127.0.0.1', 0))\n"
EXEC = "import os\nopen('x', 'w').write('true')\nos.chmod('x', 0o755)\nos.execv('./x', ['x'])"
# by Python and the libc; test_answer.py has them from containers
DENIED = "import os\nraise OSError({0}, os.strerror({0}), '/opt/ml/{1}')"
SHM = "unable to allocate shared memory(shm) for file </torch_22112_1042225968_0>: No space left "
# torch/csrc/DataLoader.cpp
BUS = (
    "DataLoader worker (pid 42) is killed by signal: Bus error. It is possible that dataloader's "
    "workers are out of shared memory. Please try to raise your shared memory limit."
)
NO_DRIVER = (
    "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and "
    "installed a driver from http://www.nvidia.com/Download/index.aspx"
)
ON_CPU = (
    "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. "
    "If you are running on a CPU-only machine, please use torch.load with "
    "map_location=torch.device('cpu') to map your storages to the CPU."
)
IN_USE = (
    "The server socket has failed to listen on any local network address. port: 29778, useIpv6: "
    "false, code: -98, name: EADDRINUSE, message: address already in use"
)
REGION = "import boto3\nboto3.client('sagemaker')"
# a script that prints the message, the engine, and what the hint says
HINTS = {
    "module": ("import nosuch.thing", "docker", "neither in code/ nor in the image"),
    "module-of-python-m": (
        "import os, sys\nos.execl(sys.executable, 'python', '-m', 'nosuch')",
        "podman",
        "Python finds 'nosuch' neither in code/ nor in the image",
    ),
    "module-pip": ("import sys\nsys.exit('python3: No module named pip')", "docker", "BASE_IMAGE"),
    "module-sandbox": ("import nosuch", "sandbox", "nor on this machine"),
    "channel": ("import os\nos.environ['SM_CHANNEL_TEST']", "docker", "SM_CHANNEL_TEST needs a"),
    "hosts": ("import os\nos.environ['SM_HOSTS']", "sandbox", "SM_HOSTS is set by 'train'"),
    "torch-shm": (f"raise RuntimeError({SHM + 'on device (28)'!r})", "docker", "SHM=8g"),
    "torch-bus": (f"raise RuntimeError({BUS!r})", "docker", "SHM=8g' makes it larger"),
    "full": ("open('/dev/full', 'w', 1).write('x\\n')", "docker", "'make doctor' says how much"),
    "breakpoint": ("breakpoint()", "docker", "no terminal for breakpoint()"),
    # torch/cuda/__init__.py
    "torch-cpu": (
        "raise AssertionError('Torch not compiled with CUDA enabled')",
        "docker",
        "a build without CUDA",
    ),
    "driver": (f"raise RuntimeError({NO_DRIVER!r})", "docker", "the job had no GPU"),
    "map-location": (f"raise RuntimeError({ON_CPU!r})", "docker", "the job had no GPU"),
    "read-only": (DENIED.format(30, "input/data/training/x"), "docker", "is read-only"),
    "permission": (DENIED.format(13, "model/x"), "docker", "another USER may not write"),
    "channel-file": (
        "open('/opt/ml/input/data/nosuch/x.csv')",
        "docker",
        "/opt/ml/input/data/nosuch is the folder opt/ml/input/data/nosuch here",
    ),
    "checkpoints": ("open('/opt/ml/checkpoints/nosuch/x')", "docker", "with a CheckpointConfig"),
    "home": ("open('/home/nobody/x')", "docker", "does not see this machine's folders"),
    "arguments": (
        "import argparse\nargparse.ArgumentParser().parse_args(['--seed', '0'])",
        "docker",
        "hyperparameters become arguments",
    ),
    "credentials": (
        "import boto3\nboto3.client('s3', region_name='us-west-2').list_buckets()",
        "docker",
        "CREDENTIALS=session",
    ),
    "region": (REGION, "docker", "SageMaker sets AWS_REGION"),
    "name": ("import socket\nsocket.getaddrinfo('x.invalid', 1)", "docker", "reaches no other"),
    "port": (BIND + "b.bind(a.getsockname())", "docker", "another process of this job"),
    "torch-port": (f"raise OSError({IN_USE!r})", "docker", "another process of this job"),
    "port-sandbox": (BIND + "b.bind(a.getsockname())", "sandbox", "shares this machine's ports"),
    "exec": (EXEC, "docker", "without #! in its first line"),
}


@pytest.mark.parametrize(("body", "engine", "hint"), HINTS.values(), ids=HINTS)
def test_a_hint(tmp_path, body, engine, hint):
    *_, said = answer(tmp_path, run(tmp_path, body), engine=engine)
    assert said.startswith("sm-local: ") and hint in said and "@" not in said


def test_the_hint_of_a_full_shm_is_by_the_status(tmp_path):
    """SIGBUS leaves no message; tests/test_answer.py has the real one."""
    assert "exit code 135 is SIGBUS" in answer(tmp_path, "", code=135)[0]


@pytest.mark.parametrize("engine", ["docker", "sandbox"])
def test_there_is_no_hint_for_what_is_not_in_the_table(tmp_path, engine):
    said = answer(tmp_path, run(tmp_path, "open('nosuch.csv')"), engine=engine)
    error = "FileNotFoundError: [Errno 2] No such file or directory: 'nosuch.csv'"
    assert said == [f"code/train.py:1: {error}"]


def test_every_row_has_its_message(tmp_path):
    """Which row speaks is seen by numbering them."""
    tried = set()
    number = 'for (( i = 2; i < ${#hints[@]}; i += 3 )); do hints[i]="row $(( i / 3 ))"; done'
    for name, (body, engine, _) in HINTS.items():
        folder = tmp_path / name
        folder.mkdir()
        job = a_job(folder, engine=engine)
        (job / "log").write_text(run(folder, body))
        done = bash(folder, LIBRARIES, f"{START}{number}\nrc=1; answer")
        tried.add(int(done.stderr.split()[-1]))
    rows = bash(tmp_path, LIBRARIES, "echo $(( ${#hints[@]} / 3 ))").stdout
    by_status = 6  # exit code: 135
    assert tried | {by_status} == set(range(int(rows)))
