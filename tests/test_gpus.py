"""Which GPUs each host gets.

There is no GPU here: plans are compared, and the arguments that engines make of them.
"""

import os
from dataclasses import replace

import pytest
from conftest import clean_environment, make, script
from plans import DOCKER, JOB, hosts, planned, settled, words
from sm_local.errors import SmLocalError
from sm_local.kinds.job import Host, Job
from sm_local.machine import AVAILABLE, EngineFacts, Gpu


def with_gpus(count: int, mechanism: str = "gpus", name: str = "docker") -> EngineFacts:
    """Return an engine that can hand out so many GPUs."""
    return replace(DOCKER, name=name, gpu=Gpu(AVAILABLE, "runtime nvidia", mechanism, count))


def gpus(job: Job, facts: EngineFacts) -> list[str]:
    """Return what each host gets, in the words of the setting GPU."""
    return [container.gpus for container in planned(job, facts).containers]


@pytest.mark.parametrize(
    ("count", "hosts_", "settings", "shared_out"),
    [
        pytest.param(4, 2, {}, ["auto", "auto"], id="all-to-every-host"),
        pytest.param(4, 2, {"HOST_GPUS": "split"}, ["0,1", "2,3"], id="even"),
        pytest.param(3, 2, {"HOST_GPUS": "split"}, ["0", "1,2"], id="uneven"),
        pytest.param(8, 1, {"HOST_GPUS": "split"}, ["auto"], id="one-host-splits-nothing"),
        pytest.param(0, 2, {"HOST_GPUS": "split", "GPU": "5,7"}, ["5", "7"], id="chosen-ones"),
        pytest.param(
            8, 2, {"HOST_GPUS": "split", "GPU": "none"}, ["none", "none"], id="none-wanted"
        ),
        pytest.param(8, 1, {"LIMITS": "on"}, ["0,1,2,3"], id="as-many-as-the-instance-has"),
        pytest.param(2, 1, {"LIMITS": "on"}, ["auto"], id="fewer-than-the-instance-has"),
        pytest.param(0, 1, {"LIMITS": "on"}, ["auto"], id="nobody-says-how-many-there-are"),
        pytest.param(8, 1, {"LIMITS": "gpus"}, ["0,1,2,3"], id="only-gpus-limited"),
        pytest.param(8, 1, {"LIMITS": "memory"}, ["auto"], id="gpus-not-limited"),
        pytest.param(
            8, 2, {"LIMITS": "on", "HOST_GPUS": "split"}, ["0,1", "2,3"], id="limits-come-first"
        ),
    ],
)
def test_the_gpus_of_each_host(count, hosts_, settings, shared_out):
    job = replace(
        JOB,
        hosts=tuple(replace(host, instance_type="ml.g5.12xlarge") for host in hosts(hosts_)),
        settings=settled(**settings),
    )
    assert gpus(job, with_gpus(count)) == shared_out


def test_an_instance_without_gpus_gets_none():
    job = replace(JOB, settings=settled(LIMITS="on"))
    assert gpus(job, with_gpus(2)) == ["none"]
    assert ["--env", "NVIDIA_VISIBLE_DEVICES=void"] in words(job, with_gpus(2))


def test_groups_with_and_without_gpus():
    job = replace(
        JOB,
        hosts=(Host("algo-1", "big", "ml.g5.xlarge"), Host("algo-2", "small", "ml.c5.xlarge")),
        settings=settled(LIMITS="on"),
    )
    assert gpus(job, with_gpus(4)) == ["0", "none"]


def test_too_few_to_split():
    job = replace(JOB, hosts=hosts(2), settings=settled(HOST_GPUS="split"))
    with pytest.raises(SmLocalError) as caught:
        planned(job, with_gpus(1))
    assert str(caught.value) == (
        "HOST_GPUS=split: 1 GPUs for 2 hosts; "
        "HOST_GPUS=all gives every host all, HOST_GPUS=mps a share"
    )


@pytest.mark.parametrize(
    ("where", "flags"),
    [
        pytest.param(with_gpus(4), ["--gpus", '"device=0,1"'], id="docker"),
        pytest.param(
            with_gpus(4, "cdi"),
            ["--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=1"],
            id="cdi",
        ),
        pytest.param(
            with_gpus(4, "cdi", "podman"),
            ["--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=1"],
            id="podman",
        ),
    ],
)
def test_a_part_reaches_the_command_line(where, flags):
    job = replace(JOB, hosts=hosts(2), settings=settled(HOST_GPUS="split"))
    assert flags in words(job, where)


def test_mps_gives_each_host_a_share_of_the_threads():
    job = replace(JOB, hosts=hosts(4), settings=settled(HOST_GPUS="mps"))
    lines = words(job, with_gpus(1), host=3)
    assert ["--gpus", "all"] in lines and ["--env", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=25"] in lines
    assert ["--ipc", "host", '"${limits[@]}"'] in lines
    assert planned(job, with_gpus(1)).notes[0] == (
        "each host may keep 25 % of a GPU's threads busy (MPS); its memory and bandwidth are "
        "not divided, and a host that crashes can take the others with it"
    )


def test_mps_is_not_for_one_host():
    lines = words(replace(JOB, settings=settled(HOST_GPUS="mps")), with_gpus(1))
    assert ["--shm-size", "2g", '"${limits[@]}"'] in lines and "MPS" not in str(lines)


@pytest.mark.engine
@pytest.mark.linux
def test_mps_that_does_not_run_is_named(project, built, tmp_path):
    """The runtime 'nvidia' is feigned by a client that adds it to what `docker info` says."""
    script(project, "print('ran')")
    (project / "job.yaml").write_text(
        "ResourceConfig: {InstanceType: ml.g5.xlarge, InstanceCount: 2}\n"
    )
    docker = tmp_path / "docker"
    real = os.popen("command -v docker").read().strip()
    docker.write_text(f"""#!/bin/sh
if [ "$1" != info ]; then exec {real} "$@"; fi
{real} "$@" | sed 's/"Runtimes":{{/"Runtimes":{{"nvidia":{{}},/'
""")
    docker.chmod(0o755)
    environment = clean_environment(
        PATH=f"{tmp_path}:{os.environ['PATH']}", CUDA_MPS_PIPE_DIRECTORY=str(tmp_path / "mps")
    )
    done = make(project, "train", "ENGINE=docker", "HOST_GPUS=mps", env=environment)
    assert done.stdout.splitlines()[0] == (
        "sm-local: HOST_GPUS=mps: MPS does not run here; 'sudo nvidia-cuda-mps-control -d' "
        "starts it, HOST_GPUS=all shares without it"
    )
    assert done.returncode == 2
