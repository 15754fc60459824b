"""Two hosts train together with PyTorch's own launcher: torchrun and gloo meet at algo-1."""

import json
import shutil
import subprocess
import sys

import pytest
from conftest import CACHE, REPO, jobs, last_job, make, script
from debugging import at, debugged, link_debugger

pytestmark = [pytest.mark.engine, pytest.mark.linux]
TORCH = "torch==2.13.0"


@pytest.fixture(scope="module")
def torch_folder(docker, base_image):
    """Return a folder with PyTorch for the image's Python.

    It is mounted, not installed: most of its 4 GB are CUDA libraries, which nothing here uses.
    """
    python = (
        docker.containers.run(
            base_image,
            ["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            remove=True,
        )
        .decode()
        .strip()
    )
    folder = CACHE / f"{TORCH}-{python}"
    if not (folder / "ready").exists():
        subprocess.run(
            [
                sys.executable,
                "-m",
                "uv",
                "pip",
                "install",
                "--quiet",
                "--target",
                folder,
                "--python-version",
                python,
                "--only-binary",
                ":all:",
                TORCH,
            ],
            check=True,
        )
        (folder / "ready").touch()
    if not (folder / "compiled").exists():  # else each import of a read-only folder compiles it
        compile_all = ["python3", "-m", "compileall", "-q", "-j", "0", "/opt/torch"]
        mount = f"--mount=type=bind,source={folder},target=/opt/torch"
        subprocess.run(["docker", "run", "--rm", mount, base_image, *compile_all], check=False)
        (folder / "compiled").touch()
    return folder


def test_torchrun_reduces_over_two_hosts(project, built, torch_folder):
    (project / "code/work.py").write_text("""
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
torch.manual_seed(dist.get_rank())
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    model(torch.ones(8, 4) * dist.get_rank()).square().mean().backward()
    optimizer.step()
total = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(total)
print(f"{dist.get_rank()} {dist.get_world_size()} {total.item()}\\n", end="", flush=True)
torch.save(model.state_dict(), f"/opt/ml/model/rank-{dist.get_rank()}.pt")
total = sum(p.sum().item() for p in model.parameters())
open(f"/opt/ml/model/sum-{dist.get_rank()}", "w").write(str(total))
dist.barrier()
dist.destroy_process_group()
os._exit(0)  # a thread of gloo may be left, with which Python ends by SIGABRT now and then
""")
    script(
        project,
        """
import json
config = json.load(open("/opt/ml/input/config/resourceconfig.json"))
hosts, me = config["hosts"], config["current_host"]
os.environ["GLOO_SOCKET_IFNAME"] = config["network_interface_name"]
os.execvp(sys.executable, [
    sys.executable, "-m", "torch.distributed.run",
    f"--nnodes={len(hosts)}", f"--node-rank={hosts.index(me)}", "--nproc-per-node=1",
    f"--master-addr={hosts[0]}", "--master-port=7777", "/opt/ml/code/work.py",
])
""",
    )
    request = {
        "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2},
        "Environment": {"PYTHONPATH": "/opt/torch"},
    }
    (project / "job.yaml").write_text(json.dumps(request))
    done = make(
        project,
        "train",
        "ENGINE=docker",
        f"DOCKER_ARGS=--mount type=bind,source={torch_folder},target=/opt/torch,readonly",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert "algo-1 | 0 2 3.0" in done.stdout and "algo-2 | 1 2 3.0" in done.stdout
    (job,) = jobs(project)
    sums = [(job / f"algo-{rank + 1}/model/sum-{rank}").read_text() for rank in (0, 1)]
    assert sums[0] == sums[1]


def run_unchanged(project, torch_folder, name, hyperparameters, count=1):
    """Run one of tests/scripts in our image; return what was said."""
    shutil.rmtree(project / "code")
    shutil.copytree(REPO / "tests/scripts" / name, project / "code")
    done = run(project, torch_folder, hyperparameters, count)
    assert done.returncode == 0, done.stdout
    return done.stdout


def run(project, torch_folder, hyperparameters, count=1):
    """Run the project's code with PyTorch."""
    mount = with_torch(project, torch_folder, hyperparameters, count)
    return make(project, "train", "ENGINE=docker", mount, timeout=300)


def with_torch(project, torch_folder, hyperparameters, count=1) -> str:
    """Write a job that finds PyTorch; return the argument that mounts it."""
    request = {
        "HyperParameters": hyperparameters,
        "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": count},
        "Environment": {"PYTHONPATH": "/opt/torch"},
    }
    (project / "job.yaml").write_text(json.dumps(request))
    return f"DOCKER_ARGS=--mount type=bind,source={torch_folder},target=/opt/torch,readonly"


def test_a_script_with_workers_of_a_data_loader_runs_unchanged(project, built, torch_folder):
    given = {"epochs": "2", "batch-size": "16", "lr": "0.05"}
    said = run_unchanged(project, torch_folder, "argparse_torch", given)
    assert "Train Epoch: 2 Loss: " in said
    assert (last_job(project) / "model/model.pth").stat().st_size


def test_torchrun_is_a_hyperparameter(project, built, torch_folder):
    given = {
        "epochs": "3",
        "sagemaker_program": '"ddp.py"',
        "sagemaker_torch_distributed_enabled": "true",
        "sagemaker_mpi_num_of_processes_per_host": "2",
    }
    said = run_unchanged(project, torch_folder, "torchrun", given, count=2)
    for rank in range(4):
        assert f"algo-{rank // 2 + 1} | rank {rank} of 4 sum 10.0" in said
    (job,) = jobs(project)
    sums = {(job / f"algo-{r // 2 + 1}/model/sum-{r}").read_text() for r in range(4)}
    assert len(sums) == 1


def test_a_failing_rank_gives_the_reason(project, built, torch_folder):
    (project / "code/train.py").write_text("import os\nraise ValueError(os.environ['RANK'])\n")
    done = run(project, torch_folder, {"sagemaker_torch_distributed_enabled": "true"})
    assert done.returncode == 2
    reason = (last_job(project) / "output/failure").read_text()
    assert reason == "ValueError: 0\n  at /opt/ml/code/train.py:2 in <module>"


def test_each_rank_and_no_launcher_stops_at_a_breakpoint(project, built, torch_folder):
    """The workers of the ranks' data loaders are followed too, and end."""
    link_debugger(project)
    (project / "code/train.py").write_text("""
import os
from torch.utils.data import DataLoader
rank = int(os.environ["RANK"])
total = sum(batch.item() for batch in DataLoader(range(8), num_workers=2))
print(total)
""")
    given = {
        "sagemaker_torch_distributed_enabled": "true",
        "sagemaker_mpi_num_of_processes_per_host": "2",
    }
    mount = with_torch(project, torch_folder, given)
    with debugged(project, "ENGINE=docker", mount) as job:
        editor = job.join({"train.py": [6]}, "(rank, total)")
        stops = {at(editor.stop()) for _ in range(2)}
        assert stops == {("breakpoint", "train.py", 6, f"({rank}, 28)") for rank in (0, 1)}
        assert job.end() == 0, job.text
