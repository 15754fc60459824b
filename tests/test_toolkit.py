"""container/train beside the real sagemaker-training 5.1.4, on the same /opt/ml."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from conftest import REPO, TEMPLATE
from toolkit import TRAIN, WITNESS, Ended, Tree, plain, real_toolkit

pytestmark = pytest.mark.linux
PROBE = """import json, os, sys
m = sys.modules["__main__"]
seen = {"env": dict(os.environ), "argv": sys.argv, "path": sys.path[0], "file": m.__file__,
        "cwd": os.getcwd(), "main": sorted(vars(m)), "flags": list(sys.flags)}
json.dump(seen, open(os.environ["SM_MODEL_DIR"] + "/seen.json", "w"))
"""


@pytest.fixture
def tree(tmp_path) -> Tree:
    """Return a stand-in for /opt/ml."""
    return Tree(tmp_path / "ml")


@pytest.fixture(scope="session")
def real() -> Path:
    """Return the folder of programs of an environment with the real toolkit."""
    return real_toolkit()


def hosts(count: int, group: str = "homogeneousCluster", **more: object) -> dict:
    """Return resourceconfig.json as the first of some hosts sees it."""
    names = [f"algo-{number}" for number in range(1, count + 1)]
    one = {"instance_group_name": group, "instance_type": "ml.m5.xlarge", "hosts": names}
    return {
        "current_host": "algo-1",
        "current_instance_type": "ml.m5.xlarge",
        "current_group_name": group,
        "hosts": names,
        "instance_groups": [one],
        "network_interface_name": "eth0",
        "topology": None,
        **more,
    }


CHANNEL = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
TWO_GROUPS = [
    {"instance_group_name": "a", "instance_type": "ml.m5.large", "hosts": ["algo-2"]},
    {"instance_group_name": "b", "instance_type": "ml.g5.xlarge", "hosts": ["algo-3", "algo-1"]},
]
CASES = [
    pytest.param({"epochs": "3"}, hosts(1), {"training": CHANNEL}, {}, id="one-host"),
    pytest.param({"epochs": "3"}, hosts(2), {"training": CHANNEL}, {}, id="two-hosts"),
    pytest.param({}, hosts(1), {}, {}, id="no-channels"),
    pytest.param({}, {"current_host": "x", "hosts": ["x"]}, {}, {}, id="few-resources"),
    pytest.param(
        {},
        hosts(3, "b", instance_groups=TWO_GROUPS),
        {"b": CHANNEL, "a-b.c": {**CHANNEL, "ContentType": "text/csv"}},
        {},
        id="two-groups",
    ),
    pytest.param(
        {
            "nested": '{"b": [1, 2, {"c": null}], "a": true}',
            "list": '[1, "x", null]',
            "batch-size": "32",
            "quoted": '"twenty"',
            "bare": "twenty",
            "yes": "true",
            "no": "False",
            "nothing": "null",
            "empty": "",
            "small": "1e-05",
            "nan": "NaN",
            "big": "123456789012345678901234567890",
            "umlaut": "Grüße ☃ \U0001f40d",
            "escaped": '"Gr\\u00fc\\u00dfe"',
            "shell": 'it\'s $HOME `x` "y" \\ *\n2',
            "n": "1",
            "UPPER": "u",
            "upper": "l",
        },
        hosts(1),
        {"training": CHANNEL},
        {},
        id="odd-hyperparameters",
    ),
    pytest.param({"number": 5, "flag": True, "list": [1]}, hosts(1), {}, {}, id="no-strings"),
    pytest.param(
        {
            "epochs": "2",
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": '"s3://bucket/a/sourcedir.tar.gz"',
            "sagemaker_container_log_level": "10",
            "sagemaker_job_name": '"the-job"',
            "sagemaker_region": '"eu-west-1"',
            "sagemaker_enable_cloudwatch_metrics": "false",
            "sagemaker_distribution_instance_groups": '["homogeneousCluster"]',
            "sagemaker_instance_type": '"ml.p4d.24xlarge"',
            "_tuning_objective_metric": "loss",
            "default_user_module_name": "m",
        },
        hosts(2),
        {"training": CHANNEL},
        {},
        id="sagemaker-hyperparameters",
    ),
    pytest.param(
        {"mp_parameters": '{"x": 1}'},
        hosts(1, current_instance_type="ml.trn2.48xlarge", topology=[{"hostName": "algo-1"}]),
        {},
        {"SM_HP_MP_PARAMETERS": '{"x":1}', "TRAINING_JOB_NAME": "Job-1"},
        id="topology-and-job-name",
    ),
]
COMPARED = ("argv", "path", "file", "cwd", "main")
OTHERS = ("CURRENT_HOST", "SAGEMAKER_JOB_NAME", "SAGEMAKER_REGION")


def both(tree: Tree, real: Path, files: dict, environment: dict) -> list[dict]:
    """Run the probe with the real toolkit and with ours; return what it saw."""
    found = []
    for program in (real / "train", TRAIN):
        tree.empty()
        tree.code(PROBE)
        tree.config(**files)
        given = {"SM_STUDIO_LOCAL_MODE": "true", **environment}
        if "sagemaker_program" not in files["hyperparameters"]:
            given["SAGEMAKER_PROGRAM"] = "train.py"
        done = tree.run(program, python=real, **given)
        assert done.status == 0, done.err
        found.append(json.loads((tree.root / "model/seen.json").read_text()))
    return found


def told(seen: dict) -> dict[str, str]:
    """Return the SM_* variables of a run, but for the one that the test itself sets."""
    names = sorted(seen["env"])
    return {n: seen["env"][n] for n in names if n.startswith("SM_") and n[3:9] != "STUDIO"}


@pytest.mark.parametrize(("hyperparameters", "resources", "channels", "environment"), CASES)
def test_a_script_is_told_the_same(tree, real, hyperparameters, resources, channels, environment):
    files = {
        "hyperparameters": hyperparameters,
        "resourceconfig": resources,
        "inputdataconfig": channels,
    }
    theirs, ours = both(tree, real, files, environment)
    assert told(ours) == told(theirs)
    assert len(told(theirs)) > 30
    assert {key: ours[key] for key in COMPARED} == {key: theirs[key] for key in COMPARED}
    assert {n: ours["env"][n] for n in OTHERS} == {n: theirs["env"][n] for n in OTHERS}
    assert ours["env"]["PYTHONPATH"].split(":")[0] == theirs["env"]["PYTHONPATH"].split(":")[0]


def test_gpus_and_neurons_are_counted_the_same(tree, real, tmp_path):
    """No GPU is here: a stand-in prints what nvidia-smi prints."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (
        ("nvidia-smi", "GPU 0: NVIDIA A10G (UUID: GPU-1)\n  MIG 1g\nGPU 1: NVIDIA A10G"),
        ("neuron-ls", '[{"nc_count": 2}, {"nc_count": 2}, {}]'),
        ("smddprun", ""),
    ):
        (programs / name).write_text(f"#!/bin/sh\ncat << 'END'\n{text}\nEND\n")
        (programs / name).chmod(0o755)
    files = {"hyperparameters": {}, "resourceconfig": hosts(1), "inputdataconfig": {}}
    path = f"{real}:{programs}:/usr/bin:/bin"
    theirs, ours = both(tree, real, files, {"PATH": path})
    assert told(ours) == told(theirs)
    assert (ours["env"]["SM_NUM_GPUS"], ours["env"]["SM_NUM_NEURONS"]) == ("2", "4")


