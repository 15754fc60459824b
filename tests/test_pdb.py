"""`make train PDB=1`: breakpoint() and errors stop at the terminal; the rest is as without."""

import os
import signal
import time

import pytest
from conftest import clean_environment, containers, jobs, last_job, make, script
from terminal import CTRL_C, Terminal, eventually, processes
from test_reopen import shell

ENGINES = ["docker", "sandbox"]
RAISES = """
def inner(x):
    y = x * 2
    open("/opt/ml/model/m", "w").write("m")
    raise ValueError(f"bad {y}")
inner(21)
"""
pytestmark = [pytest.mark.linux, pytest.mark.engine, pytest.mark.usefixtures("built")]


@pytest.fixture
def at_terminal(project):
    """Return what starts a job at a terminal; at the end nothing of it is left."""
    open_ones = []

    def start(engine: str, *arguments: str) -> Terminal:
        command = [
            "make",
            *(arguments or ["train"]),
            "PDB=1",
            f"ENGINE={engine}",
            "INTERRUPT_GRACE=1",
        ]
        open_ones.append(Terminal(command, project, clean_environment()))
        return open_ones[-1]

    yield start
    for terminal in open_ones:
        if terminal.status is None:
            terminal.close()
            terminal.reap(time.monotonic() + 40)
    assert eventually(lambda: processes("recipe|train|terminal.py", project) == [])


def answers(terminal: Terminal, typed: str, answer: str) -> None:
    """Type a line at pdb's prompt and wait for what it answers."""
    terminal.wait_for(r"\(Pdb\) \Z")
    terminal.type(f"{typed}\n".encode())
    terminal.wait_for(rf"(?s)\(Pdb\) {typed}\n{answer}")


@pytest.mark.parametrize("engine", ENGINES)
def test_an_error_stops_in_the_frame_that_raised_it(project, at_terminal, engine):
    script(project, RAISES)
    terminal = at_terminal(engine)
    answers(terminal, "p y", "42\n")
    answers(terminal, "up", r"> /opt/ml/code/train.py\(7\)<module>")
    answers(terminal, "q", "sm-local: Failed")
    assert terminal.wait() == 2
    job = last_job(project)
    assert (job / "exit-code").read_text() == "1\n" and (job / "model.tar.gz").exists()
    assert (job / "status").read_text().startswith("Failed ")
    assert "AlgorithmError: ValueError: bad 42\n  at /opt/ml/code/train.py:6 in inner" in (
        terminal.text
    )
    assert "code/train.py:6: ValueError: bad 42\n" in terminal.text
    log = (job / "log").read_bytes().decode()
    assert "ValueError: bad 42\n> /opt/ml/code/train.py(6)inner()" in log
    assert "(Pdb) p y\n42\n" in log and "\r" not in log
    done = shell(project, "cat /opt/ml/model/m\n", "last")
    assert done.stdout == "m", done.stderr


def test_a_breakpoint_stops_and_the_job_goes_on(project, at_terminal):
    script(
        project,
        "x = 20; print('epochs', sys.argv.count('--epochs'))\n"
        "breakpoint()\n"
        "open('/opt/ml/model/m', 'w').write(str(x))",
    )
    terminal = at_terminal("sandbox")
    answers(terminal, "!x = 22", "")
    answers(terminal, "c", "(.*\n)?sm-local: Completed")
    assert terminal.wait() == 0
    assert (last_job(project) / "model/m").read_text() == "22"
    assert (last_job(project) / "log").read_text().startswith("epochs 1\n")


def test_who_quits_is_told_nothing_new(project, at_terminal):
    script(project, "breakpoint()\nprint('on')")
    terminal = at_terminal("sandbox")
    answers(terminal, "q", "(.*\n)*sm-local: Failed")
    assert terminal.wait() == 2
    assert terminal.text.count("(Pdb)") == 1 and "no terminal" not in terminal.text


@pytest.mark.parametrize("engine", ENGINES)
def test_ctrl_c_is_for_the_script(project, at_terminal, engine):
    script(project, "print('ready', flush=True)\nfor _ in range(600): time.sleep(0.1)")
    terminal = at_terminal(engine)
    terminal.wait_for("ready")
    terminal.type(CTRL_C)
    terminal.wait_for("(?s)KeyboardInterrupt.*sm-local: Failed")
    assert terminal.wait() == 2 and "(Pdb)" not in terminal.text


