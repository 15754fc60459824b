"""What Make remembers, what reaches Python, and what happens when something is broken.

Needs no engine.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import PROJECT, clean_environment, jobs, last_job, make, script
from terminal import background

LINUX = pytest.mark.linux  # the sandbox
JOB = "TrainingJobName: {0}\n"


@pytest.fixture(autouse=True)
def sandbox(project):
    """Use the sandbox for every verb, so that no engine is asked."""
    settings = project / "settings.env"
    settings.write_text(settings.read_text().replace("ENGINE=auto", "ENGINE=sandbox"))


@pytest.fixture
def counted(project) -> Path:
    """Replace the project's Python by one that counts its calls; return the file with the count."""
    python, calls = project / "sm_local/.venv/bin/python", project / "calls"
    real = os.path.realpath(python)
    site = subprocess.run(
        [
            python,
            "-c",
            (
                "import ruamel.yaml, os; "
                "print(os.path.dirname(os.path.dirname(os.path.dirname(ruamel.yaml.__file__))))"
            ),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    python.unlink()
    python.write_text(f'#!/bin/sh\necho x >> "{calls}"\nPYTHONPATH="{site}" exec "{real}" "$@"\n')
    python.chmod(0o755)
    calls.touch()
    return calls


def recipe(project, *arguments: str, **environment: str) -> str:
    """Return the recipe that make prints."""
    done = make(project, "recipe", *arguments, env=clean_environment(**environment))
    assert done.returncode == 0, done.stdout
    return done.stdout


def name(text: str) -> str:
    """Return the job's name in a recipe."""
    return re.search(r"new_job (\S+)", text)[1]


# What is remembered


@LINUX
def test_an_older_file_moved_into_place_counts(project):
    (project / "other.yaml").write_text(JOB.format("older"))
    os.utime(project / "other.yaml", (1, 1))
    recipe(project)
    (project / "other.yaml").replace(project / "job.yaml")
    assert name(recipe(project)) == "older"


@LINUX
def test_a_copy_that_keeps_its_time_counts(project):
    (project / "job.yaml").write_text(JOB.format("first"))
    stamp = (project / "job.yaml").stat().st_mtime
    assert name(recipe(project)) == "first"
    (project / "other.yaml").write_text(JOB.format("other"))
    os.utime(project / "other.yaml", (stamp, stamp))
    subprocess.run(["cp", "-p", "other.yaml", "job.yaml"], cwd=project, check=True)
    assert name(recipe(project)) == "other"


@LINUX
def test_nothing_changed_runs_no_python(project, counted):
    first = recipe(project)
    before = counted.read_text()
    assert (recipe(project), counted.read_text()) == (first, before)
    assert before == "x\n"


@LINUX
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda project: (project / "settings.env").open("a").write("SHM=3g\n"),
            id="settings.env",
        ),
        pytest.param(
            lambda project: (project / "settings.local.env").write_text("SHM=3g\n"),
            id="settings.local.env",
        ),
        pytest.param(
            lambda project: (project / "opt/ml/input/config/hyperparameters.json").write_text("{}"),
            id="hyperparameters",
        ),
        pytest.param(
            lambda project: (project / "opt/ml/input/data/validation").mkdir(), id="channel"
        ),
        pytest.param(
            lambda project: (project / "sm_local/kinds/contract.py").open("a").write("\n"),
            id="python",
        ),
        pytest.param(
            lambda project: (project / "sm_local/instances.tsv").open("a").write("\n"), id="table"
        ),
    ],
)
def test_what_a_recipe_is_made_from_counts(project, counted, change):
    recipe(project)
    change(project)
    recipe(project)
    recipe(project)
    assert counted.read_text() == "xx\n".replace("xx", "x\nx")


@LINUX
def test_an_edit_of_what_recipes_source_needs_no_new_recipe(project, counted):
    recipe(project)
    (project / "sm_local/lib/job.sh").open("a").write("\n")
    recipe(project)
    assert counted.read_text() == "x\n"


@LINUX
def test_another_docker_host_counts(project, counted):
    recipe(project)
    recipe(project, DOCKER_HOST="unix:///elsewhere.sock")
    assert counted.read_text() == "x\nx\n"


@LINUX
def test_a_value_on_the_command_line_is_for_that_call_alone(project, counted):
    sizes = [
        re.search(r"in_namespaces \S+ (\S+)", recipe(project, *given))[1]
        for given in ([], ["SHM=7m"], ["SHM=7m"], [], ["SHM=8m"])
    ]
    assert sizes == ["2g", "7m", "7m", "2g", "8m"]
    assert counted.read_text() == "x\n" * 3  # a recipe is written once for each state