def test_the_page_lists_every_variable(tree, real):
    files = {
        "hyperparameters": {"a": "1"},
        "resourceconfig": hosts(1, topology=[{"hostName": "algo-1"}]),
        "inputdataconfig": {"c": CHANNEL},
    }
    theirs, _ = both(tree, real, files, {})
    names = {"SM_HP_A": "SM_HP_<NAME>", "SM_CHANNEL_C": "SM_CHANNEL_<NAME>"}
    page = (REPO / "docs/train.md").read_text()
    listed = re.findall(r"^\| `(SM_[^`]*)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(names.get(name, name) for name in told(theirs))


# The script is what it would be without us

ENDS = {
    "raises": "def f():\n    return 1 / 0\n\n\nprint(1)\nf()\n",
    "exits-3": "import sys\nsys.exit(3)\n",
    "exits-0": "import sys\nsys.exit(0)\n",
    "exits-with-text": "import sys\nprint('a')\nsys.exit('no validation data')\n",
    "exits-with-none": "raise SystemExit(None)\n",
    "argparse": (
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float)\n"
        "p.parse_args(['--lr', 'fast'])\n"
    ),
    "syntax": "print(1)\nx = (1 +\n",
    "imports-a-syntax-error": "import broken\n",
    "interrupt": "raise KeyboardInterrupt\n",
    "chained": (
        "def a():\n    raise ValueError('inner')\n\n\ntry:\n    a()\nexcept ValueError as e:\n"
        "    raise RuntimeError('outer') from e\n"
    ),
    "own-exception": "class Mine(Exception):\n    pass\n\n\nraise Mine('a\\nb')\n",
    "deep-in-the-library": "import json\nprint(json.loads('{'))\n",
    "own-hook": "import sys\nsys.excepthook = lambda k, v, t: print('mine', k, t.tb_next)\n1 / 0\n",
    "thread": "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()\n",
    "forks": "import os\nif not os.fork():\n    raise OSError('child')\nos.wait()\n",
    "at-exit": (
        "import atexit, pickle\nclass A: pass\n"
        "atexit.register(lambda: print(pickle.loads(pickle.dumps(A())).__class__))\n"
    ),
    "processes": (
        "import multiprocessing as m\ndef f(x): return x * 2\nif __name__ == '__main__':\n"
        "    for how in ('spawn', 'forkserver', 'fork'):\n"
        "        with m.get_context(how).Pool(2) as pool: print(how, pool.map(f, [1, 2]))\n"
    ),
    "annotations": "x: int = 1\nprint(__annotations__, __name__, __file__, __doc__)\n",
}
REASONS = {
    "raises": "ZeroDivisionError: division by zero\n  at CODE/train.py:2 in f",
    "exits-3": "SystemExit: 3\n  at CODE/train.py:2 in <module>",
    "exits-with-text": "SystemExit: no validation data\n  at CODE/train.py:3 in <module>",
    "argparse": (
        "SystemExit: train.py: error: argument --lr: invalid float value: 'fast'\n"
        "  at CODE/train.py:4 in <module>"
    ),
    "interrupt": "KeyboardInterrupt\n  at CODE/train.py:1 in <module>",
    "chained": "RuntimeError: outer\n  at CODE/train.py:8 in <module>",
    "own-exception": "Mine: a\nb\n  at CODE/train.py:5 in <module>",
    "deep-in-the-library": (
        "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)\n  at CODE/train.py:2 in <module>"
    ),
    "own-hook": "ZeroDivisionError: division by zero\n  at CODE/train.py:3 in <module>",
}


