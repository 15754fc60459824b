"""Each job runs its own copy of code/ and changes nothing of yours; what comes back is data."""

import os
import re
import stat
from pathlib import Path

import pytest
from conftest import TEMPLATE, clean_environment, jobs, last_job, make, script
from terminal import background
from test_ownership import hand_over, run
from test_shell import typed

pytestmark = pytest.mark.linux
EVIL = """
import pathlib, shutil, socket
code = pathlib.Path("/opt/ml/code")
(code / "train.py").write_text("raise SystemExit(1)")
(code / ".git").mkdir()
(code / ".git/config").write_text("[core]\\nfsmonitor = touch /tmp/evil")
(code / "deep/kept").unlink()
shutil.rmtree(code / "deep")
os.rename(code / "util.py", code / "sitecustomize.py")
open("/opt/ml/model/seen", "w").write(" ".join(sorted(map(str, code.rglob("*")))))
"""


@pytest.fixture(
    params=[
        "sandbox",
        pytest.param("docker", marks=pytest.mark.engine),
        pytest.param("podman", marks=pytest.mark.engine),
    ]
)
def engine(request) -> list[str]:
    """Return what is written behind `make train`, with an image where the engine needs one."""
    image = []
    if request.param == "docker":
        request.getfixturevalue("built")
    if request.param == "podman":
        image = [f"IMAGE={request.getfixturevalue('in_podman')}"]
    return [f"ENGINE={request.param}", *image]


def contents(folder: Path) -> dict[str, str]:
    """Return the files below a folder: name, text."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_job_changes_nothing_of_code(engine, project):
    script(project, EVIL)
    (project / "code/util.py").write_text("x = 1\n")
    (project / "code/deep").mkdir()
    (project / "code/deep/kept").write_text("kept")
    before = contents(project / "code")
    done = make(project, "train", *engine)
    assert done.returncode == 0, done.stdout
    job = last_job(project)
    assert "sitecustomize.py" in (job / "model/seen").read_text()
    assert contents(project / "code") == before
    assert contents(job / "code") == before  # the record of what ran
    assert not (job / "cow").exists()


def test_an_edit_counts_from_the_next_job_on(engine, project):
    script(
        project,
        """
import pathlib
print("runs", flush=True)
while not os.path.exists("/opt/ml/checkpoints/go"): time.sleep(0.01)
pathlib.Path("/opt/ml/model/seen").write_text(pathlib.Path("/opt/ml/code/word").read_text())
""",
    )
    (project / "code/word").write_text("old")
    make(project, "recipe", *engine)
    job = background(["bash", "recipes/train.sh"], project, stderr=None)
    assert job.stdout.readline() == "runs\n"
    edited = project / "code/.word.swp"  # as editors save: a new file in the old one's place
    edited.write_text("new")
    edited.rename(project / "code/word")
    (project / "opt/ml/checkpoints/go").write_text("")
    assert job.wait(timeout=60) == 0
    first = last_job(project)
    assert (first / "model/seen").read_text() == (first / "code/word").read_text() == "old"
    assert make(project, "train", *engine).returncode == 0
    second = last_job(project)
    assert (second / "model/seen").read_text() == (second / "code/word").read_text() == "new"


def test_what_no_job_runs_is_left_out_of_the_copy(project):
    code = project / "code"
    for name in (".git/HEAD", "__pycache__/a.pyc", ".mypy_cache/x", "env/pyvenv.cfg", "env/lib/x"):
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text("")
    (code / ".hidden").write_text("")
    (code / "link").symlink_to("train.py")
    (code / "gone").symlink_to("nowhere")
    script(project, "print(sorted(os.listdir('/opt/ml/code')))")
    done = make(project, "train", "ENGINE=sandbox")
    expected = [".hidden", "gone", "link", "process.py", "train.py"]
    assert f"{expected}\n" in done.stdout, done.stdout
    copy = last_job(project) / "code"
    assert sorted(os.listdir(copy)) == expected and (copy / "link").is_symlink()


def test_a_folder_without_code_is_a_copy_without_code(project):
    (project / "code/train.py").unlink()
    done = make(project, "train", "ENGINE=sandbox")
    assert "train: /opt/ml/code/train.py is missing; " in done.stdout


def test_a_sandbox_that_cannot_overlay_copies_once_more(project, tmp_path):
    script(project, EVIL)
    (project / "code/util.py").write_text("")
    (project / "code/deep").mkdir()
    (project / "code/deep/kept").write_text("kept")
    mount = tmp_path / "bin/mount"
    mount.parent.mkdir()
    mount.write_text('#!/bin/sh\ncase "$*" in *overlay*) exit 32 ;; esac\nexec /bin/mount "$@"\n')
    mount.chmod(0o755)
    env = clean_environment(PATH=f"{mount.parent}:{os.environ['PATH']}")
    done = make(project, "train", "ENGINE=sandbox", env=env)
    assert done.returncode == 0 and "channel training is read-only" in done.stdout, done.stdout
    assert "sitecustomize.py" in (last_job(project) / "model/seen").read_text()
    assert (project / "code/deep/kept").exists()


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b"])
def test_a_path_that_not_every_engine_can_overlay(engine, project, tmp_path, name):
    project = project.rename(tmp_path / name)
    script(project, "open('/opt/ml/code/new', 'w')")
    done = make(project, "train", *engine)
    assert done.returncode == 0, done.stdout
    assert not (project / "code/new").exists()


def test_a_large_folder_is_not_copied(engine, project):
    script(project, EVIL)
    (project / "code/util.py").write_text("x = 1\n")
    (project / "code/deep").mkdir()
    (project / "code/deep/kept").write_text("kept")
    (project / "code/data").write_bytes(b"0" * (65 << 20))
    done = make(project, "train", *engine)
    assert done.returncode == 0, done.stdout
    said = r"sm-local: code/ has 65 MB, and is not copied for each job: this one sees what you edit"
    assert re.search(said, done.stdout)
    assert os.listdir(last_job(project) / "code") == []
    assert (project / "code/deep/kept").read_text() == "kept"
    names = ["data", "deep", "process.py", "train.py", "util.py"]
    assert sorted(os.listdir(project / "code")) == names


def test_a_large_folder_is_read_only_where_nothing_overlays_it(project):
    """Docker Desktop's side of it, tried in the sandbox."""
    recipe = (TEMPLATE / "../tests/recipes/train-desktop-dlc.sh").read_text()
    assert "show_code /opt/ml/code copy readonly\n" in recipe
    (project / "code/data").write_bytes(b"0" * (65 << 20))
    script(project, "open('/opt/ml/code/new', 'w')")
    make(project, "recipe", "ENGINE=sandbox")
    path = project / "recipes/train.sh"
    text = path.read_text().replace("/opt/ml/code cow cow", "/opt/ml/code copy readonly")
    path.unlink()
    path.write_text(text)
    job = background(["bash", "recipes/train.sh"], project)
    assert "Read-only file system: '/opt/ml/code/new'" in job.communicate(timeout=60)[0]
    assert not (project / "code/new").exists()


