"""`make logs`, `make attach`, `make` alone, and words that make does not know."""

import subprocess

import pytest
from conftest import clean_environment, last_job, make, script
from terminal import background

pytestmark = pytest.mark.usefixtures("image_if_docker")
ENGINES = [
    pytest.param("docker", marks=[pytest.mark.engine, pytest.mark.linux]),
    pytest.param("sandbox", marks=pytest.mark.linux),
]
TWO_HOSTS = "ResourceConfig: {InstanceType: ml.m5.large, InstanceCount: 2}\n"
SLOW = "import time\nprint('one', flush=True)\ntime.sleep(3)\nprint('two', flush=True)\n"


def said(project, *words, **options) -> list[str]:
    """Return the lines of a make that succeeds."""
    done = make(project, *words, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


@pytest.mark.parametrize("engine", ENGINES)
def test_logs_print_the_last_job_s(project, engine):
    names = []
    for word in ("first", "last"):
        script(project, f"print({word!r})")
        assert make(project, "train", f"ENGINE={engine}").returncode == 0
        names.append(last_job(project).name)
    assert said(project, "logs") == ["last"]
    assert said(project, "logs", f"JOB=output/{names[0]}") == ["first"]
    assert said(project, "logs", f"JOB={names[0]}") == ["first"]


@pytest.mark.parametrize("engine", ENGINES)
def test_of_several_hosts_each_line_has_its_host(project, engine):
    (project / "job.yaml").write_text(TWO_HOSTS)
    script(project, "import os\nprint('here is', os.environ['SM_CURRENT_HOST'])")
    assert make(project, "train", f"ENGINE={engine}").returncode == 0
    hosts = ("algo-1", "algo-2")
    assert said(project, "logs") == [f"{host} | here is {host}" for host in hosts]
    lines = said(project, "logs", "FOLLOW=1")
    assert sorted(lines[:2]) == [f"{host} | here is {host}" for host in hosts]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_running_job_s_are_followed_to_its_end(project, engine):
    script(project, SLOW)
    make(project, "recipe", f"ENGINE={engine}")
    job = background(["bash", "recipes/train.sh"], project, stderr=None)
    assert job.stdout.readline() == "one\n"
    assert said(project, "logs") == ["one"]
    lines = said(project, "logs", "FOLLOW=1")
    assert lines == ["one", "two", f"sm-local: {last_job(project).name}: Completed"]
    job.communicate(timeout=60)


@pytest.mark.parametrize("engine", ENGINES)
def test_attach_is_a_shell_beside_the_script(project, engine):
    script(project, SLOW.replace("sleep(3)", "sleep(8)"))
    make(project, "recipe", f"ENGINE={engine}")
    job = background(["bash", "recipes/train.sh"], project, stderr=None)
    assert job.stdout.readline() == "one\n"
    done = subprocess.run(
        ["make", "attach"],
        cwd=project,
        input="sleep 1; cat /opt/ml/input/config/resourceconfig.json\n"
        "echo; echo $TRAINING_JOB_NAME\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean_environment(),
    )
    name = last_job(project).name
    assert done.stdout.splitlines()[-1] == name, done.stderr
    assert '"current_host":"algo-1"' in done.stdout, done.stderr
    assert done.stderr == f"sm-local: a shell in {name}; 'exit' leaves it, the job goes on\n"
    assert "two\n" in job.communicate(timeout=60)[0]
    assert (last_job(project) / "status").read_text().startswith("Completed")
    gone = make(project, "attach", f"JOB={name}")
    line = f"sm-local: {name} is not running; 'make shell JOB=output/{name}' opens a shell where "
    line += "it ended"
    assert line in gone.stdout.splitlines() and gone.returncode == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trian"], "make knows no trian; did you mean 'make train'?"),
        (["JOBS"], "make knows no JOBS; did you mean 'make jobs'?"),
        (["xyzzy"], "make knows no xyzzy; 'make help' lists the verbs"),
        (["it's"], "make knows no it's; 'make help' lists the verbs"),
        (["logs"], "no job has run yet; 'make train' runs one"),
        (["logs", "JOB=nope"], "JOB=nope: there is no such job; 'make jobs' lists them"),
        (["attach"], "no job of this project is running; 'make shell' opens a shell without one"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_gets_one_line(project, words, line):
    done = make(project, *words)
    first, *rest = done.stdout.splitlines()
    assert first == f"sm-local: {line}"
    assert len(rest) == 1 and rest[0].startswith("make: ***") and done.returncode == 2


def test_make_alone_is_the_help_in_groups(project):
    lines = said(project)
    assert lines == said(project, "help")
    assert [line for line in lines if line and line[0] != " "] == [
        "Run",
        "Look",
        "Data and images",
        "Keep tidy",
        "Behind a verb",
    ]
    assert max(map(len, lines)) <= 80
