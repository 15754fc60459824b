"""The rows about sm-local itself: each group makes its cases, runs them interleaved and returns table rows."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from measure import Case, Times, interleave
from workplace import PROJECT, TRIVIAL, TWO_SECONDS, Workplace

MB = 1 << 20
BARE = "bare docker run"


@dataclass(frozen=True)
class Row:
    """A line of the result: one thing over another, its budget, and what the seconds were."""

    what: str
    over: str
    ratio: str
    budget: str = ""
    note: str = ""


def row(times: Times, name: str, base: str, limit: float | None = None) -> Row:
    """Return the line for one case over another."""
    spread = times.ratio(name, base)
    return Row(name, base, spread.show(), verdict(spread.middle, limit), f"{times.typical(name):.3f} s over {times.typical(base):.3f} s")


def verdict(value: float, limit: float | None, unit: str = "") -> str:
    """Return a budget and whether a value keeps it."""
    return "" if limit is None else f"≤ {limit:g}{unit} {'kept' if value <= limit else '**over**'}"


# The headline


def train(place: Workplace, rounds: int) -> list[Row]:
    """`make train` and `bash recipes/train.sh` over a bare docker run; a second bare one says what the machine's noise is."""
    project, here = place.trained("headline", TRIVIAL), place.environment()
    command = bare(project, place.image)
    cases = [
        Case(BARE, command, project, here, lambda: empty(project)),
        Case("bash recipes/train.sh", ["bash", "recipes/train.sh"], project, here, lambda: empty(project)),
        Case("make train", ["make", "train"], project, here, lambda: empty(project)),
        Case("a second bare docker run: the noise", command, project, here, lambda: empty(project)),
    ]
    times = interleave(cases, 3 * rounds, place.say)
    limit = 1.25 if os.geteuid() else 1.05  # not root: hand-back is part of it, and the other budget counts
    return [row(times, "make train", BARE, limit), row(times, "bash recipes/train.sh", BARE), row(times, cases[-1].name, BARE)]


def pieces(place: Workplace, rounds: int) -> list[Row]:
    """Where our time goes: each piece alone, in parts of a bare docker run."""
    project, here = place.trained("pieces", TRIVIAL), place.environment()
    faked = place.environment(PATH=f"{fake_docker(place).parent}:{here['PATH']}")
    cases = [
        Case(BARE, bare(project, place.image), project, here, lambda: empty(project)),
        Case("own run", own_command(place, project), project, here, lambda: fresh_replay(project)),
        Case("make", ["make", "recipe"], project, here),
        Case("state.sh", ["sh", "sm_local/scripts/state.sh", "job.yaml", ""], project, here),
        Case("bash", ["bash", "-n", "recipes/train.sh"], project, here),
        Case("recipe", ["bash", "recipes/train.sh"], project, faked, lambda: empty(project)),
        Case("recipe without pack", ["bash", str(unpacked(project))], project, faked, lambda: empty(project)),
        Case("fake docker", ["docker"], project, faked),
    ]
    times = interleave(cases, rounds, place.say)
    return [
        piece(times, "make: reads the Makefile, runs state.sh", "make"),
        piece(times, "· of it state.sh: what was the recipe made from?", "state.sh"),
        piece(times, "recipe, with a docker that does nothing", "recipe", "fake docker"),
        piece(times, "· of it Bash starts and reads the recipe", "bash"),
        piece(times, "· of it packing", "recipe", "recipe without pack"),
        piece(times, "docker run: what the recipe's options and the overlay add", "own run", BARE),
    ]


def piece(times: Times, what: str, name: str, less: str = "") -> Row:
    """Return one piece's line: (name - less) in parts of a bare run."""
    less = less or "nothing"
    times = Times({**times.seconds, "nothing": [0.0] * len(times.seconds[name])})
    spread = times.share(name, less, BARE)
    return Row(what, BARE, f"{100 * spread.middle:+.1f} % [{100 * spread.low:+.1f}–{100 * spread.high:+.1f}]", "", f"{times.added(name, less):.1f} ms")


