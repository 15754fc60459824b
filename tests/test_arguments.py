"""DOCKER_ARGS: what an engine takes and a job survives; what breaks a job is refused in a line."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from conftest import jobs, make, need
from sm_local.features import arguments

REFUSED = {
    "-d": "-d would leave the job behind",
    "--detach": "--detach would leave the job behind",
    "--detach=true": "--detach=true would leave the job behind",
    "-dit": "-dit would leave the job behind",
    "-itd": "-itd would leave the job behind",
    "--name x": "--name takes the name that keeps a second job off",
    "--name=x": "--name takes the name that keeps a second job off",
    "--cidfile /tmp/x": "--cidfile takes the file by which a job is stopped",
    "--rm=false": "--rm=false would leave the container behind",
    "--entrypoint sh": "--entrypoint would replace the job's own start",
    "--entrypoint ''": "--entrypoint would replace the job's own start",
    "--sig-proxy=false": "--sig-proxy=false would keep signals from the job",
    "--pull always": "--pull could run a stranger's image",
    "-a stdin": "-a would keep output from the log",
    "-astdin": "-astdin would keep output from the log",
    "--attach=stdin": "--attach would keep output from the log",
    "--restart always": "--restart would start a job again",
    "--label sm-local.job=x": "sm-local.job is the label by which a job is found",
    "-l sm-local.project=x": "sm-local.project is the label by which a job is found",
    "--replace": "--replace would remove another job's container",
    "--rmi": "--rmi would remove the image",
    "--rootfs": "--rootfs would take the image's name for a folder",
    "--help": "--help runs no job",
    "ubuntu": "'ubuntu' is no option, so it would be the image",
    "--": "'--' is no option",
    "--privileged ubuntu": "'ubuntu' is no option",
    "-p 80:80 -e A=b --detach -v a:/b": "--detach would",
}
TAKEN = shlex.split("""
  -it -t --tty --detach=false --rm --rm=true --pull=never --pull never --sig-proxy --restart no
  --env --detach -e -d --label --name --label=x=sm-local.y -p80:80 -p 80:80 --no-such-option x
""")


@pytest.mark.linux
@pytest.mark.parametrize("given", REFUSED, ids=lambda given: given.replace(" ", "_"))
def test_what_breaks_a_job_is_refused_in_a_line(project, given):
    done = make(project, "train", "ENGINE=sandbox", f"DOCKER_ARGS={given}")
    first, *rest = done.stdout.splitlines()
    assert first.startswith(f"sm-local: DOCKER_ARGS: {REFUSED[given]}") and "; " in first
    assert len(rest) == 1 and rest[0].startswith("make: ***") and jobs(project) == []


def test_the_remedy_names_the_request(project):
    done = make(project, "process", "ENGINE=sandbox", "DOCKER_ARGS=--entrypoint sh --name x")
    entrypoint, name, *_ = done.stdout.splitlines()
    assert "ContainerEntrypoint in processing.yaml names a program" in entrypoint
    assert "ProcessingJobName in processing.yaml names a job" in name


def test_all_else_is_taken():
    assert list(arguments.broken(TAKEN)) == []


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_options_without_a_value_are_those_of_the_engines(engine):
    """What `run --help` prints a type behind takes a value."""
    need(engine, {"docker": "docker.io"}.get(engine, engine))
    done = subprocess.run([engine, "run", "--help"], capture_output=True, text=True, check=True)
    lines = re.findall(r"^ +(?:-(\w), |    )--([\w-]+)( [^ ]+)?(?:  |$)", done.stdout, re.MULTILINE)
    assert len(lines) > 80
    assert {name for _, name, value in lines if not value} - arguments.FLAGS == set()
    assert {name for _, name, value in lines if value} & arguments.FLAGS == set()
    short = {letter: name for letter, name, _ in lines if letter}
    assert arguments.SHORT.items() <= short.items()


ENTRYPOINT = "is '', and no source tells what SageMaker runs then; name a program"


@pytest.mark.parametrize(
    ("verb", "file", "key"),
    [
        ("train", "job.yaml", "AlgorithmSpecification"),
        ("process", "processing.yaml", "AppSpecification"),
    ],
)
@pytest.mark.parametrize("words", ['[""]', '["", "/bin/sh"]'])
def test_an_entrypoint_without_a_program_is_refused(project, verb, file, key, words):
    (project / file).write_text(f"{key}:\n  ContainerEntrypoint: {words}\n")
    done = make(project, verb, "ENGINE=sandbox")
    where = f"{file}:2: {key}.ContainerEntrypoint[0]"
    assert done.stdout.startswith(f"sm-local: {where} {ENTRYPOINT}") and jobs(project) == []


def test_an_empty_argument_is_one(project):
    (project / "job.yaml").write_text(
        "AlgorithmSpecification: {ContainerEntrypoint: [sh, ''], ContainerArguments: ['']}\n"
    )
    assert "sh '' ''" in make(project, "recipe", "ENGINE=sandbox").stdout