@LINUX
@pytest.mark.parametrize("verb", ["help", "jobs", "stop"])
def test_a_verb_without_a_recipe_leaves_those_that_are_there(project, verb):
    assert make(project, "recipe").returncode == 0
    with open(project / "job.yaml", "a") as job:
        job.write("# an edit\n")
    assert make(project, verb).returncode == 0
    assert (project / "recipes/train.sh").exists()


def test_the_running_job_keeps_its_recipe(project):
    script(project, "print('up', flush=True); time.sleep(1.5); print('end')")
    process = background(["make", "train"], project, stderr=None)
    assert process.stdout.readline() == "up\n"
    (project / "job.yaml").write_text(JOB.format("another"))
    assert (
        name(recipe(project, "HP=epochs=99"))
        == "another"
        == name((project / "recipes/train.sh").read_text())
    )
    assert process.communicate(timeout=30)[0] == "end\n" and process.returncode == 0
    assert "epochs" not in (last_job(project) / "recipe.sh").read_text().replace(
        '"epochs":"20"', ""
    )


# What reaches Python

AS_TYPED = [
    "$HOME",
    "$$",
    "$(shell id)",
    "it's",
    '"quoted"',
    "a b",
    "a#b",
    "back\\slash",
    "`id`",
    "%",
    "é",
    ";",
    "${x}",
]


@LINUX
@pytest.mark.parametrize("value", AS_TYPED)
def test_a_value_reaches_python_as_typed(project, value):
    script(
        project,
        "import shutil; shutil.copy('/opt/ml/input/config/hyperparameters.json', '/opt/ml/model')",
    )
    done = make(project, "train", f"HP={shlex.quote('v=' + value)}")
    assert done.returncode == 0, done.stdout
    assert json.loads((last_job(project) / "model/hyperparameters.json").read_text())["v"] == value


@LINUX
@pytest.mark.parametrize(
    "file", ["my job.yaml", "it's.yaml", "$HOME.yaml", "$$.json", "sub/job.yaml", "#.yaml"]
)
def test_a_job_file_may_have_any_name(project, file):
    (project / file).parent.mkdir(exist_ok=True)
    (project / file).write_text('{"TrainingJobName": "named"}')
    assert name(recipe(project, f"JOB={file}")) == "named"
    (project / file).write_text('{"TrainingJobName": "changed"}')
    assert name(recipe(project, f"JOB={file}")) == "changed"


@LINUX
@pytest.mark.parametrize(("job", "file"), [("", "job.yaml"), ("-n.yaml", "-n.yaml")])
def test_a_job_file_of_no_name_or_one_like_an_option_counts(project, job, file):
    for stem in ("first", "second"):
        (project / file).write_text(json.dumps({"TrainingJobName": stem}))
        assert name(recipe(project, f"JOB={job}")) == stem


@LINUX
@pytest.mark.parametrize(
    "verb", ["data", "doctor", "it's", "$(touch pwned)", "$(shell touch pwned)", ""]
)
def test_a_verb_without_a_recipe_is_one_line(project, verb):
    done = make(project, "recipe", f"VERB={verb}")
    assert (
        done.returncode == 2
        and "sm-local: VERB is a verb that has a recipe: train process debug shell build pull-dlc\n"
        in done.stdout
    )
    assert len(done.stdout.splitlines()) == 2 and not (project / "pwned").exists()


@LINUX
def test_what_the_shell_exports_does_not_leak_in(project):
    plain = recipe(project)
    exported = {
        "JOB": "none.yaml",
        "HP": "epochs=9",
        "IMAGE": "x",
        "REGION": "eu-west-1",
        "GPU": "all",
        "ENGINE": "docker",
        "DOCKER_ARGS": "-x",
        "SHM": "1m",
    }
    shutil.rmtree(project / "recipes")
    assert recipe(project, **exported) == plain


@LINUX
def test_flags_of_make_do_no_harm(project):
    script(project, "print('ran')")
    for flags in (["-j4"], ["-k"], ["-s"], ["-B", "-j2"]):
        done = make(project, *flags, "train")
        assert done.returncode == 0 and "ran\n" in done.stdout, (flags, done.stdout)
    assert len(jobs(project)) == 4
    done = make(project, "-n", "train")
    assert (
        done.returncode == 0 and "bash -p recipes/.kept/" in done.stdout and len(jobs(project)) == 4
    )