def bare(project: Path, image: str) -> list[str]:
    """Return `docker run` as a person would type it: the same mounts as binds, the same environment, nothing else."""
    folder = project / "output/bare"
    for name in ("config", "model", "output/data"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (project / "opt/ml/checkpoints").mkdir(exist_ok=True)
    sources = {folder / "config": "input/config", folder / "model": "model", folder / "output": "output",
               project / "opt/ml/checkpoints": "checkpoints", project / "code": "code",
               **{path: f"input/data/{path.name}" for path in (project / "opt/ml/input/data").iterdir() if path.is_dir()}}
    values = {"TRAINING_JOB_NAME": PROJECT, "TRAINING_JOB_ARN": f"arn:aws:sagemaker:us-west-2:123456789012:training-job/{PROJECT}",
              "AWS_REGION": "us-west-2", "DMLC_INTERFACE": "eth0", "NVIDIA_VISIBLE_DEVICES": "void"}
    return ["docker", "run", "--rm", *[word for key, value in values.items() for word in ("--env", f"{key}={value}")],
            *[word for source, target in sources.items() for word in ("--mount", f"type=bind,source={source},target=/opt/ml/{target}")],
            image, "train"]


def empty(project: Path) -> None:
    """Forget earlier jobs: a bare run starts with an empty model folder, and ours finds its name free."""
    (project / "output/bare/model/model.txt").unlink(missing_ok=True)
    for folder in (project / "output").glob(f"{PROJECT}-*"):
        shutil.rmtree(folder)


def fake_docker(place: Workplace) -> Path:
    """Return a `docker` that takes 0.15 s and leaves what a job leaves: an id, a line, a model. Its arguments go to $ARGUMENTS, if that is set."""
    fake = place.folder / "fake/docker"
    fake.parent.mkdir()
    fake.write_text("""#!/bin/sh
[ -z "$ARGUMENTS" ] || printf '%s\\0' docker "$@" > "$ARGUMENTS"
echo training; sleep 0.15
while [ "$1" ]; do
  if [ "$1" = --cidfile ]; then echo 1 > "$2"; echo trained > "${2%/*}/model/model.txt"; fi
  shift
done
""")
    fake.chmod(0o755)
    return fake


def own_command(place: Workplace, project: Path) -> list[str]:
    """Return the docker command that the recipe runs, as that recipe builds it, with a job's folder of its own."""
    note = place.folder / "arguments"
    path = f"{place.folder}/fake:{place.environment()['PATH']}"
    place.run("bash", "recipes/train.sh", folder=project, PATH=path, ARGUMENTS=str(note))
    words = note.read_bytes().decode().split("\0")[:-1]
    job = Path(words[words.index("--cidfile") + 1]).parent.name
    return [word.replace(job, "replay") for word in words]


def fresh_replay(project: Path) -> None:
    """Make the folder of the replayed command anew."""
    folder = project / "output/replay"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("config", "model", "output/data"):
        (folder / name).mkdir(parents=True)
    for channel in (project / "opt/ml/input/data").iterdir():
        for name in ("upper", "work"):
            (folder / "cow" / channel.name / name).mkdir(parents=True)


def unpacked(project: Path) -> Path:
    """Return the recipe with its line that packs taken out."""
    copy = project / "recipes/unpacked.txt"
    copy.write_text("".join(line for line in (project / "recipes/train.sh").read_text().splitlines(keepends=True) if not line.startswith("  pack ")))
    return copy


# An unprivileged member of the docker group


def user(place: Workplace, rounds: int) -> list[Row]:
    """`make train` with hand-back over a bare docker run by the same user, which leaves root's files behind."""
    cases, rows = [], []
    for kind, code, limit in (("empty job", TRIVIAL, 1.25), ("2 s job", TWO_SECONDS, 1.10)):
        project = place.trained(kind.replace(" ", "-"), code)
        command = bare(project, place.image)
        prefix, here = place.as_user(project), place.environment()
        cases += [Case(f"bare docker run as a user, {kind}", prefix + command, project, here),
                  Case(f"make train as a user, {kind}", [*prefix, "make", "train"], project, here)]
        rows.append((cases[-1].name, cases[-2].name, limit))
    times = interleave(cases, rounds, place.say)
    return [row(times, *names) for names in rows]


# The sandbox


def sandbox(place: Workplace, rounds: int) -> list[Row]:
    """`make train` in the sandbox over the default project's own script, run directly by the same Python."""
    project = place.project("sandbox", settings="ENGINE=sandbox\n")
    direct = directly(project)
    here = place.environment()
    cases = [
        Case("python3 code/train.py", ["python3", str(direct / "train.py")], project, here),
        Case("make train in the sandbox", ["make", "train"], project, here),
        Case("make train ENGINE=sandbox, which writes its recipe anew", ["make", "train", "ENGINE=sandbox"], project, here),
    ]
    times = interleave(cases, rounds, place.say)
    return [row(times, cases[1].name, cases[0].name, 3), row(times, cases[2].name, cases[0].name)]


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


# Python's and cookiecutter's share


def recipe(place: Workplace, rounds: int) -> list[Row]:
    """Writing a recipe, over the start of the same Python."""
    project, here = place.baked(), place.environment()
    python = "sm_local/.venv/bin/python"
    cases = [Case("python -c pass", [python, "-c", "pass"], project, here),
             Case("writing a recipe", [python, "-m", "sm_local", "train"], project, here)]
    times = interleave(cases, rounds, place.say)
    found = row(times, cases[1].name, cases[0].name)
    return [Row(found.what, found.over, found.ratio, verdict(times.typical(cases[1].name), 0.2, " s"), found.note)]


def bake(place: Workplace, rounds: int) -> list[Row]:
    """A bake, with hooks and without, over cookiecutter with a template of one file."""
    floor = place.folder / "floor"
    (floor / "{{cookiecutter.project}}").mkdir(parents=True)
    (floor / "cookiecutter.json").write_text('{"project": "floor"}')
    (floor / "{{cookiecutter.project}}/README.md").write_text("# {{cookiecutter.project}}\n")
    here, target = place.environment(), str(place.template)
    cases = [
        Case("cookiecutter, a template of one file", place.bake_command("bakes", str(floor)), place.folder, here),
        Case("bake without hooks", place.bake_command("bakes", "--accept-hooks", "no", target), place.folder, here),
        Case("bake", place.bake_command("bakes", "--accept-hooks", "yes", target), place.folder, here),
    ]
    times = interleave(cases, rounds, place.say)
    return [row(times, "bake", cases[0].name, 1.3), row(times, "bake without hooks", cases[0].name)]


# Size


def channels(place: Workplace, rounds: int) -> list[Row]:
    """Channels of one byte, of 1 GiB, of 100,000 files: the start must not notice, and nothing may be copied."""
    cases = []
    for name in ("1-byte", "1-GiB", "100000-files"):
        project = place.trained(name, TRIVIAL)
        fill(project / "opt/ml/input/data/training", name)
        cases.append(Case(f"make train, a channel of {name.replace('-', ' ')}", ["make", "train"], project, place.environment()))
    before = [disk_use(case.folder) for case in cases]
    times = interleave(cases, rounds, place.say)
    copied = [disk_use(case.folder) - then for case, then in zip(cases, before)]
    rows = [row(times, case.name, cases[0].name) for case in cases[1:]]
    for case, more in zip(cases[1:], copied[1:]):
        extra = max(0, more - copied[0])
        rows.append(Row(f"{case.name}: bytes copied", "one of 1 byte", f"{extra} bytes", f"≤ 0 {'kept' if extra < 64 * 1024 else '**over**'}",
                        f"{rounds + 1} jobs left {copied[0] / (rounds + 1) / 1024:.0f} KiB each, channel or not"))
    return rows


def fill(channel: Path, name: str) -> None:
    """Fill a channel with one byte, a sparse GiB or 100,000 files of one byte."""
    shutil.rmtree(channel)
    channel.mkdir()
    if name == "100000-files":
        for number in range(100_000):
            folder = channel / f"{number // 1000:02}"
            if not number % 1000:
                folder.mkdir()
            (folder / f"{number}.txt").write_bytes(b"x")
    else:
        with (channel / "train.csv").open("wb") as file:
            file.truncate(1 if name == "1-byte" else 1024 * MB)


def disk_use(folder: Path) -> int:
    """Return the bytes that a folder takes on disk."""
    return int(subprocess.run(["du", "-sk", str(folder)], capture_output=True, text=True, check=True).stdout.split()[0]) * 1024


def pack(place: Workplace, rounds: int) -> list[Row]:
    """Packing a model of 256 MB, half of it noise, over Python's tarfile as the SageMaker SDK uses it, and over tar alone."""
    project = place.project("pack", settings="ENGINE=sandbox\n")
    model = project / "output/job/model"
    model.mkdir(parents=True)
    (project / "output/job/output/data").mkdir(parents=True)
    (model / "noise.bin").write_bytes(os.urandom(128 * MB))
    (model / "text.json").write_bytes((b'{"layer": "%d", "weight": 0.%d}\n' * 1000) % tuple(range(2000)) * (128 * MB // 33_000))
    here = place.environment()
    sdk = "import sys, tarfile\nwith tarfile.open(sys.argv[1], 'w:gz', dereference=True) as file: file.add(sys.argv[2], arcname='.')"
    cases = [
        Case("tar, no compression", ["tar", "-C", str(model), "-cf", str(place.folder / "plain.tar"), "."], project, here),
        Case("Python's tarfile, as the SDK packs", [sys.executable, "-c", sdk, str(place.folder / "sdk.tar.gz"), str(model)], project, here),
        Case("make pack, 256 MB", ["make", "pack", "JOB=output/job"], project, here),
    ]
    times = interleave(cases, min(rounds, 3), place.say)
    return [row(times, cases[2].name, cases[1].name), row(times, cases[2].name, cases[0].name)]


GROUPS = {"train": train, "pieces": pieces, "user": user, "sandbox": sandbox, "recipe": recipe, "bake": bake, "channels": channels, "pack": pack}
