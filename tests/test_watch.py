"""`make watch`: a save runs the job again; what is none does not; nothing is left, however it ends.

Needs no engine but for what is said of containers.
"""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from conftest import clean_environment, jobs, last_job, make, script
from sm_local.watch import files, notices, report
from terminal import CTRL_C, Terminal, background, eventually, processes

LINUX = pytest.mark.linux  # the sandbox
SLOW = """
def stop(*_):
    print("handler", flush=True)
    time.sleep(0.5)
    open("/opt/ml/model/end", "w").write(str(time.time()))
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
open("/opt/ml/model/begin", "w").write(str(time.time()))
print("ready", flush=True)
for _ in range(600): time.sleep(0.1)
"""


@pytest.fixture
def watched(project):
    """Return what starts `make watch` in the project; the terminals are closed at the end."""
    open_ones = []
    script(project, "print('loss=1.0;')")
    (project / "job.yaml").write_text("{}")

    def start(*arguments: str, engine: str = "sandbox") -> Terminal:
        command = ["make", "watch", f"ENGINE={engine}", *arguments]
        open_ones.append(Terminal(command, project, clean_environment()))
        return open_ones[-1]

    yield start
    for terminal in open_ones:
        if terminal.status is None:
            terminal.close()
            terminal.reap(time.monotonic() + 30)
    assert eventually(lambda: ours(project) == [])


def ours(project) -> list[int]:
    """Return the processes of a watch: make, Python, the guard, a recipe, its job."""
    return processes("watch|read -r now|recipe|train", project)


def lines(terminal: Terminal) -> list[str]:
    """Return what was said of each run, without its seconds."""
    found = re.findall(
        r"^sm-local: watch: (.* (?:in|after) .*|.* no job ran)$", terminal.text, re.M
    )
    return [re.sub(r"[\d.]+ s", "N s", line) for line in found if "; a save" not in line]


def ends(terminal: Terminal, count: int) -> list[str]:
    """Wait for the line about a run, which has the given number; return all of them."""
    terminal.wait_for(rf"(?s)(?:watch: [^\n]*(?: s(?:;[^\n]*)?|no job ran)\n.*?){{{count}}}\Z")
    return lines(terminal)


@LINUX
def test_a_save_runs_the_job_again_with_one_line_about_it(project, watched):
    terminal = watched()
    ends(terminal, 1)
    script(project, "print('loss=0.5;')")
    ends(terminal, 2)
    terminal.type(b"\n")
    assert ends(terminal, 3) == [
        "first run: Completed in N s; loss 1.0",
        "code/train.py: Completed in N s; loss 0.5 (was 1.0)",
        "Enter: Completed in N s; loss 0.5",
    ]
    assert len(jobs(project)) == 3
    terminal.type(CTRL_C)
    assert terminal.wait() in (0, 130) and ours(project) == []


# How editors save


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def renamed_over(path: Path, text: str) -> None:
    new = path.with_name(".goutputstream-X1")
    new.write_text(text)
    new.replace(path)


def with_a_backup(path: Path, text: str) -> None:
    """Save as Vim does by default."""
    path.with_name(".train.py.swp").write_text("swap")
    path.with_name("4913").write_text("")
    path.with_name("4913").unlink()
    path.rename(path.with_name("train.py~"))
    path.write_text(text)


def twice(path: Path, text: str) -> None:
    path.write_text(text)
    path.write_text(text)


def ten_times(path: Path, text: str) -> None:
    for number in range(10):
        path.write_text(text if number == 9 else f"# {number}\n")