@pytest.mark.parametrize("engine", ENGINES)
def test_closing_the_terminal_at_a_breakpoint_stops_the_job(project, at_terminal, engine):
    script(
        project,
        "signal.signal(signal.SIGTERM, lambda *_: (open('/opt/ml/model/m', 'w'), sys.exit(0)))\n"
        "breakpoint()",
    )
    terminal = at_terminal(engine)
    terminal.wait_for(r"\(Pdb\) ")
    terminal.close()
    assert eventually(lambda: (last_job(project) / "status").read_text().startswith("Stopped "))
    terminal.reap(time.monotonic() + 40)


def test_make_stop_ends_a_job_at_a_prompt(project, at_terminal):
    script(project, "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n" + RAISES)
    terminal = at_terminal("docker")
    terminal.wait_for(r"\(Pdb\) ")
    make(project, "stop")
    terminal.wait_for("sm-local: Stopped")
    terminal.wait()
    assert (last_job(project) / "model.tar.gz").exists()


def test_without_a_terminal_it_is_refused_and_nothing_is_made(project):
    done = make(project, "train", "PDB=1", "ENGINE=sandbox")
    assert done.returncode == 2 and done.stdout.splitlines()[0] == (
        "sm-local: PDB=1 needs a terminal, where pdb is typed into; without one leave it out, "
        "or use 'make debug'"
    )
    assert jobs(project) == []


def test_a_breakpoint_without_a_terminal_does_not_wait_and_says_what_stops(project):
    script(project, "breakpoint()")
    done = make(project, "train", "ENGINE=sandbox")
    assert done.returncode == 2 and done.stdout.splitlines()[-2] == (
        "sm-local: a job has no terminal for breakpoint(), here or on SageMaker: "
        "'make train PDB=1' stops there at yours, 'make debug' in an editor"
    )


def test_several_hosts_are_refused(project):
    (project / "two.yaml").write_text(
        "ResourceConfig: {InstanceType: ml.m5.xlarge, InstanceCount: 2}\n"
    )
    done = make(project, "train", "PDB=1", "JOB=two.yaml", "ENGINE=sandbox")
    assert done.stdout.startswith(
        "sm-local: PDB=1 is for one host, and two.yaml asks for 2: use InstanceCount: 1, "
        "or 'make debug', where each host has a port\n"
    )


def test_a_job_s_own_python_path_and_sitecustomize_count(project, at_terminal):
    (project / "job.yaml").write_text("Environment: {PYTHONPATH: /opt/ml/code/more}\n")
    (project / "code/more").mkdir()
    (project / "code/more/sitecustomize.py").write_text("import sys; sys.more = 'ran'\n")
    script(project, "print('more', sys.more)\nraise ValueError")
    terminal = at_terminal("sandbox")
    answers(terminal, "q", "sm-local: Failed")
    assert terminal.wait() == 2 and "more ran\n" in terminal.text


def test_another_verb_is_at_the_terminal_too(project, at_terminal):
    (project / "code/process.py").write_text("rows = 3\nbreakpoint()\n")
    terminal = at_terminal("sandbox", "process")
    answers(terminal, "p rows", "3\n")
    answers(terminal, "c", "(.*\n)?sm-local: Completed")
    assert terminal.wait() == 0


def test_nothing_is_left_of_a_job_whose_client_is_killed(project, at_terminal, docker):
    script(project, "breakpoint()")
    terminal = at_terminal("docker")
    terminal.wait_for(r"\(Pdb\) ")
    for process in processes("docker run", project):
        os.kill(process, signal.SIGKILL)
    terminal.wait()
    assert eventually(lambda: containers(docker, project) == [])


def test_a_shell_has_it_too(project, at_terminal):
    script(project, RAISES)
    terminal = at_terminal("docker", "shell")
    terminal.wait_for("# $")
    terminal.type(b"train\n")
    answers(terminal, "p y", "42\n")
    answers(terminal, "q", ".*# $")
    terminal.type(b"exit\n")
    terminal.wait()