@pytest.mark.parametrize("name", ENDS)
def test_a_script_ends_as_by_itself(tree, name):
    tree.code("def broken(:\n", "broken.py")
    path = tree.code(ENDS[name])
    alone, ours = plain(path), tree.run()
    assert ours == alone
    reason = tree.failure()
    if "syntax" in name:
        file = "broken.py:1" if "imports" in name else "train.py:2"
        assert re.fullmatch(rf"SyntaxError: .*\n  at {tree.root}/code/{file}", reason)
    else:
        wanted = REASONS.get(name)
        assert reason == (wanted and wanted.replace("CODE", f"{tree.root}/code"))


def test_a_long_reason_keeps_both_ends_and_the_place(tree):
    tree.code("raise ValueError('start' + 'x' * 5000 + 'end')\n")
    assert tree.run().status == 1
    reason = tree.failure()
    assert len(reason) <= 1024 and reason.startswith("ValueError: startxxx")
    assert reason.endswith(f"xxxend\n  at {tree.root}/code/train.py:1 in <module>")


def test_the_script_s_own_reason_is_kept(tree):
    tree.code(f"open('{tree.root}/output/failure', 'w').write('mine')\n1 / 0\n")
    assert tree.run().status == 1
    assert tree.failure() == "mine"


def test_prints_and_errors_keep_their_order(tree):
    body = "import os, sys\nfor i in range(200):\n    print(i)\n    sys.stderr.write(f'{i}\\n')\n"
    tree.code(body + "os.system('python3 -c \"print(200)\"')\nprint(201)\n")
    environment = {"PATH": os.environ["PATH"], "SAGEMAKER_BASE_DIR": str(tree.root)}
    done = subprocess.run(
        [TRAIN], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    numbers = [n for i in range(200) for n in (i, i)] + [200, 201]
    assert done.stdout.split() == list(map(str, numbers))


def test_the_process_that_is_started_becomes_the_script(tree):
    tree.code(
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(f'told {os.getpid()}'))\n"
        "print('ready')\ntime.sleep(60)\n"
    )
    environment = {"PATH": os.environ["PATH"], "SAGEMAKER_BASE_DIR": str(tree.root)}
    with subprocess.Popen(
        [TRAIN], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=10)[1] == f"told {process.pid}\n"