def removed_and_made(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def as_a_whole_folder(path: Path, text: str) -> None:
    """Change branches as git may do it."""
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    path.write_text(text)


@LINUX
def test_whatever_way_an_editor_saves_there_is_one_run(project, watched):
    terminal = watched()
    ends(terminal, 1)
    saves = [in_place, renamed_over, with_a_backup, twice, ten_times, removed_and_made]
    for number, save in enumerate([*saves, as_a_whole_folder], 2):
        save(project / "code/train.py", f"print('loss={number}.0;')\n")
        said = f"Completed in N s; loss {number}.0 (was {number - 1}.0)"
        assert ends(terminal, number)[-1].endswith(said), save
    assert eventually(lambda: len(jobs(project)) == 5)  # and KEEP is 5
    assert len(lines(terminal)) == 8


@LINUX
def test_what_changes_nothing_runs_nothing(project, watched):
    terminal, code = watched(), project / "code"
    ends(terminal, 1)
    os.utime(code / "train.py")
    (code / "train.py").write_text((code / "train.py").read_text())
    for name in (".train.py.swp", "train.py~", ".#train.py", "a.pyc", ".DS_Store"):
        (code / name).write_text("x")
    (code / "__pycache__").mkdir()
    (code / "__pycache__/train.cpython-311.pyc").write_text("x")
    (project / "output/file").write_text("x")
    (project / "data").mkdir()
    time.sleep(0.5)  # each is looked at by itself, and not together with what follows
    (code / "new/deeper").mkdir(parents=True)
    (code / "new/deeper/module.py").write_text("x = 1\n")
    assert ends(terminal, 2)[1].startswith("code/new/deeper/module.py: Completed")
    (code / "new/deeper/module.py").write_text("x = 2\n")
    assert len(ends(terminal, 3)) == len(jobs(project)) == 3


@LINUX
def test_what_a_job_is_made_from_counts(project, watched):
    terminal = watched()
    ends(terminal, 1)
    hyperparameters = "opt/ml/input/config/hyperparameters.json"
    names = ["job.yaml", "settings.env", "settings.local.env", hyperparameters]
    for number, name in enumerate(names, 2):
        with open(project / name, "a") as file:
            file.write("\n")
        assert ends(terminal, number)[-1].startswith(f"{name}: Completed")


@LINUX
def test_errors_are_waited_out(project, watched):
    terminal = watched()
    ends(terminal, 1)
    (project / "code/train.py").write_text("def (:\n")
    ends(terminal, 2)
    (project / "settings.local.env").write_text("SHM=much\n")
    ends(terminal, 3)
    (project / "settings.local.env").unlink()
    ends(terminal, 4)
    script(project, "print('loss=2')")
    assert ends(terminal, 5)[1:] == [
        "code/train.py: Failed after N s",
        "settings.local.env: no job ran",
        "settings.local.env: Failed after N s",
        "code/train.py: Completed in N s; loss 2 (was 1.0)",
    ]
    terminal.type(CTRL_C)
    assert terminal.wait() in (0, 130) and ours(project) == []


# A job that runs


@pytest.mark.parametrize("engine", ["docker", "podman", "sandbox"])
@pytest.mark.usefixtures("image_if_docker")
def test_a_running_job_has_ended_before_the_next_one_starts(project, watched, engine):
    script(project, SLOW)
    terminal = watched(engine=engine)
    terminal.wait_for("ready")
    script(project, SLOW + "#")
    terminal.wait_for("handler(.|\n)*ready")
    first, second = jobs(project)
    assert (first / "status").read_text().startswith("Stopped ")
    assert (first / "model.tar.gz").exists()
    assert float((first / "model/end").read_text()) < float((second / "model/begin").read_text())
    terminal.type(CTRL_C)
    said = ends(terminal, 2)
    assert said == ["first run: Stopped after N s", "code/train.py: Stopped after N s"]
    script(project, "print('last')")
    assert ends(terminal, 3)[2] == "code/train.py: Completed in N s"


@LINUX
def test_a_job_whose_recipe_is_killed_has_ended_before_the_next_one_starts(project, watched):
    script(project, SLOW)
    terminal = watched()
    terminal.wait_for("ready")
    (job,) = jobs(project)
    os.kill(int((job / "record/recipe").read_text().split()[0]), signal.SIGKILL)
    assert ends(terminal, 1) == ["first run: Abandoned after N s"]
    assert (job / "model/end").exists()
    script(project, "print('last')")
    assert ends(terminal, 2)[1] == "code/train.py: Completed in N s"


@LINUX
def test_a_second_ctrl_c_kills(project, watched):
    script(project, "print('ready', flush=True); time.sleep(60)")
    terminal = watched("INTERRUPT_GRACE=60")
    terminal.wait_for("ready")
    terminal.type(CTRL_C)
    terminal.wait_for("SIGKILL in 60 s")
    time.sleep(0.3)  # Bash drops a signal that comes while the trap of the same one still runs
    terminal.type(CTRL_C)
    assert ends(terminal, 1) == ["first run: Stopped after N s"]


def close(terminal: Terminal, project) -> None:
    terminal.close()


def end(terminal: Terminal, project) -> None:
    os.kill(terminal.pid, signal.SIGTERM)


def kill_make(terminal: Terminal, project) -> None:
    os.kill(terminal.pid, signal.SIGKILL)


def kill_python(terminal: Terminal, project) -> None:
    for process in processes("sm_local watch", project):
        os.kill(process, signal.SIGKILL)


@LINUX
@pytest.mark.parametrize("how", [close, end, kill_make, kill_python])
def test_nothing_runs_on_whoever_is_ended(project, watched, how):
    script(project, SLOW)
    terminal = watched()
    terminal.wait_for("ready")
    how(terminal, project)
    assert eventually(lambda: ours(project) == [])
    assert (last_job(project) / "status").read_text().startswith("Stopped ")
    assert (last_job(project) / "model/end").exists()
    terminal.reap(time.monotonic() + 30)


@LINUX
def test_a_terminal_that_was_closed_before_it_began_is_told_from_none(project):
    closed = "while true < /dev/tty; do sleep 0.1; done"
    command = f"trap : HUP; echo up; {closed}; exec make watch ENGINE=sandbox"
    terminal = Terminal(["sh", "-c", command], project, clean_environment())
    terminal.wait_for("up")
    terminal.close()
    terminal.reap(time.monotonic() + 30)
    assert ours(project) == []


@LINUX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_without_a_terminal_it_ends_with_its_make(project, watched, number):
    script(project, SLOW)
    process = background(["make", "watch", "ENGINE=sandbox"], project, start_new_session=True)
    while process.stdout.readline() != "ready\n":
        assert process.poll() is None
    process.send_signal(number)
    process.communicate(timeout=30)
    assert eventually(lambda: ours(project) == [])


# What is typed, and what is kept


@LINUX
def test_what_is_typed_reaches_every_run(project, watched):
    script(project, "print(sys.argv[1:])")
    terminal = watched("HP=a='$$HOME $x' b=2", "KEEP=2")
    ends(terminal, 1)
    kept = jobs(project)
    for number in (2, 3):
        terminal.type(b"\n")
        ends(terminal, number)
    assert terminal.text.count("['-a', '$$HOME $x', '-b', '2', ") == 3
    assert eventually(lambda: len(jobs(project)) == 2) and kept[0] not in jobs(project)


@LINUX
def test_only_its_own_jobs_go(project, watched):
    make(project, "train", "ENGINE=sandbox")
    terminal = watched("KEEP=1")
    ends(terminal, 1)
    make(project, "train", "ENGINE=sandbox")
    before = set(jobs(project))
    terminal.type(b"\n")
    ends(terminal, 2)
    assert eventually(lambda: len(before - set(jobs(project))) == 1) and len(jobs(project)) == 3


@LINUX
def test_another_verb(project, watched):
    (project / "code/process.py").write_text("print('rows=3')")
    terminal = watched("VERB=process")
    ends(terminal, 1)
    (project / "processing.yaml").open("a").write("\n")
    assert ends(terminal, 2) == [
        "first run: Completed in N s; rows 3",
        "processing.yaml: Completed in N s; rows 3",
    ]


def test_a_verb_that_runs_no_job_is_one_line(project):
    done = make(project, "watch", "VERB=shell")
    assert done.stdout.startswith("sm-local: VERB=shell: watch runs train or process\n")


@LINUX
def test_metrics_are_those_of_the_request(project, watched):
    definitions = [{"Name": "val:loss", "Regex": r"loss is (\S+)"}, {"Name": "no", "Regex": "x"}]
    request = {"AlgorithmSpecification": {"MetricDefinitions": definitions}}
    (project / "job.yaml").write_text(str(request))
    script(project, "print('loss is 3'); print('loss is 2'); print('acc=1')")
    terminal = watched()
    assert ends(terminal, 1) == ["first run: Completed in N s; val:loss 2"]


# container/


@LINUX
def test_in_the_sandbox_the_container_folder_counts_as_code(project, watched):
    terminal = watched()
    ends(terminal, 1)
    (project / "container/toolkit.py").open("a").write("\n")
    assert ends(terminal, 2)[1].startswith("container/toolkit.py: Completed")


@pytest.mark.engine
@pytest.mark.usefixtures("built")
def test_a_change_of_the_image_is_told_or_built(project, watched):
    terminal = watched(engine="docker")
    ends(terminal, 1)
    (project / "container/Dockerfile").open("a").write("\n")
    terminal.wait_for("container/Dockerfile changed; run 'make build', then press Enter here")
    terminal.type(CTRL_C)
    terminal.wait()
    terminal = watched("BUILD=1", f"IMAGE=localhost/{project.name}-other:1", engine="docker")
    terminal.wait_for("no job ran")
    (project / "container/Dockerfile").open("a").write("RUN false\n")
    ends(terminal, 2)
    (project / "container/Dockerfile").open("a").write("# RUN false\n")
    assert "no job ran" in ends(terminal, 3)[2]


# Where there is no inotify


@LINUX
def test_a_folder_that_others_write_is_looked_at(project, watched):
    """ramfs stands for a file system of which this machine does not see all changes."""
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    command = "mount -t ramfs none code; cp -r data/. code; exec make watch ENGINE=sandbox"
    shutil.copytree(project / "code", project / "data")
    terminal = Terminal(
        ["unshare", *user, "--mount", "sh", "-c", command], project, clean_environment()
    )
    ends(terminal, 1)
    code = Path(f"/proc/{terminal.pid}/root{project}/code")
    (code / "train.py").write_text("print('loss=0.5;')")
    assert ends(terminal, 2)[1] == "code/train.py: Completed in N s; loss 0.5 (was 1.0)"
    terminal.type(CTRL_C)
    terminal.wait()


def test_the_file_system_of_a_folder():
    mounts = (
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:5 / /mnt/c rw shared:1 - 9p C: rw\n"
        "3 1 0:6 / /home/a\\040b rw - nfs4 host:/b rw\n"
    )
    assert [
        notices.file_system(folder, mounts)
        for folder in ("/", "/mnt/c/x", "/mnt/cc", "/home/a b", "/home/a b/c")
    ] == ["ext4", "9p", "ext4", "nfs4", "nfs4"]


# The words


def test_changes_are_new_gone_and_different_files():
    assert files.changes({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == [
        *("b", "c", "d")
    ]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d"], "a, b and 2 more files"),
    ],
)
def test_files_are_named_in_a_few_words(names, words):
    assert report.named(names) == words


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("epoch=1; train_loss=0.66; acc: .5", {"epoch": "1", "train_loss": "0.66", "acc": ".5"}),
        ("{'loss': 1e-3, 'epoch': 2.0}", {"loss": "1e-3", "epoch": "2.0"}),
        ("12:30:45 at localhost:8080 v=1.2.3 size=3MB time=12:30", {}),
        ("saved to x=/tmp", {}),
    ],
)
def test_pairs_are_numbers_with_names(line, found):
    assert report.pairs(["loss=9", line] if found else [line]) == found