@LINUX
def test_make_from_another_folder(project, tmp_path):
    script(project, "print('ran')")
    done = make(tmp_path, "-C", str(project), "train")
    assert done.returncode == 0 and "ran\n" in done.stdout and len(jobs(project)) == 1


@LINUX
def test_two_calls_at_once_both_run(project):
    script(project, "print('ran')")
    (project / "job.yaml").write_text("{}")  # no checkpoint folder, which only one job can have
    calls = [background(["make", "train", f"HP=n={n}"], project) for n in range(4)]
    said = [call.communicate(timeout=60)[0] for call in calls]
    assert [call.returncode for call in calls] == [0] * 4, said
    ran = [
        json.loads((job / "config/hyperparameters.json").read_text())["n"] for job in jobs(project)
    ]
    assert sorted(ran) == ["0", "1", "2", "3"]


# The tool's own environment


@LINUX
def test_two_first_calls_at_once_make_one_environment(project):
    shutil.rmtree(project / "sm_local/.venv")
    calls = []
    for _ in range(3):
        calls.append(background(["make", "recipe", "ENGINE=sandbox"], project))
        time.sleep(0.7)
    said = [call.communicate(timeout=180)[0] for call in calls]
    assert [call.returncode for call in calls] == [0] * 3, said
    assert (project / "sm_local/.venv/ready").exists()
    assert list(project.glob("sm_local/.venv.*")) == []


@LINUX
def test_what_a_killed_call_left_is_swept_and_another_call_s_work_is_not(project):
    shutil.rmtree(project / "sm_local/.venv")
    for name in ("new.999999999", "old.999999999", f"new.{os.getpid()}"):
        (project / f"sm_local/.venv.{name}/bin").mkdir(parents=True)
    assert make(project, "recipe", "ENGINE=sandbox", timeout=180).returncode == 0
    left = [path.name for path in project.glob("sm_local/.venv.*")]
    assert left == [f".venv.new.{os.getpid()}"]


@LINUX
def test_an_environment_that_somebody_else_made_first_stays(project, tmp_path):
    """Another call is first while ours installs its packages."""
    venv, fake = project / "sm_local/.venv", tmp_path / "bin"
    venv.rename(tmp_path / "first")
    fake.mkdir()
    (fake / "uv").write_text(
        f"""#!/bin/sh
if [ "$1" = pip ]; then
  touch {tmp_path}/first/ready {tmp_path}/first/won
  mv {tmp_path}/first {venv}
fi
exec {shutil.which("uv")} "$@"
"""
    )
    (fake / "uv").chmod(0o755)
    environment = clean_environment(PATH=f"{fake}:{os.environ['PATH']}")
    assert make(project, "recipe", "ENGINE=sandbox", env=environment, timeout=180).returncode == 0
    assert (venv / "won").exists() and list(project.glob("sm_local/.venv.*")) == []


def refuse_index() -> dict[str, str]:
    return {
        "UV_INDEX_URL": "http://127.0.0.1:9/simple",
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_NO_INDEX": "",
        "UV_NO_CACHE": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "UV_HTTP_TIMEOUT": "3",
        "PIP_EXTRA_INDEX_URL": "",
        "UV_EXTRA_INDEX_URL": "",
        "UV_INDEX": "",
        "UV_FIND_LINKS": "",
        "PIP_FIND_LINKS": "",
        "PIP_CONFIG_FILE": "/dev/null",
        "UV_NO_CONFIG": "1",
    }


@LINUX
def test_an_interrupted_environment_is_made_anew(project):
    venv = project / "sm_local/.venv"
    (venv / "ready").unlink()
    shutil.rmtree(venv / "lib")
    done = make(project, "recipe", timeout=200)
    assert (
        done.returncode == 0
        and "sm-local: making sm_local/.venv (once, a few seconds)\n" in done.stdout
    )
    assert (venv / "ready").exists()


def test_an_index_that_does_not_answer_leaves_no_ready_environment(project):
    shutil.rmtree(project / "sm_local/.venv")
    done = make(project, "recipe", env=clean_environment(**refuse_index()), timeout=200)
    assert done.returncode == 2
    assert (
        "sm-local: sm_local/.venv was not made: the packages of sm_local/requirements.txt did "
        "not come (above); try again, or set your index\n"
    ) in done.stdout
    assert (
        not (project / "sm_local/.venv/ready").exists()
        and list((project / "recipes").glob("*.sh")) == []
    )


