"""The rows about sm-local itself: each group makes its cases, interleaves them, returns rows."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from measure import Case, Row, first_line, interleave, verdict, wait_until_quiet
from workplace import TRIVIAL, TWO_SECONDS, Workplace

BARE = "bare `docker run`"
TRAIN = "`make train`"
MARK = "training\n"  # what the script prints; a peer puts a name in front


def train(place: Workplace, rounds: int) -> list[Row]:
    """Compare an unchanged `make train` to a bare docker run; a second bare run shows the noise."""
    project, here = place.trained("headline", TRIVIAL), place.environment()
    command, noise = bare(project, place.image), f"{BARE}, once more: the noise"
    cases = [
        Case(BARE, command, project, here, cleaner(project)),
        Case(TRAIN, ["make", "train"], project, here, cleaner(project)),
        Case(noise, command, project, here, cleaner(project)),
    ]
    times = interleave(cases, 3 * rounds, place.say)
    # Unless we are root, hand-back is part of the run, and the budget of `user` applies.
    limit = 1.25 if os.geteuid() else 1.05
    return [times.row(TRAIN, BARE, limit), times.row(noise, BARE)]


def bare(project: Path, image: str, *options: str) -> list[str]:
    """Return `docker run` as you would type it: the same mounts and variables, nothing else."""
    folder = project / "output/bare"
    for name in ("config", "model", "output/data"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (project / "opt/ml/checkpoints").mkdir(exist_ok=True)
    sources = {
        folder / "config": "input/config",
        folder / "model": "model",
        folder / "output": "output",
        project / "opt/ml/checkpoints": "checkpoints",
        project / "code": "code",
        **{
            path: f"input/data/{path.name}"
            for path in (project / "opt/ml/input/data").iterdir()
            if path.is_dir()
        },
    }
    values = {
        "TRAINING_JOB_NAME": "bare",
        "TRAINING_JOB_ARN": "arn:aws:sagemaker:us-west-2:123456789012:training-job/bare",
        "AWS_REGION": "us-west-2",
        "DMLC_INTERFACE": "eth0",
        "NVIDIA_VISIBLE_DEVICES": "void",
    }
    return [
        "docker",
        "run",
        "--rm",
        *options,
        *[word for key, value in values.items() for word in ("--env", f"{key}={value}")],
        *[
            word
            for source, target in sources.items()
            for word in ("--mount", f"type=bind,source={source},target=/opt/ml/{target}")
        ],
        image,
        "train",
    ]


def cleaner(project: Path) -> Callable[[], None]:
    """Return a function that removes earlier jobs: both sides start with an empty model folder."""

    def clean() -> None:
        (project / "output/bare/model/model.txt").unlink(missing_ok=True)
        for folder in (project / "output").glob("sm-local-*"):
            shutil.rmtree(folder)

    return clean


def phases(place: Workplace, rounds: int) -> list[Row]:
    """Show where the time of `make train` goes.

    A `bash` and a `docker` in front of the real ones note when they start and end. Needs Bash 5.
    """
    project = place.trained("phases", TRIVIAL)
    here, stamps = place.environment(), watch(place)
    watched = place.environment(PATH=f"{stamps.parent}:{here['PATH']}")
    names = [
        "· make and state.sh, until the recipe starts",
        "· the recipe, until `docker run`",
        "· `docker run`",
        "· after it: archives, verdict, end of make",
    ]

    def parts(start: float, end: float) -> dict[str, float]:
        moments = [start, *map(float, stamps.read_text().replace(",", ".").split()), end]
        stamps.unlink()
        return dict(zip(names, (after - before for before, after in zip(moments, moments[1:]))))

    cases = [
        Case(BARE, bare(project, place.image), project, here, cleaner(project)),
        Case("`make train`, watched", ["make", "train"], project, watched, cleaner(project), parts),
    ]
    times = interleave(cases, rounds, place.say)
    return [times.row(name, BARE) for name in (cases[1].name, *names)]


def watch(place: Workplace) -> Path:
    """Make a `docker` that notes the start and end of a run, and a `bash` that notes a recipe's.

    Return the file that the notes go to.
    """
    folder = place.folder / "watch"
    folder.mkdir()
    note = f'echo "$EPOCHREALTIME" >> {folder}/stamps'
    bash, docker = (
        shutil.which(name, path=place.environment()["PATH"]) for name in ("bash", "docker")
    )
    (folder / "bash").write_text(f'#!{bash}\n[[ "$*" != *train.sh ]] || {note}\nexec {bash} "$@"\n')
    (folder / "docker").write_text(
        f'#!{bash}\n[[ $1 == run ]] || exec {docker} "$@"\n{note}\n{docker} "$@"\nrc=$?\n'
        f'{note}\nexit "$rc"\n'
    )
    for name in ("bash", "docker"):
        (folder / name).chmod(0o755)
    return folder / "stamps"


def user(place: Workplace, rounds: int) -> list[Row]:
    """Compare `make train` with hand-back to a bare docker run by the same unprivileged user.

    The bare run leaves root's files behind.
    """
    cases, pairs = [], []
    for kind, code, limit in (("empty job", TRIVIAL, 1.25), ("2 s job", TWO_SECONDS, 1.10)):
        project = place.trained(kind.replace(" ", "-"), code)
        command = bare(project, place.image)
        prefix, here = place.as_user(project), place.environment()
        cases += [
            Case(
                f"{BARE} as the same user, {kind}",
                prefix + command,
                project,
                here,
                cleaner(project),
            ),
            Case(
                f"{TRAIN} in the docker group, {kind}",
                [*prefix, "make", "train"],
                project,
                here,
                cleaner(project),
            ),
        ]
        pairs.append((cases[-1].name, cases[-2].name, limit))
    times = interleave(cases, rounds, place.say)
    return [times.row(*pair) for pair in pairs]


def hosts(place: Workplace, rounds: int) -> list[Row]:
    """Compare a job of two hosts to two bare docker runs at once, on a network made for them."""
    job = "ResourceConfig: {InstanceType: ml.m5.large, InstanceCount: 2}\n"
    project, here = place.trained("hosts", TRIVIAL, job), place.environment()
    one, two = (
        shlex.join(bare(project, place.image, "--network", place.name, "--network-alias", name))
        for name in ("algo-1", "algo-2")
    )
    pair = (
        f"docker network create {place.name} && {{ {one} & {two} && wait $!; }} "
        f"&& docker network rm {place.name}"
    )
    cases = [
        Case(f"two {BARE} on a network", ["bash", "-c", pair], project, here, cleaner(project)),
        Case(f"{TRAIN}, two hosts", ["make", "train"], project, here, cleaner(project)),
    ]
    times = interleave(cases, rounds, place.say)
    return [times.row(cases[1].name, cases[0].name)]


def channels(place: Workplace, rounds: int) -> list[Row]:
    """Compare a channel of 100,000 files to one of a single file: nothing may be copied."""
    cases = []
    for files in (1, 100_000):
        project = place.trained(f"channel-{files}", TRIVIAL)
        fill(project / "opt/ml/input/data/training", files)
        cases.append(
            Case(
                f"{TRAIN}, a channel of {files:,} file{'s' * (files > 1)}",
                ["make", "train"],
                project,
                place.environment(),
            )
        )
    before = [disk_use(case.folder) for case in cases]
    times = interleave(cases, rounds, place.say)
    small, large = (
        (disk_use(case.folder) - then) // (rounds + 1) for case, then in zip(cases, before)
    )
    # A copied file takes a block of 4096; what two jobs write differs by less than that.
    copied = max(0, large - small) // 4096 * 4096
    return [
        times.row(cases[1].name, cases[0].name),
        Row(
            "bytes of a channel copied before training",
            cases[0].name,
            str(copied),
            verdict(copied, 0),
            f"a job leaves {small // 1024} KiB",
        ),
    ]


def fill(channel: Path, files: int) -> None:
    """Fill a channel with one-byte files, 1000 to a folder."""
    shutil.rmtree(channel)
    for number in range(files):
        path = channel / f"{number // 1000:02}/{number}.txt"
        if not number % 1000:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"x")


def disk_use(folder: Path) -> int:
    """Return the bytes that a folder takes on disk."""
    return (
        int(
            subprocess.run(
                ["du", "-sk", str(folder)], capture_output=True, text=True, check=True
            ).stdout.split()[0]
        )
        * 1024
    )


def sandbox(place: Workplace, rounds: int) -> list[Row]:
    """Compare `make train` in the sandbox to the default script, run by the same Python."""
    project, here = place.project("sandbox", settings="ENGINE=sandbox\n"), place.environment()
    cases = [
        Case(
            "`python3 code/train.py`",
            ["python3", str(directly(project) / "train.py")],
            project,
            here,
            cleaner(project),
        ),
        Case(f"{TRAIN} in the sandbox", ["make", "train"], project, here, cleaner(project)),
    ]
    times = interleave(cases, rounds, place.say)
    return [times.row(cases[1].name, cases[0].name, 3)]


def directly(project: Path) -> Path:
    """Return a copy of code/ that uses the project's folder as /opt/ml and needs no container."""
    copy, root = project / "direct", project / "direct/ml"
    shutil.copytree(project / "code", copy)
    shutil.copytree(project / "opt/ml", root, symlinks=True)
    for name in ("model", "output/data", "checkpoints"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for script in copy.glob("*.py"):
        script.write_text(script.read_text().replace("/opt/ml", str(root)))
    return copy


def program(place: Workplace, rounds: int) -> list[Row]:
    """Compare container/train to starting an empty script itself; the budget is in seconds."""
    project = place.project("program")
    (project / "code/train.py").write_text("")
    here = place.environment(SAGEMAKER_BASE_DIR=str(directly(project) / "ml"))
    script = ["python3", "-u", str(project / "direct/train.py")]
    cases = [
        Case("an empty script", script, project, here),
        Case("`container/train` with it", ["sh", "container/train"], project, here),
    ]
    (project / "direct/ml/code").symlink_to(project / "direct")
    times = interleave(cases, rounds, place.say)
    row = times.row(cases[1].name, cases[0].name)
    extra = times.typical(row.what) - times.typical(row.over)
    return [Row(row.what, row.over, row.ratio, verdict(extra, 0.06, " s"), row.note)]


def code(place: Workplace, rounds: int) -> list[Row]:
    """Compare a job's copies of a usual code/ to making their folders; the budget is in seconds."""
    project = place.project("code")
    for number in range(20):
        (project / f"code/module_{number}.py").write_text("x = 1\n" * 2000)
    folders = "dir=output/job at=output/job places=(); mkdir -p output/job/code output/job/cow"
    libraries = "; ".join(f"source sm_local/lib/{name}.sh" for name in ("say", "folder", "code"))
    prepare = f"set -eu; {libraries}; bind() {{ :; }}; {folders}"
    copies = f"{prepare}; take_code; show_code /opt/ml/code copy cow"

    def clean() -> None:
        shutil.rmtree(project / "output/job", ignore_errors=True)

    bash, here = ["bash", "-p", "-c"], place.environment()
    cases = [
        Case("the folders alone", [*bash, prepare], project, here, clean),
        Case("two copies of `code/`, 20 files of 12 KB", [*bash, copies], project, here, clean),
    ]
    times = interleave(cases, rounds, place.say)
    row = times.row(cases[1].name, cases[0].name)
    extra = times.typical(row.what) - times.typical(row.over)
    return [Row(row.what, row.over, row.ratio, verdict(extra, 0.005, " s"), row.note)]


def recipe(place: Workplace, rounds: int) -> list[Row]:
    """Compare writing a recipe to starting the same Python; the budget is in seconds."""
    project, python = place.baked(), "sm_local/.venv/bin/python"
    cases = [
        Case("`python -c pass`", [python, "-c", "pass"], project, place.environment()),
        Case("writing a recipe", [python, "-m", "sm_local", "train"], project, place.environment()),
    ]
    times = interleave(cases, rounds, place.say)
    row = times.row(cases[1].name, cases[0].name)
    return [
        Row(row.what, row.over, row.ratio, verdict(times.typical(row.what), 0.2, " s"), row.note)
    ]


def bake(place: Workplace, rounds: int) -> list[Row]:
    """Compare a bake to cookiecutter's own floor, with and without hooks.

    The hooks ask this machine's engine and AWS CLI for their versions.
    """
    here, command = place.environment(), place.bake_command("bakes", str(place.template))
    cases = [
        Case(
            "cookiecutter's floor",
            place.bake_command("bakes", str(floor(place))),
            place.folder,
            here,
        ),
        Case("a bake", [*command, "--accept-hooks", "yes"], place.folder, here),
        Case("· of it without hooks", [*command, "--accept-hooks", "no"], place.folder, here),
    ]
    times = interleave(cases, rounds, place.say)
    return [times.row("a bake", cases[0].name, 1.3), times.row(cases[2].name, cases[0].name)]


def floor(place: Workplace) -> Path:
    """Return a template of the same files that renders nothing but the folder's name."""
    template = place.folder / "floor"
    shutil.copytree(
        place.template / "<<cookiecutter.project>>", template / "{{cookiecutter.project}}"
    )
    (template / "cookiecutter.json").write_text(
        '{"project": "floor", "_copy_without_render": ["*"]}'
    )
    return template


def pipe(place: Workplace, rounds: int) -> list[Row]:
    """Compare three epochs of 1 GiB through the feeder's FIFOs to `cat` through one FIFO.

    Both have the same reader and the same file, in the page cache.
    """
    folder, here = place.folder / "pipe", place.environment()
    folder.mkdir()
    (folder / "data").write_bytes(bytes(1 << 30))
    feeder = shlex.quote(str(place.baked() / "sm_local/libexec/pipe.py"))
    by_cat = "rm -f f; mkfifo f; for e in 0 1 2; do cat data > f & cat f > /dev/null; wait; done"
    by_feeder = f"""rm -f end c_*; mkfifo end
printf 'data\\0\\0' | python3 {feeder} --broken broken --recipe $$ -- . c 3< end 5>&- & exec 5> end
for e in 0 1 2; do until [ -p c_$e ]; do sleep 0.01; done; cat c_$e > /dev/null; done
exec 5>&-; wait"""
    cases = [
        Case("`cat` through a FIFO, 3 × 1 GiB", ["bash", "-c", by_cat], folder, here),
        Case("Pipe mode's feeder, 3 epochs of 1 GiB", ["bash", "-c", by_feeder], folder, here),
    ]
    times = interleave(cases, min(rounds, 7), place.say)
    return [times.row(cases[1].name, cases[0].name, 1.25)]


def jobs(place: Workplace, rounds: int) -> list[Row]:
    """Compare verbs in a project of 1,000 old jobs to the same in one that has a single job.

    Every tenth was killed: its folder still says that it runs. The budget is in seconds.
    """
    here = place.environment()
    few, many = (place.project(name, "", "ENGINE=sandbox\n") for name in ("few", "many"))
    for project in (few, many):
        place.run("make", "train", folder=project)
    grow_old(many, 1000)
    verbs, rows = ("jobs", "stop", "train"), []
    cases = [
        Case(f"`make {verb}`, {name}", ["make", verb], project, here)
        for verb in verbs
        for name, project in (("one job", few), ("1,000 old jobs", many))
    ]
    times = interleave(cases, rounds, place.say)
    for one, thousand in zip(cases[::2], cases[1::2]):
        row, seconds = times.row(thousand.name, one.name), times.typical(thousand.name)
        rows.append(Row(row.what, row.over, row.ratio, verdict(seconds, 0.5, " s"), row.note))
    return rows


def grow_old(project: Path, number: int) -> None:
    """Copy a project's job until it has so many."""
    (first,) = (path for path in (project / "output").iterdir() if path.is_dir())
    for n in range(number):
        job = project / f"output/old-20260101-{n:06}"
        shutil.copytree(first, job)
        if not n % 10:
            (job / "status").write_text("InProgress\n")
            (job / "record/recipe").write_text("999999999 1 here\n")


def lines(place: Workplace, rounds: int) -> list[Row]:
    """Compare the logs of two hosts, each line with its host's name, to the log of one."""
    code = "for n in range(300_000): print('line', n, 'of a log that is not short')\n"
    two = "ResourceConfig: {InstanceType: ml.m5.large, InstanceCount: 2}\n"
    here = place.environment()
    cases = [
        Case(
            f"{TRAIN} in the sandbox, {name}",
            ["make", "train"],
            place.project(name.replace(" ", "-"), code, "ENGINE=sandbox\n", job),
            here,
        )
        for name, job in (("300,000 lines", "{}\n"), ("two hosts of 300,000 lines", two))
    ]
    times = interleave(cases, min(rounds, 5), place.say)
    return [times.row(cases[1].name, cases[0].name)]


def loop(place: Workplace, rounds: int) -> list[Row]:
    """Compare a job from the start to its script's first line, and to its end: cold, and parked.

    With a script that imports little, and one that imports what takes long; by `make train`, and by
    `make watch`, from the moment a file is saved.
    """
    rows = []
    slow = "torch" if place.imports("torch") else SLOW
    for kind, modules in (("", "json"), (f" with `import {slow}`", slow)):
        words = {
            f"{BARE}{kind}": [],
            f"{TRAIN}{kind}": [],
            f"· FAST=1{kind}": ["FAST=1"],
            f"· FAST=1 PRELOAD{kind}": ["FAST=1", f"PRELOAD={modules}"],
            f"· `make watch`{kind}": [],
            f"· `make watch` FAST=1{kind}": ["FAST=1"],
            f"· `make watch` FAST=1 PRELOAD{kind}": ["FAST=1", f"PRELOAD={modules}"],
        }
        code = f"import {modules}\n{TRIVIAL}"
        with contextlib.ExitStack() as stack:
            cases = [loop_case(place, stack, name, code, more) for name, more in words.items()]
            times = interleave(cases, rounds, place.say)
        base, *names = words
        first_limits = [None, 0.15, 0.05 if slow == "torch" and kind else None] * 2
        end_limits = [None, None if kind else 0.45, 0.45] * 2
        for name, first, end in zip(names, first_limits, end_limits):
            limited = "watch" not in name and (not kind or "PRELOAD" in name)
            rows.append(times.row(first_line(name), first_line(base), first if limited else None))
            rows.append(times.row(name, base, end if limited else None))
    return rows


SLOW = "asyncio,multiprocessing.pool,unittest.mock,xmlrpc.server"  # what every image has


def loop_case(
    place: Workplace, stack: contextlib.ExitStack, name: str, code: str, words: list[str]
) -> Case | Saves:
    """Return one way to run a job, in a project of its own: each has one parked container."""
    project, here = place.trained(re.sub(r"\W+", "-", name), code), place.environment()
    stack.callback(place.run, "make", "stop", folder=project)
    clean, ready = cleaner(project), project / "output/.parked/ready"

    def prepare() -> None:
        clean()
        deadline = time.monotonic() + 30
        while words and started and not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        started.append(name)

    started: list[str] = []
    if "watch" in name:
        return stack.enter_context(Saves(name, ["make", "watch", *words], project, here, prepare))
    command = bare(project, place.image) if name.startswith(BARE) else ["make", "train", *words]
    return Case(name, command, project, here, prepare, mark=MARK)


class Saves:
    """`make watch`, timed from the moment code/train.py is saved."""

    def __init__(
        self,
        name: str,
        command: list[str],
        folder: Path,
        environment: dict[str, str],
        prepare: Callable[[], None],
    ) -> None:
        self.name, self.prepare, self.saved = name, prepare, 0
        self.script = folder / "code/train.py"
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Saves:
        self.until("sm-local: watch: first run: Completed")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate()

    def run(self) -> dict[str, float]:
        """Save once; return the seconds to the first line and to the verdict."""
        self.prepare()
        wait_until_quiet()
        self.saved += 1
        text = f"{self.script.read_text().partition('# ')[0]}# {self.saved}\n"
        start = time.perf_counter()
        self.script.write_text(text)
        first = self.until("training") - start
        end = self.until("sm-local: watch: code/train.py: Completed") - start
        return {self.name: end, first_line(self.name): first}

    def until(self, words: str) -> float:
        """Read lines until one begins with these words; return when that was."""
        assert self.process.stdout
        for line in self.process.stdout:
            if line.decode().startswith(words):
                return time.perf_counter()
        raise SystemExit(f"bench: {self.name} ended by itself")


GROUPS = {
    "train": train,
    "phases": phases,
    "user": user,
    "hosts": hosts,
    "channels": channels,
    "sandbox": sandbox,
    "program": program,
    "code": code,
    "recipe": recipe,
    "bake": bake,
    "pipe": pipe,
    "jobs": jobs,
    "lines": lines,
    "loop": loop,
}
