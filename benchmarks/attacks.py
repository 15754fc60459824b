"""The faults: what is done to a job, when, and which end is right.

Each row of the table at the end says in `why` the reason for its `right`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import inquest
from arena import Engine
from terminal import CTRL_C, Terminal
from trial import (
    END,
    MIDDLE,
    MOMENTS,
    PATIENCE,
    START,
    End,
    Trial,
    enlarge,
    mount_small,
)

IMAGES = ("docker", "docker-user", "podman")
DOCKER = ("docker", "docker-user")
SANDBOX = ("sandbox", "sandbox-user")
ALL = (*IMAGES, *SANDBOX)
SHORT = ("docker", "sandbox")
RUNNING = (START, MIDDLE)


def nothing(trial: Trial) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Row:
    """A fault."""

    name: str
    attack: Callable[[Trial], None]
    right: tuple[End, ...]  # () where the attack itself judges
    why: str
    engines: tuple[str, ...] = ALL
    moments: tuple[str, ...] = MOMENTS
    leader: bool = False  # make is the leader of the terminal's session, as in an IDE's task
    door: str = ""  # make or recipe; '': in turn
    hosts: int = 1
    killed: bool = False  # nobody was left to pack
    late: tuple[int, ...] = ()  # exit statuses that are right, too, when the job itself has ended
    deaf: bool = False  # nobody was left who could have kept the log
    body: str = ""  # of the job's script
    blob: int = 8_000_000  # bytes that take gzip a moment
    afterwards: Callable[[Trial], None] = nothing
    as_root: bool = False
    needs: str = ""  # a program
    mortal: bool = False  # the engine dies of it
    quick: tuple[str, ...] = ()  # where it is in the short form


# Signals and terminals


def at_its_moment(what: Callable[[Trial], None]) -> Callable[[Trial], None]:
    """Return an attack: start the job, let it reach the moment, do something."""

    def attack(trial: Trial) -> None:
        trial.start()
        trial.until(lambda: top(trial))
        trial.reach(trial.moment)
        if not trial.over():
            what(trial)

    return attack


def type_ctrl_c(trial: Trial) -> None:
    """Type Ctrl-C."""
    assert trial.terminal
    with contextlib.suppress(OSError):
        trial.terminal.type(CTRL_C)


def type_it_twice(trial: Trial) -> None:
    """Type Ctrl-C, and again soon."""
    type_ctrl_c(trial)
    pause = time.monotonic() + trial.random.uniform(0.02, 0.6)
    while time.monotonic() < pause and not trial.over():
        trial.listen(0.005)
    if not trial.over():
        type_ctrl_c(trial)


def foreground(trial: Trial) -> list[int]:
    """Return make and all it has started in the terminal's process group."""
    assert trial.terminal
    return [pid for pid in trial.processes() if group_of(pid) == trial.terminal.pid]


def group_of(pid: int) -> int:
    """Return a process's group; 0 if it has ended."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def top(trial: Trial) -> list[int]:
    """Return make, or the recipe where make is not in it."""
    words = ["make train"] if trial.by_make else ["recipes/train.sh"]
    found = [pid for pid in trial.processes(*words) if pid != trial.terminal.pid]
    if trial.row.leader:
        found = [trial.terminal.pid]
    return found[:1]


def term_to_make(trial: Trial) -> None:
    """Send SIGTERM to make, as a supervisor does."""
    trial.kill(*top(trial), number=signal.SIGTERM)


def hup_to_the_group(trial: Trial) -> None:
    """Send SIGHUP to the whole group at once, which Make must not outrun."""
    assert trial.terminal
    trial.result.missed = not foreground(trial)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(trial.terminal.pid, signal.SIGHUP)


def close_terminal(trial: Trial) -> None:
    """Close the terminal's window."""
    assert trial.terminal
    trial.said += trial.terminal.text
    trial.terminal.text = ""
    trial.terminal.close()
    trial.terminal.fd = os.open(os.devnull, os.O_RDONLY)


# Kills


def kill_recipe(trial: Trial) -> None:
    """Kill the recipe's process."""
    trial.kill(trial.recipe())


def kill_make(trial: Trial) -> None:
    """Kill make."""
    trial.kill(*top(trial))


def kill_client(trial: Trial) -> None:
    """Kill the command that runs the container; in the sandbox, that which made it."""
    if trial.engine.kind == "sandbox":
        trial.kill(*trial.processes("recipe.sh inside"))
    else:
        trial.kill(*trial.processes(f"{trial.engine.kind} run", "--cidfile"))