def a_path_with(tmp_path, body: str) -> str:
    """Return a PATH with the usual tools, a python3 with this body, and no uv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in (
        "sh",
        "bash",
        "make",
        "cat",
        "rm",
        "mv",
        "cksum",
        "sed",
        "mkdir",
        "env",
        "uname",
        "dirname",
    ):
        (folder / tool).symlink_to(shutil.which(tool))
    (folder / "python3").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "python3").chmod(0o755)
    return str(folder)


def test_a_python_without_ensurepip_names_the_package(project, tmp_path):
    shutil.rmtree(project / "sm_local/.venv")
    done = make(
        project,
        "recipe",
        env=clean_environment(
            PATH=a_path_with(tmp_path, 'case "$*" in *ensurepip*) exit 1 ;; esac')
        ),
    )
    assert done.returncode == 2
    assert (
        "sm-local: python3 has no ensurepip; 'sudo apt-get install python3-venv', or install uv\n"
        in done.stdout
    )


def test_a_path_in_which_python_makes_no_environment_is_named(project, tmp_path):
    place = project.rename(tmp_path / "a:b")
    shutil.rmtree(place / "sm_local/.venv")
    done = make(
        place,
        "recipe",
        env=clean_environment(PATH=a_path_with(tmp_path, f'exec {shutil.which("python3")} "$@"')),
    )
    assert done.returncode == 2 and "Error: " not in done.stdout
    assert (
        f"sm-local: Python makes no venv where the path has a colon; give {place} another "
        "name, or install uv\n"
    ) in done.stdout


def test_a_python_that_is_too_old_is_named(project, tmp_path):
    shutil.rmtree(project / "sm_local/.venv")
    done = make(
        project,
        "recipe",
        env=clean_environment(
            PATH=a_path_with(tmp_path, 'case "$*" in *version_info*) echo 3.8; exit 1 ;; esac')
        ),
    )
    assert (
        done.returncode == 2
        and "sm-local: python3 is 3.8; install Python 3.9 or newer\n" in done.stdout
    )


def test_no_python_at_all(project, tmp_path):
    shutil.rmtree(project / "sm_local/.venv")
    path = a_path_with(tmp_path, "")
    (Path(path) / "python3").unlink()
    done = make(project, "recipe", env=clean_environment(PATH=path))
    assert (
        done.returncode == 2
        and "sm-local: python3 is not on PATH; install Python 3.9 or newer\n" in done.stdout
    )


# What is broken


@LINUX
def test_a_bug_of_ours_keeps_its_traceback_and_writes_no_recipe(project):
    (project / "sm_local/kinds/job.py").open("a").write("\nraise RuntimeError('a bug')\n")
    done = make(project, "train")
    assert (
        done.returncode == 2 and "Traceback" in done.stdout and "RuntimeError: a bug" in done.stdout
    )
    assert list((project / "recipes").glob("*.sh")) == []


def test_a_broken_job_is_one_line_with_its_place(project):
    (project / "job.yaml").write_text(
        "TrainingJobName: x\nResourceConfig: {InstanceType: ml.m5.large, InstanceCount: two}\n"
    )
    before = files(project)
    lines = make(project, "train").stdout.splitlines()
    assert (
        lines[0]
        == "sm-local: job.yaml:2: ResourceConfig.InstanceCount is 'two'; the API wants an integer"
    )
    assert lines[1].startswith("make: *** [") and len(lines) == 2
    assert files(project).items() <= before.items()  # nothing started, nothing written


def files(project) -> dict[str, bytes]:
    """Return a project's files and their contents."""
    return {
        str(path.relative_to(project)): path.read_bytes()
        for path in project.rglob("*")
        if path.is_file()
    }


def test_a_job_file_that_is_not_there(project):
    done = make(project, "train", "JOB=none.yaml")
    assert (
        done.stdout.splitlines()[0]
        == "sm-local: none.yaml: no such file; make one, an empty file is a request too"
    )
    assert done.returncode == 2


@LINUX
def test_a_job_can_be_stopped_when_its_request_cannot_be_read(project):
    script(
        project,
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "print('up', flush=True); time.sleep(60)",
    )
    process = background(["make", "train"], project, stderr=None)
    assert process.stdout.readline() == "up\n"
    for text in ("{", "\0", "- a\n"):
        (project / "job.yaml").write_text(text)
        assert make(project, "train").returncode == 2
    (project / "settings.env").write_text("what\n")
    assert " InProgress " in make(project, "jobs").stdout
    begin = time.monotonic()
    assert make(project, "stop").returncode == 0
    process.communicate(timeout=30)
    assert time.monotonic() - begin < 20 and (last_job(project) / "status").read_text().startswith(
        "Stopped "
    )


