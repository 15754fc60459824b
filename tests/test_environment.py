"""What the caller exports for a shell, for tools and for Python changes no job."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile

import pytest
from conftest import TEMPLATE, clean_environment, last_job, make, script

SAVES = """
names = ["a.bin", ".hidden", "b c", "sub/d.bin", "Ö"]
for name in names:
    path = pathlib.Path("/opt/ml/model", name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(name)
pathlib.Path("/opt/ml/output/data/o").write_text("o")
print(sorted(os.listdir("/opt/ml/input/data")), sorted(os.environ), flush=True)
"""
SAVED = {"a.bin", ".hidden", "b c", "sub", "sub/d.bin", "Ö"}
FUNCTIONS = re.findall(
    r"\w+", "cd rm mv tar mkdir cat ln printf readlink gzip pigz docker unshare mount cksum"
)
HOSTILE = {
    "CDPATH": "/usr:/:{tmp}",
    **{f"BASH_FUNC_{name}%%": f"() {{ echo {name} of mine; }}" for name in FUNCTIONS},
    "TAR_OPTIONS": "--exclude=*.bin --verbose",
    "GZIP": "--nonsense",
    "PIGZ": "--nonsense",
    "SHELLOPTS": "noclobber:noglob:verbose:xtrace:allexport:keyword:posix",
    "BASHOPTS": "failglob:nocasematch:dotglob:expand_aliases",
    "GLOBIGNORE": "*",
    "BASH_ENV": "{tmp}/first",
    "ENV": "{tmp}/first",
    "POSIXLY_CORRECT": "1",
    "GREP_OPTIONS": "--color=always -v",
    "GREP_COLORS": "ms=nonsense",
    "LS_COLORS": "nonsense",
    "IFS": "/o",
    "TMOUT": "1",
    "SECONDS": "5000",
    "FUNCNEST": "1",
    "EXECIGNORE": "*",
    "BASH_COMPAT": "3.1",
    "PS_FORMAT": "comm",
    "PYTHONPATH": "{tmp}",
    "PYTHONHOME": "/nowhere",
    "PYTHONSTARTUP": "{tmp}/json.py",
    "PYTHONSAFEPATH": "1",
    "PYTHONINSPECT": "1",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTHONVERBOSE": "1",
    "PYTHONIOENCODING": "ascii",
    "PYTHONPROFILEIMPORTTIME": "1",
    "PIP_TARGET": "/nowhere",
    "PIP_USER": "1",
    "LC_ALL": "C",
    "MAKEFLAGS": "k",
    "MAKELEVEL": "3",
}
FIRST = "echo BASH_ENV speaks >&2\nset -f\nshopt -s failglob\nrm() { :; }\n"
GROUPS = {
    "all": HOSTILE,
    "functions": {name: value for name, value in HOSTILE.items() if "%%" in name},
    **{name: {name: value} for name, value in HOSTILE.items() if "%%" not in name},
    **{f"option-{name}": {"SHELLOPTS": name} for name in HOSTILE["SHELLOPTS"].split(":")},
}
MAKEFILE = (TEMPLATE / "Makefile").read_text()
LIBRARY = (TEMPLATE / "sm_local/lib/environment.sh").read_text()
pytestmark = pytest.mark.linux


def environment(tmp_path, values: dict[str, str]) -> dict[str, str]:
    """Return an environment with these values."""
    (tmp_path / "first").write_text(FIRST)
    (tmp_path / "json.py").write_text("raise SystemExit('the json of somebody else')\n")
    (tmp_path / "opt/ml/checkpoints").mkdir(parents=True, exist_ok=True)
    return clean_environment(
        **{name: value.replace("{tmp}", str(tmp_path)) for name, value in values.items()}
    )


def plain(said: str) -> list[str]:
    """Return what was said, without times, and but for make itself where it is called by make."""
    lines = re.sub(r"-\d{8}-\d{6}(-\d+)?|\d+(?= s;)", "#", said).splitlines()
    return [line for line in lines if not re.match(r"make\[\d\]: \w+ing directory", line)]


def packed(project) -> set[str]:
    """Return the names in the last job's model.tar.gz."""
    with tarfile.open(last_job(project) / "model.tar.gz") as archive:
        return set(archive.getnames())


def train(project, engine: str = "sandbox", **options):
    return make(project, "train", f"ENGINE={engine}", **options)


@pytest.fixture(scope="module")
def saving(baked, tmp_path_factory):
    """Return a project whose job saves a few files, and what `make train` says in it."""
    project = tmp_path_factory.mktemp("saving") / baked.name
    shutil.copytree(baked, project, symlinks=True)
    script(project, SAVES)
    (project / "job.yaml").write_text("CheckpointConfig: {}\n")
    done = train(project)
    assert done.returncode == 0 and packed(project) == SAVED, done.stdout
    return project, plain(done.stdout)


@pytest.mark.parametrize("name", GROUPS)
def test_make_trains_as_ever(saving, tmp_path, name):
    project, usual = saving
    if name.startswith(("all", "PYTHON")):
        shutil.rmtree(project / "recipes")  # Python writes them again
    done = train(project, env=environment(tmp_path, GROUPS[name]))
    assert plain(done.stdout) == usual
    assert packed(project) == SAVED and (last_job(project) / "output.tar.gz").exists()


@pytest.mark.parametrize("name", [name for name in GROUPS if not name.startswith(("PY", "MAKE"))])
def test_so_does_a_recipe_that_is_started_by_hand(saving, tmp_path, name):
    project, usual = saving
    done = subprocess.run(
        ["bash", "recipes/train.sh"],
        cwd=project,
        env=environment(tmp_path, GROUPS[name]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    lines = plain(done.stdout)
    if {"SHELLOPTS", "BASH_ENV"} & GROUPS[name].keys():
        # in force before the first line, so they are seen, on the terminal within other lines
        assert set(usual) <= {*lines, *plain((last_job(project) / "log").read_text())}
    else:
        assert lines == usual
    assert done.returncode == 0
    assert packed(project) == SAVED and (last_job(project) / "output.tar.gz").exists()


@pytest.mark.engine
def test_a_container_s_job_is_the_same(project, built, tmp_path):
    script(project, SAVES)
    first = train(project, "docker")
    done = train(project, "docker", env=environment(tmp_path, HOSTILE))
    assert plain(done.stdout) == plain(first.stdout) and packed(project) == SAVED


def test_hosts_that_are_silent_for_longer_than_tmout_are_heard(project, tmp_path):
    (project / "job.yaml").write_text(
        "ResourceConfig: {InstanceType: ml.m5.large, InstanceCount: 2}\n"
    )
    script(project, "time.sleep(3); print('late', flush=True)")
    done = train(project, env=environment(tmp_path, {"TMOUT": "1"}))
    assert done.stdout.count(" | late\n") == 2, done.stdout


def test_other_verbs_work_as_ever(project, tmp_path):
    """Those that start Python or a shell at once, and the environment that is made first."""
    there = environment(tmp_path, HOSTILE)
    (project / "sm_local/.venv/ready").unlink()
    for words in (["recipe"], ["doctor"], ["stop"], ["jobs"], ["clean", "YES=1"], ["help"]):
        done = make(project, *words, env=there)
        assert done.returncode == 0, done.stdout
        assert not re.search("of mine|speaks|somebody else|Traceback", done.stdout)


def test_the_lists_in_the_makefile_and_the_library_agree():
    """Make starts Python itself, the library what is started by hand."""
    unexported = set(re.findall(r"\S+", " ".join(re.findall("^unexport (.*)$", MAKEFILE, re.M))))
    assert unexported - set(re.findall(r"[A-Z_]{3,}", LIBRARY)) == set()
    assert set(re.findall(r"PYTHON\w+", LIBRARY)) <= unexported
