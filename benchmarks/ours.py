"""The rows about sm-local itself: each group makes its cases, runs them interleaved and returns table rows."""
from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from measure import Case, Row, interleave, verdict
from workplace import TRIVIAL, TWO_SECONDS, Workplace

MB = 1 << 20
BARE = "bare `docker run`"
TRAIN = "`make train`"


def train(place: Workplace, rounds: int) -> list[Row]:
    """`make train` with nothing changed over a bare docker run; a second bare one says what the machine's noise is."""
    project, here = place.trained("headline", TRIVIAL), place.environment()
    command, noise = bare(project, place.image), f"{BARE}, once more: the noise"
    cases = [Case(BARE, command, project, here, cleaner(project)),
             Case(TRAIN, ["make", "train"], project, here, cleaner(project)),
             Case(noise, command, project, here, cleaner(project))]
    times = interleave(cases, 3 * rounds, place.say)
    limit = 1.25 if os.geteuid() else 1.05  # not root: hand-back is part of it, and the other budget counts
    return [times.row(TRAIN, BARE, limit), times.row(noise, BARE)]


def bare(project: Path, image: str, *options: str) -> list[str]:
    """Return `docker run` as a person would type it: the same mounts as binds, the same environment, nothing else."""
    folder = project / "output/bare"
    for name in ("config", "model", "output/data"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (project / "opt/ml/checkpoints").mkdir(exist_ok=True)
    sources = {folder / "config": "input/config", folder / "model": "model", folder / "output": "output",
               project / "opt/ml/checkpoints": "checkpoints", project / "code": "code",
               **{path: f"input/data/{path.name}" for path in (project / "opt/ml/input/data").iterdir() if path.is_dir()}}
    values = {"TRAINING_JOB_NAME": "bare", "TRAINING_JOB_ARN": "arn:aws:sagemaker:us-west-2:123456789012:training-job/bare",
              "AWS_REGION": "us-west-2", "DMLC_INTERFACE": "eth0", "NVIDIA_VISIBLE_DEVICES": "void"}
    return ["docker", "run", "--rm", *options, *[word for key, value in values.items() for word in ("--env", f"{key}={value}")],
            *[word for source, target in sources.items() for word in ("--mount", f"type=bind,source={source},target=/opt/ml/{target}")],
            image, "train"]


def cleaner(project: Path) -> Callable[[], None]:
    """Return what forgets earlier jobs: a bare run starts with an empty model folder, and ours finds its name free."""
    def clean() -> None:
        (project / "output/bare/model/model.txt").unlink(missing_ok=True)
        for folder in (project / "output").glob("sm-local-*"):
            shutil.rmtree(folder)
    return clean


def phases(place: Workplace, rounds: int) -> list[Row]:
    """Where the time of `make train` goes: Bash and a `docker` before the real one note when they start and end. Bash 5."""
    project = place.trained("phases", TRIVIAL)
    here, stamps = place.environment(), watch(place)
    watched = place.environment(PATH=f"{stamps.parent}:{here['PATH']}", BASH_ENV=str(stamps.parent / "recipe-starts"))
    names = ["· make reads the Makefile, state.sh looks for changes", "· the recipe until `docker run`", "· `docker run`", "· after it: archives, verdict, make ends"]

    def parts(start: float, end: float) -> dict[str, float]:
        moments = [start, *map(float, stamps.read_text().replace(",", ".").split()), end]
        stamps.unlink()
        return dict(zip(names, (after - before for before, after in zip(moments, moments[1:]))))

    cases = [Case(BARE, bare(project, place.image), project, here, cleaner(project)),
             Case("`make train`, watched", ["make", "train"], project, watched, cleaner(project), parts)]
    times = interleave(cases, rounds, place.say)
    return [times.row(name, BARE) for name in (cases[1].name, *names)]


def watch(place: Workplace) -> Path:
    """Make a `docker` that notes the start and end of a run, and what Bash reads first; return the file of the notes."""
    folder = place.folder / "watch"
    folder.mkdir()
    note = f'echo "$EPOCHREALTIME" >> {folder}/stamps'
    real = shutil.which("docker", path=place.environment()["PATH"])
    (folder / "recipe-starts").write_text(f"[[ ${{0##*/}} != train.sh ]] || {note}\n")
    (folder / "docker").write_text(f'#!/usr/bin/env bash\n[[ $1 == run ]] || exec {real} "$@"\n{note}\n{real} "$@"\nrc=$?\n{note}\nexit "$rc"\n')
    (folder / "docker").chmod(0o755)
    return folder / "stamps"


def user(place: Workplace, rounds: int) -> list[Row]:
    """`make train` with hand-back over a bare docker run by the same unprivileged user, which leaves root's files behind."""
    cases, pairs = [], []
    for kind, code, limit in (("empty job", TRIVIAL, 1.25), ("2 s job", TWO_SECONDS, 1.10)):
        project = place.trained(kind.replace(" ", "-"), code)
        command = bare(project, place.image)
        prefix, here = place.as_user(project), place.environment()
        cases += [Case(f"{BARE} as the same user, {kind}", prefix + command, project, here, cleaner(project)),
                  Case(f"{TRAIN} in the docker group, {kind}", [*prefix, "make", "train"], project, here, cleaner(project))]
        pairs.append((cases[-1].name, cases[-2].name, limit))
    times = interleave(cases, rounds, place.say)
    return [times.row(*pair) for pair in pairs]


def hosts(place: Workplace, rounds: int) -> list[Row]:
    """A job of two hosts over two bare docker runs at once, on a network made for them."""
    job = "ResourceConfig: {InstanceType: ml.m5.large, InstanceCount: 2}\n"
    project, here = place.trained("hosts", TRIVIAL, job), place.environment()
    one, two = (shlex.join(bare(project, place.image, "--network", place.name, "--network-alias", name)) for name in ("algo-1", "algo-2"))
    pair = f"docker network create {place.name} && {{ {one} & {two} && wait $!; }} && docker network rm {place.name}"
    cases = [Case(f"two {BARE} on a network", ["bash", "-c", pair], project, here, cleaner(project)),
             Case(f"{TRAIN}, two hosts", ["make", "train"], project, here, cleaner(project))]
    times = interleave(cases, rounds, place.say)
    return [times.row(cases[1].name, cases[0].name)]


def channels(place: Workplace, rounds: int) -> list[Row]:
    """Channels of one file, of 100,000 files, of 1 GiB: the start must not notice, and nothing may be copied."""
    cases = []
    for name, files, size in (("one file", 1, 1), ("100,000 files", 100_000, 1), ("1 GiB", 1, 1024 * MB)):
        project = place.trained(f"channel-{files}-{size}", TRIVIAL)
        fill(project / "opt/ml/input/data/training", files, size)
        cases.append(Case(f"{TRAIN}, a channel of {name}", ["make", "train"], project, place.environment()))
    before = [disk_use(case.folder) for case in cases]
    times = interleave(cases, rounds, place.say)
    small, *large = [(disk_use(case.folder) - then) // (rounds + 1) for case, then in zip(cases, before)]
    copied = max(0, max(large) - small) // 4096 * 4096  # the file system's blocks; a job's own files differ by less
    return [*(times.row(case.name, cases[0].name) for case in cases[1:]),
            Row("bytes of a channel copied before training", "a channel of one file", f"{copied}", verdict(copied, 0), f"a job leaves {small // 1024} KiB")]


def fill(channel: Path, files: int, size: int) -> None:
    """Fill a channel with files of some bytes, 1000 to a folder; big ones are not sparse, so that a copy would show."""
    shutil.rmtree(channel)
    for number in range(files):
        path = channel / f"{number // 1000:02}/{number}.txt"
        if not number % 1000:
            path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            for _ in range(max(1, size // MB)):
                file.write(b"x" * min(size, MB))


def disk_use(folder: Path) -> int:
    """Return the bytes that a folder takes on disk."""
    return int(subprocess.run(["du", "-sk", str(folder)], capture_output=True, text=True, check=True).stdout.split()[0]) * 1024


def sandbox(place: Workplace, rounds: int) -> list[Row]:
    """`make train` in the sandbox over the default project's own script, run directly by the same Python."""
    project, here = place.project("sandbox", settings="ENGINE=sandbox\n"), place.environment()
    cases = [Case("`python3 code/train.py`", ["python3", str(directly(project) / "train.py")], project, here, cleaner(project)),
             Case(f"{TRAIN} in the sandbox", ["make", "train"], project, here, cleaner(project)),
             Case(f"{TRAIN} ENGINE=sandbox, its recipe written anew", ["make", "train", "ENGINE=sandbox"], project, here, fresh(project))]
    times = interleave(cases, rounds, place.say)
    return [times.row(cases[1].name, cases[0].name, 3), times.row(cases[2].name, cases[0].name)]


def directly(project: Path) -> Path:
    """Return a copy of code/ that has the project's own folders where it says /opt/ml: it runs with no container at all."""
    copy, root = project / "direct", project / "direct/ml"
    shutil.copytree(project / "code", copy)
    shutil.copytree(project / "opt/ml", root, symlinks=True)
    for name in ("model", "output/data", "checkpoints"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for script in copy.glob("*.py"):
        script.write_text(script.read_text().replace("/opt/ml", str(root)))
    return copy


def fresh(project: Path) -> Callable[[], None]:
    """Return what forgets earlier jobs and all recipes."""
    def clean() -> None:
        cleaner(project)()
        shutil.rmtree(project / "recipes")
    return clean


def recipe(place: Workplace, rounds: int) -> list[Row]:
    """Writing a recipe, over the start of the same Python; its budget is in seconds."""
    project, python = place.baked(), "sm_local/.venv/bin/python"
    cases = [Case("`python -c pass`", [python, "-c", "pass"], project, place.environment()),
             Case("writing a recipe", [python, "-m", "sm_local", "train"], project, place.environment())]
    times = interleave(cases, rounds, place.say)
    row = times.row(cases[1].name, cases[0].name)
    return [Row(row.what, row.over, row.ratio, verdict(times.typical(row.what), 0.2, " s"), row.note)]


def bake(place: Workplace, rounds: int) -> list[Row]:
    """A bake over cookiecutter's own floor. The hook's doctor asks the AWS CLI for its version, which takes longer than all the rest."""
    here, bake = place.environment(), place.bake_command("bakes", "--accept-hooks", "yes", str(place.template))
    quick = place.environment(PATH=f"{quick_aws(place)}:{here['PATH']}")  # it is v2, so no other is asked
    cases = [Case("cookiecutter's floor", place.bake_command("bakes", str(floor(place))), place.folder, here),
             Case("a bake", bake, place.folder, here),
             Case("a bake, where `aws --version` takes no time", bake, place.folder, quick),
             Case("a bake without hooks", [*bake, "--accept-hooks", "no"], place.folder, here)]
    times = interleave(cases, rounds, place.say)
    return [times.row("a bake", cases[0].name, 1.3), *(times.row(case.name, cases[0].name) for case in cases[2:])]


def quick_aws(place: Workplace) -> Path:
    """Make an `aws` that says at once that it is v2; return its folder."""
    folder = place.folder / "quick"
    folder.mkdir()
    (folder / "aws").write_text("#!/bin/sh\necho aws-cli/2.31.0 Python/3.13.7 Linux/6 exe/x86_64\n")
    (folder / "aws").chmod(0o755)
    return folder


def floor(place: Workplace) -> Path:
    """Return a template of the same files, in which cookiecutter has nothing to render but the folder's name."""
    template = place.folder / "floor"
    shutil.copytree(place.template / "<<cookiecutter.project>>", template / "{{cookiecutter.project}}")
    (template / "cookiecutter.json").write_text('{"project": "floor", "_copy_without_render": ["*"]}')
    return template


def pipe(place: Workplace, rounds: int) -> list[Row]:
    """Three epochs of 1 GiB through the feeder's FIFOs over `cat` through one: the same reader, the same file, in the page cache."""
    folder, here = place.folder / "pipe", place.environment()
    folder.mkdir()
    fill(folder, 1, 1024 * MB)
    feeder = shlex.quote(str(place.baked() / "sm_local/pipe.py"))
    by_cat = "mkfifo f; for e in 0 1 2; do cat 00/0.txt > f & cat f > /dev/null; wait; done"
    by_feeder = f"""mkfifo end; printf '00/0.txt\\0' | python3 {feeder} . c 3< end 5>&- & exec 5> end
for e in 0 1 2; do until [ -p c_$e ]; do sleep 0.01; done; cat c_$e > /dev/null; done; exec 5>&-; wait"""

    def clear() -> None:
        for path in folder.glob("[!0]*"):
            path.unlink()

    cases = [Case("`cat` through a FIFO, 3 × 1 GiB", ["bash", "-c", by_cat], folder, here, clear),
             Case("Pipe mode's feeder, 3 epochs of 1 GiB", ["bash", "-c", by_feeder], folder, here, clear)]
    times = interleave(cases, min(rounds, 7), place.say)
    return [times.row(cases[1].name, cases[0].name, 1.25)]


def pack(place: Workplace, rounds: int) -> list[Row]:
    """Packing a model of 256 MB, half of it noise, over Python's tarfile as the SageMaker SDK uses it, and over tar alone."""
    project, here = place.project("pack", settings="ENGINE=sandbox\n"), place.environment()
    model = project / "output/job/model"
    model.mkdir(parents=True)
    (project / "output/job/output/data").mkdir(parents=True)
    (model / "noise.bin").write_bytes(os.urandom(128 * MB))
    (model / "text.json").write_bytes((b'{"layer": "%d", "weight": 0.%d}\n' * 1000) % tuple(range(2000)) * (128 * MB // 33_000))
    sdk = "import sys, tarfile\nwith tarfile.open(sys.argv[1], 'w:gz', dereference=True) as file: file.add(sys.argv[2], arcname='.')"
    cases = [Case("`tar`, no compression", ["tar", "-C", str(model), "-cf", str(place.folder / "plain.tar"), "."], project, here),
             Case("Python's tarfile, as the SDK packs", [sys.executable, "-c", sdk, str(place.folder / "sdk.tar.gz"), str(model)], project, here),
             Case("`make pack`, 256 MB", ["make", "pack", "JOB=output/job"], project, here)]
    times = interleave(cases, min(rounds, 3), place.say)
    return [times.row(cases[2].name, cases[1].name), times.row(cases[2].name, cases[0].name)]


GROUPS = {"train": train, "phases": phases, "user": user, "hosts": hosts, "channels": channels, "sandbox": sandbox, "recipe": recipe, "bake": bake,
          "pipe": pipe, "pack": pack}