def kill_helpers_client(trial: Trial) -> None:
    """Kill the client of the container that hands files back."""
    trial.kill(*trial.processes("docker run", "sm-local.helper"))


def remove_helper(trial: Trial) -> None:
    """Remove that container."""
    assert trial.job
    name = f"label=sm-local.helper={trial.job.name}"
    for one in trial.engine.told("ps", "--all", "--quiet", "--filter", name).split():
        trial.engine.told("rm", "--force", one)


def first_process(trial: Trial, container: str) -> int:
    """Return process 1 of a container, as this machine sees it."""
    if trial.engine.kind == "sandbox":
        return int(container)
    text = trial.engine.told("inspect", "--format", "{{.State.Pid}}", container).strip()
    return int(text or 0)


def kill_first_process(trial: Trial) -> None:
    """Kill the job's own process."""
    for container in trial.containers()[-1:]:
        trial.kill(first_process(trial, container))


def on_container(*words: str) -> Callable[[Trial], None]:
    """Return what tells the engine to do something to the container."""

    def act(trial: Trial) -> None:
        for container in trial.containers()[-1:]:
            trial.engine.told(*words, container)

    return act


def kill_everything(trial: Trial) -> None:
    """Kill all processes of the project on this side, as a machine's memory killer may."""
    found = inquest.of_project(trial.project).items()
    pids = [pid for pid, line in found if "/conmon " not in line]  # is Podman's own
    if trial.engine.kind == "sandbox":
        pids += inquest.inside(trial.project)
    trial.kill(*pids)


def engine_dies(number: int) -> Callable[[Trial], None]:
    """Return what ends the engine."""

    def act(trial: Trial) -> None:
        trial.arena.mortal_engine.kill(number)

    return act


def engine_is_back(trial: Trial) -> None:
    """Start the engine again."""
    trial.arena.mortal_engine.start()


# Disks


def disk(megabytes: int) -> Callable[[Trial], None]:
    """Return an attack: run the job with so little disk under output/."""

    def attack(trial: Trial) -> None:
        mount_small(trial, megabytes)
        trial.start()
        trial.tell_to_end()

    return attack


def no_disk(trial: Trial) -> None:
    """Run the job on a disk that is full but for some kilobytes."""
    mount_small(trial, 4)
    room = trial.random.choice([0, 4, 8, 16, 32]) * 1024
    with open(trial.project / "output/filler", "wb", buffering=0) as filler:
        with contextlib.suppress(OSError):
            while filler.write(bytes(4096)):
                pass
        filler.truncate(filler.tell() - room)
    trial.start()
    trial.tell_to_end()


def unwritable(trial: Trial) -> None:
    """Take the right to write into output/."""
    (trial.project / "output").chmod(0o555)
    trial.start()


def writable_again(trial: Trial) -> None:
    """Give it back; what was said must not send anybody to `make chown`."""
    (trial.project / "output").chmod(0o755)
    if "make chown" in trial.said:
        trial.result.wrong.append("advises 'make chown', which does not change a mode")


FILLS = """
try:
    for number in range(10_000):
        with open(f"/opt/ml/model/big-{number}", "wb") as file: file.write(os.urandom(1_000_000))
except OSError:
    print("full", flush=True); sys.exit(3)
"""
TALKS = """
for number in range(600):
    print("x" * 10_000, flush=True)
    say()
    note()
"""

# Others at the same time


def reader_goes(trial: Trial) -> None:
    """Pipe make into a reader that leaves."""
    words = ["bash", "-c", 'set -o pipefail; "$@" | head -1', "bash", *trial.engine.prefix]
    command = [*words, "make", "train", *trial.engine.words]
    environment = trial.arena.environment(trial.engine)
    trial.terminal = Terminal(command, trial.project, environment)
    trial.reach(MIDDLE)
    trial.tell_to_end()


def another_train(trial: Trial) -> None:
    """Call make twice at once, with no recipe written yet."""
    shutil.rmtree(trial.project / "recipes" / ".kept")
    command = ["make", "train", *trial.engine.words]
    first, second = (
        Terminal(
            [*trial.engine.prefix, *command],
            trial.project,
            trial.arena.environment(trial.engine),
        )
        for _ in range(2)
    )
    trial.until(trial.has_worked, PATIENCE)
    time.sleep(trial.random.uniform(1, 2))
    trial.tell_to_end()
    statuses = sorted(one.wait(PATIENCE) for one in (first, second))
    trial.said = first.text + second.text
    trial.status = 0
    refused = "opt/ml/checkpoints is in use by" in trial.said
    if statuses != ([0, 2] if refused else [0, 0]):
        trial.result.wrong.append(f"exit statuses {statuses}")
    trial.result.wrong += inquest.raw_words(trial.said)
    trial.result.lost += inquest.lost(trial.project, trial.said, killed=False)