def test_a_signal_ends_pip_too(tree, tmp_path):
    """pip waits for an index that never answers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as index:
        tree.code("")
        tree.code("absent-package\n", "requirements.txt")
        environment = {
            "PATH": os.environ["PATH"],
            "SAGEMAKER_BASE_DIR": str(tree.root),
            "PIP_INDEX_URL": f"http://127.0.0.1:{index.getsockname()[1]}/simple",
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_CONFIG_FILE": "/dev/null",
        }
        python = real_toolkit()
        environment["PATH"] = f"{python}:{environment['PATH']}"
        with subprocess.Popen([TRAIN], env=environment, stderr=subprocess.PIPE) as process:
            index.settimeout(30)
            index.accept()
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 143
            assert time.monotonic() - asked < 3


# What is run, and from where


def test_a_shell_script_gets_arguments_and_variables(tree):
    path = tree.code('echo "$0" "$@"\nprintf "%s\\n" "$SM_HP_NAME" "$PWD"\nexit 4\n', "run.sh")
    tree.config(hyperparameters={"name": "a b'c", "sagemaker_program": "run.sh"})
    done = tree.run()
    assert (done.status, done.err) == (4, "")
    assert done.out == f"./run.sh --name a b'c\na b'c\n{tree.root}/code\n"
    assert tree.failure() is None and os.access(path, os.X_OK)


def test_a_shell_script_has_sigpipe_as_usual(tree):
    tree.code("#!/bin/bash\nyes | head -n 1\necho ${PIPESTATUS[0]}\n", "run.sh")
    tree.config(hyperparameters={"sagemaker_program": "run.sh"})
    assert tree.run().out == "y\n141\n"


def archive(tree: Tree, path: Path, text: str = "print('archived')\n") -> Path:
    """Make an archive with a script, as the SDK does."""
    (tree.root / "one.py").write_text(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tree.root / "one.py", "one.py")
    return path


@pytest.mark.parametrize("where", ["archive", "folder", "channel", "channel-with-archive"])
def test_code_that_came_with_the_job_is_run(tree, where):
    channel, values = tree.root / "input/data/code", {"sagemaker_program": "one.py"}
    if where == "archive":
        values["sagemaker_submit_directory"] = str(archive(tree, channel / "sourcedir.tar.gz"))
    elif where == "channel-with-archive":
        archive(tree, channel / "sourcedir.tar.gz")
    else:
        folder = channel if where == "channel" else tree.root / "submitted"
        (folder / "sub").mkdir(parents=True)
        (folder / "one.py").write_text("print('archived')\n")
        if where == "folder":
            values["sagemaker_submit_directory"] = str(folder)
    tree.config(hyperparameters=values)
    done = tree.run()
    assert (done.status, done.out, done.err) == (0, "archived\n", "")


def test_code_in_the_image_goes_first(tree):
    tree.code("print('baked')\n", "one.py")
    path = archive(tree, tree.root / "sourcedir.tar.gz")
    values = {"sagemaker_program": "one.py", "sagemaker_submit_directory": str(path)}
    tree.config(hyperparameters=values)
    done = tree.run()
    assert done.out == "baked\n"
    assert done.err == f"train: {tree.root}/code has code, so that in {path} is not used\n"


def test_an_archive_that_is_cut_off_is_one_line(tree):
    path, noise = tree.root / "sourcedir.tar.gz", tree.root / "noise"
    noise.write_bytes(os.urandom(200_000))
    with tarfile.open(path, "w:gz") as tar:
        tar.add(noise, "noise")
    os.truncate(path, 100_000)
    tree.config(hyperparameters={"sagemaker_submit_directory": str(path)})
    done = tree.run()
    assert done.status == 1 and done.err == f"train: {tree.failure()}"
    assert done.err.startswith(f"train: the code cannot be unpacked from {path}: ")


@pytest.mark.parametrize("filtered", [True, False], ids=["new-python", "old-python"])
def test_an_archive_cannot_write_elsewhere(tree, filtered, monkeypatch):
    path = tree.root / "sourcedir.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(__file__, "../escaped.py")
    module = load_toolkit(tree, monkeypatch)
    if not filtered:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    with pytest.raises(module.Refusal, match="the code cannot be unpacked from"):
        module.unpack(str(path))
    assert not (tree.root / "escaped.py").exists()


def load_toolkit(tree: Tree, monkeypatch):
    """Import container/toolkit.py for a tree."""
    import importlib.util

    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tree.root))
    spec = importlib.util.spec_from_file_location("toolkit_py", TEMPLATE / "container/toolkit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFUSED = [
    pytest.param(
        {"sagemaker_program": "a.py"}, "CODE/a.py is missing; CODE has train.py; ", id="missing"
    ),
    pytest.param({"sagemaker_program": "n.ipynb"}, "n.ipynb is a notebook, not a ", id="notebook"),
    pytest.param({"sagemaker_program": "../a.py"}, "sagemaker_program is ../a.py; ", id="outside"),
    pytest.param({"sagemaker_program": "-c"}, "sagemaker_program is -c; name a file", id="option"),
    pytest.param({"sagemaker_mpi_enabled": "true"}, "sagemaker_mpi_enabled needs what", id="mpi"),
    pytest.param({"x=y": "1", "n": "a\\u0000"}, "SM_HP_X=Y cannot be an environment", id="name"),
    pytest.param({"n": '"\\u0000"'}, "SM_HP_N cannot be an environment variable", id="nul"),
    pytest.param(
        {"sagemaker_torch_distributed_enabled": "true"}, "torchrun is wanted, and", id="torch"
    ),
]


@pytest.mark.parametrize(("values", "said"), REFUSED)
def test_what_cannot_be_done_is_one_line(tree, values, said):
    tree.code("print('ran')\n")
    tree.code("{}", "n.ipynb")
    tree.config(hyperparameters=values)
    done = tree.run()
    said = said.replace("CODE", f"{tree.root}/code")
    assert (done.status, done.out) == (1, "") and done.err.count("\n") == 1
    assert done.err.startswith(f"train: {said}")
    assert done.err == f"train: {tree.failure()}"


SDK_V3 = [
    pytest.param('{"process_count_per_node": 2}', "train: torchrun is wanted, and", id="torchrun"),
    pytest.param('{"mpi_additional_options": []}', "train: the SDK's MPI needs what", id="mpi"),
    pytest.param("{}", "", id="none"),
]


@pytest.mark.parametrize(("distributed", "said"), SDK_V3)
def test_the_sdk_v3_s_channel_of_drivers_is_read(tree, distributed, said):
    drivers = tree.root / "input/data/sm_drivers"
    drivers.mkdir()
    (drivers / "distributed.json").write_text(distributed)
    (drivers / "sourcecode.json").write_text('{"source_dir": "src", "entry_script": "main.py"}')
    tree.code("print('main')\n", "main.py")
    done = tree.run()
    assert done.err.startswith(said) and bool(said) == bool(done.status)
    assert done.out == ("" if said else "main\n")


def test_an_output_that_nothing_uploads_is_one_line(tree):
    tree.code("print('ran')\n")
    tree.config(hyperparameters={"sagemaker_s3_output": '"s3://bucket/x"'})
    done = tree.run()
    assert (done.status, done.out) == (0, "ran\n")
    assert done.err.startswith("train: sagemaker_s3_output is not used: ")


def test_a_met_requirement_needs_no_pip(tree):
    tree.code("print('ran')\n")
    tree.code("# what is here\npytest==9.2.0  # exactly\npluggy\n\n", "requirements.txt")
    done = tree.run(PIP_NO_INDEX="1")
    assert done == Ended(0, "ran\n", "")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_requirements_in_any_encoding_are_pip_s_to_read(tree, encoding):
    tree.code("print('ran')\n")
    text = f"# -*- coding: {encoding} -*-\n# für alle: nichts\n"
    (tree.root / "code/requirements.txt").write_bytes(text.encode(encoding))
    done = tree.run(PIP_NO_INDEX="1")
    assert done.status == 0 and done.out.endswith("ran\n"), done.err


def test_a_requirement_that_nobody_has_is_one_line_after_pip_s(tree, real):
    tree.code("")
    tree.code("absent-package\n", "requirements.txt")
    done = tree.run(python=real, PIP_NO_INDEX="1")
    last = done.err.splitlines()[-1]
    assert (done.status, tree.failure()) == (1, last[len("train: ") :] + "\n")
    assert last.startswith(
        f"train: pip did not install {tree.root}/code/requirements.txt; its words"
    )


def test_without_boto3_code_in_s3_is_one_line(tree):
    tree.config(hyperparameters={"sagemaker_submit_directory": "s3://bucket/sourcedir.tar.gz"})
    bare = Path("/usr/bin")
    assert shutil.which("python3", path=str(bare))
    done = tree.run(python=bare, PYTHONNOUSERSITE="1")
    wanted = (
        "sagemaker_submit_directory is s3://bucket/sourcedir.tar.gz, and the image has no boto3"
    )
    assert done.status == 1 and done.err.startswith(f"train: {wanted}")


def test_code_in_s3_is_fetched_with_boto3(tree, real, tmp_path):
    import boto3
    from servers import moto_serving

    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    (tmp_path / "moto").mkdir()
    with moto_serving(tmp_path / "moto") as address:
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
        client.create_bucket(Bucket="bucket")
        client.upload_file(str(archive(tree, tree.root / "a.tar.gz")), "bucket", "x/a.tar.gz")
        values = {
            "sagemaker_program": "one.py",
            "sagemaker_submit_directory": "s3://bucket/x/a.tar.gz",
        }
        tree.config(hyperparameters=values)
        done = tree.run(python=real, S3_ENDPOINT_URL=address, **keys)
    assert (done.status, done.out) == (0, "archived\n"), done.err


# Another `train`


def test_another_train_on_path_is_used(tree, tmp_path):
    ours, other = tmp_path / "ours", tmp_path / "other"
    shutil.copytree(TEMPLATE / "container", ours)
    other.mkdir()
    (other / "train").write_text('#!/bin/sh\necho "$SAGEMAKER_PROGRAM" "$@"\n')
    (other / "train").chmod(0o755)
    path = f"{ours}:{other}:{os.environ['PATH']}"
    done = run_by_name(tree, path)
    assert done.stdout == "train.py\n"
    assert done.stderr == f"train: the image brings {other}/train, which runs the script\n"


def run_by_name(tree: Tree, path: str) -> subprocess.CompletedProcess:
    """Run the first `train` on PATH."""
    environment = {"PATH": path, "SAGEMAKER_BASE_DIR": str(tree.root)}
    return subprocess.run(
        [shutil.which("train", path=path)], env=environment, capture_output=True, text=True
    )


def test_a_train_that_was_copied_alone_is_one_line(tree, tmp_path):
    shutil.copy(TRAIN, tmp_path / "train")
    done = tree.run(tmp_path / "train")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert done.err.startswith(f"train: {tmp_path}/toolkit.py is missing; container/Dockerfile")


def test_log_level_10_says_what_is_run(tree):
    tree.code("")
    tree.config(hyperparameters={"sagemaker_container_log_level": "10", "a": "1"})
    assert re.fullmatch(r'train: runs \[.*, "train.py", "-a", "1"\]\n', tree.run().err)


PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3")) or [Path(sys.executable)]


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parent.parent.name)
def test_it_runs_with_the_pythons_that_are_here(tree, python):
    done = subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 7))"])
    if done.returncode:
        return  # 3.6 and older are not promised
    tree.code("import sys\nprint(sys.argv[1:])\n1 / 0\n")
    tree.config(hyperparameters={"epochs": "3"})
    done = tree.run(python=python.parent)
    assert (done.status, done.out) == (1, "['--epochs', '3']\n")
    assert tree.failure() == (
        f"ZeroDivisionError: division by zero\n  at {tree.root}/code/train.py:3 in <module>"
    )
    assert "toolkit.py" not in done.err and "run_script.py" not in done.err


def test_the_witness_is_what_the_scripts_are_compared_by(tree):
    """tests/test_scripts.py relies on it: a file beside the script is imported first."""
    tree.code(WITNESS, "sitecustomize.py")
    tree.code("import sys\nsys.exit(2)\n")
    assert tree.run().status == 2
    assert tree.seen()["argv"] == ["train.py"]
    assert tree.seen()["sm"]["SM_USER_ENTRY_POINT"] == "train.py"