@LINUX
def test_a_recipes_folder_that_cannot_be_written(project):
    shutil.rmtree(project / "recipes", ignore_errors=True)
    (project / "recipes").write_text("in the way")
    done = make(project, "train")
    assert (
        done.stdout.splitlines()[0]
        == "sm-local: recipes/ cannot be written; is this folder yours, and its disk not read-only?"
    )
    assert done.returncode == 2 and jobs(project) == [] and len(done.stdout.splitlines()) == 2


@LINUX
@pytest.mark.parametrize("folder", ["with blank", "it's", "$HOME", "é", "a;b&c", "(x)"])
def test_a_project_works_wherever_it_is_moved(project, tmp_path, folder):
    script(project, "print('ran')")
    recipe(project)
    place = tmp_path / folder / PROJECT
    place.parent.mkdir()
    shutil.move(project, place)
    done = make(place, "train", "HP=n=1")
    assert done.returncode == 0 and "ran\n" in done.stdout, done.stdout


def test_an_edit_of_the_library_needs_no_new_recipe(project, counted):
    recipe(project)
    with (project / "sm_local/lib/say.sh").open("a") as file:
        file.write("say 'edited'\n")
    done = make(project, "train", "ENGINE=sandbox")
    assert "sm-local: edited" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("CHANEL=rw", "CHANEL=rw: make knows no CHANEL; did you mean CHANNELS?"),
        ("HPP=a=1", "HPP=a=1: make knows no HPP; did you mean HP?"),
        ("gpu=none", "gpu=none: names are in capitals; write GPU=none"),
        ("hp=epochs=3", "hp=epochs=3: names are in capitals; write HP='epochs=3'"),
        ("EPOCHS=3", "EPOCHS=3: epochs is a hyperparameter; write HP='epochs=3'"),
        ("lr=0.1", "lr=0.1: lr is a hyperparameter; write HP='lr=0.1'"),
        ("Seed=a b", "Seed=a b: seed is a hyperparameter; write HP=\"seed='a b'\""),
    ],
)
def test_a_misspelt_variable_is_an_error(project, given, said):
    done = make(project, "train", "ENGINE=sandbox", given)
    assert done.returncode == 2
    assert f"sm-local: {said}" in done.stdout.splitlines()


def test_a_full_recipe_runs_without_make_python_and_the_tool(project, tmp_path):
    done = make(project, "-s", "recipe", "ENGINE=sandbox", "FULL=1")
    assert done.returncode == 0, done.stdout
    (project / "full.sh").write_text(done.stdout)
    shutil.rmtree(project / "sm_local")
    done = subprocess.run(
        ["bash", "full.sh"],
        cwd=project,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (last_job(project) / "model/model.json").exists()


def test_a_recipe_of_another_version_of_the_library_says_so(project):
    make(project, "train", "ENGINE=sandbox")
    old = last_job(project) / "recipe.sh"
    old.write_text(old.read_text().replace("\nlibrary=1\n", "\nlibrary=0\n"))
    done = subprocess.run(
        ["bash", str(old.relative_to(project))],
        cwd=project,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = "this recipe is of another version of sm_local/; 'make train' writes a new one"
    assert (done.returncode, done.stderr) == (1, f"sm-local: {said}\n")


def test_ctrl_c_while_modules_are_read_shows_no_traceback(project, tmp_path):
    (tmp_path / "dataclasses.py").write_text("raise KeyboardInterrupt")
    make(project, "sm_local/.venv/ready")
    done = subprocess.run(
        ["sm_local/.venv/bin/python", "-B", "-m", "sm_local", "doctor"],
        cwd=project,
        env=clean_environment(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGINT and done.stdout + done.stderr == ""


def test_a_typo_is_told_where_no_engine_answers(project):
    job = project / "job.yaml"
    job.write_text(job.read_text().replace("InstanceType", "InstanceTyp"))
    for verb in ("train", "shell", "debug"):
        env = clean_environment(DOCKER_HOST="unix:///nonexistent")
        said = make(project, verb, "ENGINE=docker", env=env).stdout
        assert "InstanceTyp" in said and "does not answer" not in said, said