def beside(verb: str, *words: str) -> Callable[[Trial], None]:
    """Return what calls a verb while the job runs."""

    def act(trial: Trial) -> None:
        done = trial.arena.make(trial.project, trial.engine, verb, *words)
        trial.said += done.stdout
        trial.tell_to_end()

    return at_its_moment(act)


# Clocks, inputs, paths


def jump(trial: Trial) -> None:
    """Move the clock by an hour while the job runs; a verb's own processes see it, the job not."""
    mark = trial.arena.home / f"jump-{trial.project.parent.name}"
    mark.write_text("0")
    trial.changes = {"LD_PRELOAD": trial.arena.clock(), "JUMP": str(mark)}
    trial.start()
    trial.reach(MIDDLE)
    mark.write_text(trial.random.choice(["3600", "-3600"]))
    trial.reach(END)


def seconds_are_few(trial: Trial) -> None:
    """Find a duration that no job here has."""
    words = inquest.read(trial.job / "status").split() if trial.job else []
    if len(words) > 1 and not 0 <= int(words[1]) <= 120:
        trial.result.wrong.append(f"the job took {words[1]} s")


CANARY = "$(touch ../canary)"
NO_FILES: dict[str, Callable] = {
    "FIFO": lambda path: os.mkfifo(path),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
}
BAD: dict[str, Callable] = {
    "NULs": lambda path: path.write_bytes(bytes(100)),
    "doubling": lambda path: path.write_text("a: &a [x]\n" + bomb()),
    "deep": lambda path: path.write_text("[" * 30_000),
    "binary": lambda path: path.write_bytes(os.urandom(3_000)),
    "tag": lambda path: path.write_text('RoleArn: !!python/object/apply:os.system ["x"]'),
    "name": lambda path: path.write_text(json.dumps({"TrainingJobName": CANARY})),
    "image": lambda path: path.write_text(request(TrainingImage=f"a;{CANARY}")),
    "entrypoint": lambda path: path.write_text(request(ContainerEntrypoint=[""])),
}


def bomb() -> str:
    """Return YAML that doubles itself thirty times."""
    return "".join(f"a{n}: &a{n} [*a{n - 1 or ''}, *a{n - 1 or ''}]\n" for n in range(1, 30))


def request(**members) -> str:
    """Return a request with an AlgorithmSpecification."""
    return json.dumps({"AlgorithmSpecification": members})


def bad_input(files: dict[str, Callable]) -> Callable[[Trial], None]:
    """Return an attack: ask for a job by such a file; a line must come, soon, and nothing run."""

    def attack(trial: Trial) -> None:
        kind = [*files][trial.number % len(files)]
        path = trial.project / "bad.yaml"
        files[kind](path)
        # IMAGE would take the place of the request's
        words = [word for word in trial.engine.words if not word.startswith("IMAGE=")]
        for verb in (("train", *words), ("jobs",)):
            done = trial.arena.make(trial.project, trial.engine, *verb, "JOB=bad.yaml", timeout=20)
            trial.said += done.stdout
            if done.returncode == 124:
                trial.result.wrong.append(f"{kind}: make {verb[0]} hung")
            elif verb[0] == "train" and (done.returncode != 2 or "sm-local: " not in done.stdout):
                word = inquest.last_word("train", done.stdout)
                trial.result.wrong.append(f"{kind}: exit status {done.returncode}: {word}")
        trial.result.wrong += inquest.raw_words(trial.said)
        if (trial.project.parent / "canary").exists():
            trial.result.wrong.append(f"{kind}: was executed")
        subprocess.run(["rm", "-rf", path], check=True)

    return attack


ODD = [
    "with blank", "it's", 'say "hi"', "$(touch canary)", "`touch canary`", "a;touch canary",
    "comma,comma", "co:lon", "back\\slash", "tab\there", "-dash", "größe", "*", "[a]", "a#b", "~",
    "=x", "percent%s", "new\nline", "{a,b}", "&& touch canary",
]  # fmt: skip