@pytest.mark.engine
@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("name", ["docker", "sandbox"])
def test_a_shell_has_code_itself(project, name):
    """Both sides see what the other one saves, however it is saved."""
    make(project, "recipe", "VERB=shell", f"ENGINE={name}")
    (project / "code/word").write_text("old")
    done = typed(
        project,
        "cd /opt/ml/code; cat word; echo new > .swp; mv .swp word",
    )
    assert (done.stdout, (project / "code/word").read_text()) == ("old", "new\n"), done.stderr


ARMED = """
import pathlib, shutil, socket, stat
for folder in ("model", "output/data", "checkpoints"):
    here = pathlib.Path("/opt/ml", folder)
    for mode in (0o4755, 0o2755, 0o6755):
        shutil.copy("/bin/sleep", here / oct(mode))
        os.chmod(here / oct(mode), mode)
    shutil.copy("/bin/sleep", here / "able")
    if os.getuid() == 0:
        value = bytes.fromhex("0100000200200000000000000000000000000000")
        try: os.setxattr(here / "able", "security.capability", value)
        except PermissionError: print("no capabilities here")
        try: os.mknod(here / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError: print("no devices here")
    socket.socket(socket.AF_UNIX).bind(str(here / "socket"))
    (here / "plain").write_text("x")
os.mkfifo("/opt/ml/model/fifo")
"""


def armed(project) -> list[str]:
    """Return what another's rights, a device or a socket is in what a job left."""
    found = []
    for folder in (last_job(project), project / "opt/ml/checkpoints"):
        for path in folder.rglob("*"):
            mode = path.lstat().st_mode
            able = stat.S_ISREG(mode) and "security.capability" in os.listxattr(path)
            kinds = stat.S_ISSOCK(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
            if able or kinds or (mode & 0o6000 and not stat.S_ISDIR(mode)):
                found.append(str(path))
    return found


def test_what_comes_back_is_data(engine, project):
    script(project, ARMED)
    mine = project / "opt/ml/checkpoints/mine"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("")
    mine.chmod(0o4755)  # before the job, so it is not the job's
    done = make(project, "train", *engine)
    assert done.returncode == 0, done.stdout
    assert armed(project) == [str(mine)]
    named = rf"sm-local: removed what is no data: output/{last_job(project).name}/\S+ .* and more\n"
    assert re.search(named, done.stdout)
    assert (last_job(project) / "model/fifo").is_fifo()
    assert (project / "opt/ml/checkpoints/plain").read_text() == "x"


@pytest.mark.engine
def test_what_comes_back_to_an_unprivileged_caller_is_data(built, project):
    script(project, ARMED)
    hand_over(project)
    done = run(project)
    assert done.returncode == 0, done.stdout
    assert armed(project) == []


def test_others_cannot_look_into_a_job_s_folder_while_it_runs(engine, project):
    script(
        project,
        """
print("runs", flush=True)
while not os.path.exists("/opt/ml/checkpoints/go"): time.sleep(0.01)
""",
    )
    make(project, "recipe", *engine)
    job = background(["bash", "recipes/train.sh"], project, stderr=None)
    assert job.stdout.readline() == "runs\n"
    (folder,) = jobs(project)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (project / "opt/ml/checkpoints/go").write_text("")
    assert job.wait(timeout=60) == 0
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 | (0o755 & ~umask)


@pytest.mark.parametrize(("name", "status"), [("INT", 130), ("TERM", 143), ("HUP", 129)])
def test_a_signal_while_code_is_copied_is_not_lost(project, tmp_path, name, status):
    """Bash drops Ctrl-C when the program that runs at that moment ends as usual."""
    make(project, "recipe", "ENGINE=sandbox")
    copy = tmp_path / "bin/cp"
    copy.parent.mkdir()
    copy.write_text(f'#!/bin/sh\nkill -{name} $PPID\nexec /bin/cp "$@"\n')
    copy.chmod(0o755)
    env = clean_environment(PATH=f"{copy.parent}:{os.environ['PATH']}")
    job = background(["bash", "recipes/train.sh"], project, env=env)
    assert job.wait(timeout=60) == status
    assert jobs(project) == []