def odd_path(trial: Trial) -> None:
    """Move the project to a folder with such a name and train there."""
    trial.tell_to_end()
    name = ODD[trial.number % len(ODD)]
    trial.project = trial.project.rename(trial.project.parent / name)
    done = trial.arena.make(trial.project, trial.engine, "train", *trial.engine.words)
    trial.said = done.stdout
    if not (done.returncode == 2 and "sm-local: " in done.stdout) and (
        done.returncode or " Completed in " not in done.stdout
    ):
        word = inquest.last_word("train", done.stdout)
        trial.result.wrong.append(f"{name!r}: exit status {done.returncode}: {word}")
    elif done.returncode:
        trial.result.wrong.append(f"{name!r}: refused: {inquest.last_word('train', done.stdout)}")
    trial.result.wrong += inquest.raw_words(trial.said)
    trial.result.lost += inquest.lost(trial.project, trial.said, killed=False)
    if [*trial.project.rglob("canary"), *trial.project.parent.glob("canary")]:
        trial.result.wrong.append(f"{name!r}: was executed")


def can(row: Row, engine: Engine, root: bool) -> str:
    """Return why a row cannot be tried here; '' if it can."""
    if row.as_root and not root:
        return "only root can make a disk here"
    if row.mortal and not root:
        return "only root can start an engine"
    if row.needs and not shutil.which(row.needs):
        return f"{row.needs} is missing"
    if row.name.startswith("output/") and engine.user == 0:
        return "root may write everywhere"
    return ""


INT, TERM, HUP, KILLED = (End("Stopped", (n,)) for n in (130, 143, 129, 137))
DONE = End("Completed", (0,))
CUT = tuple(End(word, (137,)) for word in ("InProgress", "Stopping", "Abandoned", "Stopped"))
FAILED = End("Failed", (137,))
AS_ASKED = (
    "the person stopped the job: Stopped, and 128 + the signal; a Ctrl-C after its end stops only "
    "the packing, which a line says: 130"
)
NOBODY = "whoever writes the status was killed: its shell says 137, `make jobs` says Abandoned"
BY_KILL = "the script was killed: 137, as SageMaker says of it"
NOT_FULL = "what was written is kept; what cannot be kept is said in a line, and is no success"
UNTOUCHED = "the other verb does not touch a running job"

ROWS = [
    Row("Ctrl-C", at_its_moment(type_ctrl_c), (INT,), AS_ASKED, late=(130,), quick=SHORT),
    Row("Ctrl-C twice", at_its_moment(type_it_twice), (INT,), AS_ASKED, late=(130,)),
    Row("SIGTERM to make", at_its_moment(term_to_make), (TERM,), AS_ASKED),
    Row("SIGHUP to the group", at_its_moment(hup_to_the_group), (HUP,), AS_ASKED),
    Row(
        "terminal closed",
        at_its_moment(close_terminal),
        (End("Stopped", ()),),
        "closing the window stops the job, as the line on it promises",
        leader=True,
        door="make",
    ),
    Row("kill -9 recipe", at_its_moment(kill_recipe), CUT, NOBODY, killed=True),
    Row(
        "kill -9 make",
        at_its_moment(kill_make),
        (End("Stopped", (137,)), End("Completed", (137,))),
        "make alone was killed: the recipe goes on, or heeds the HUP that its terminal sends",
        leader=True,
        door="make",
    ),
    Row(
        "kill -9 engine's client",
        at_its_moment(kill_client),
        (DONE, FAILED),
        "the container goes on: wait for it, or fail; nothing is packed before it has ended",
        moments=RUNNING,
    ),
    Row(
        "kill -9 helper's client",
        at_its_moment(kill_helpers_client),
        (DONE,),
        "files are given back another way",
        engines=("docker-user",),
        moments=(MIDDLE, END),
    ),
    Row(
        "helper rm -f",
        at_its_moment(remove_helper),
        (DONE,),
        "files are given back another way",
        engines=("docker-user",),
        moments=(MIDDLE, END),
    ),
    Row(
        "kill -9 process 1",
        at_its_moment(kill_first_process),
        (FAILED,),
        BY_KILL,
        moments=(MIDDLE,),
        quick=SHORT,
    ),
    Row(
        "engine's kill",
        at_its_moment(on_container("kill")),
        (FAILED,),
        BY_KILL,
        engines=IMAGES,
        moments=(MIDDLE,),
    ),
    Row(
        "engine's stop",
        at_its_moment(on_container("stop", "--time", "5")),
        (End("Stopped", ()),),
        "ended from outside before its time, by SIGTERM: no success, whatever its handler returns; "
        "Podman tells nobody",
        engines=DOCKER,
        moments=(MIDDLE,),
    ),
    Row(
        "engine's rm -f",
        at_its_moment(on_container("rm", "--force")),
        (FAILED, End("Stopped", ())),
        BY_KILL + "; Podman asks with SIGTERM first, and tells nobody",
        engines=DOCKER,
        moments=(MIDDLE,),
    ),
    Row(
        "kill -9 everything",
        at_its_moment(kill_everything),
        CUT,
        NOBODY,
        leader=True,
        door="make",
        killed=True,
        deaf=True,
    ),
    Row(
        "engine gets SIGTERM",
        at_its_moment(engine_dies(signal.SIGTERM)),
        (End("Stopped", ()), End("Failed", ())),
        "the job was cut short, whatever its handler returned",
        engines=DOCKER,
        moments=(MIDDLE,),
        afterwards=engine_is_back,
        mortal=True,
    ),
    Row(
        "engine gets SIGKILL",
        at_its_moment(engine_dies(signal.SIGKILL)),
        (End("Stopped", ()), End("Failed", ())),
        "nobody knows how the job went on: no success",
        engines=DOCKER,
        moments=(MIDDLE,),
        afterwards=engine_is_back,
        mortal=True,
    ),
    Row(
        "disk full: training",
        disk(24),
        (End("Failed", (3, 1)),),
        "the script's own exit status, or 1 where it could not be written",
        body=FILLS,
        blob=1_000_000,
        afterwards=enlarge,
        as_root=True,
    ),
    Row(
        "disk full: packing",
        disk(24),
        (DONE, End("Completed", (1,))),
        "the files are where they were, and a line says that they are not packed",
        blob=15_000_000,
        afterwards=enlarge,
        as_root=True,
    ),
    Row(
        "disk full: log",
        disk(4),
        (End("any", ()),),
        NOT_FULL,
        body=TALKS,
        blob=1_000,
        afterwards=enlarge,
        as_root=True,
    ),
    Row(
        "disk full: start",
        no_disk,
        (End("none", ()), End("Failed", ())),
        NOT_FULL,
        afterwards=enlarge,
        as_root=True,
    ),
    Row(
        "output/ unwritable",
        unwritable,
        (End("none", ()),),
        "a line says what is wrong",
        moments=(MIDDLE,),
        engines=("docker-user", "sandbox-user"),
        afterwards=writable_again,
    ),
    Row(
        "reader gone",
        reader_goes,
        (End("Completed", (0, 141)),),
        "who reads is not the job's business",
        moments=(MIDDLE,),
        door="make",
        quick=SHORT,
    ),
    Row(
        "two trains at once",
        another_train,
        (),
        "one of them has the checkpoints, the other is refused in a line",
        moments=(MIDDLE,),
        door="make",
    ),
    Row("clean during a job", beside("clean", "YES=1"), (DONE,), UNTOUCHED, moments=RUNNING),
    Row("chown during a job", beside("chown"), (DONE,), UNTOUCHED, moments=RUNNING),
    Row("stop during a job", beside("stop"), (TERM,), AS_ASKED, moments=(MIDDLE,), quick=SHORT),
    Row("pack during a job", beside("pack"), (DONE,), UNTOUCHED, moments=(MIDDLE,)),
    Row(
        "two hosts: one killed",
        at_its_moment(kill_first_process),
        (FAILED,),
        BY_KILL,
        moments=(MIDDLE,),
        hosts=2,
    ),
    Row("two hosts: Ctrl-C", at_its_moment(type_ctrl_c), (INT,), AS_ASKED, late=(130,), hosts=2),
    Row("two hosts: recipe", at_its_moment(kill_recipe), CUT, NOBODY, hosts=2, killed=True),
    Row(
        "clock jumps an hour",
        jump,
        (DONE,),
        "a job takes as long as it takes",
        moments=(END,),
        afterwards=seconds_are_few,
        needs="cc",
        quick=("sandbox",),
    ),
    Row("no file as request", bad_input(NO_FILES), (), "one line, soon; nothing runs"),
    Row("bad input", bad_input(BAD), (), "one line, soon; nothing runs", quick=("sandbox",)),
    Row("odd path", odd_path, (), "a name is a name", quick=("sandbox",)),
]  # fmt: skip
