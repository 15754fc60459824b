"""What became of a job after a fault: what is lost, what is left, what was said.

The job noted in its checkpoint folder what it had written and printed; all else is looked up from
outside: the job's folder, the engine's lists, the machine's processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from arena import MARK, Engine, marked

# What only a running job needs, by its name in the project.
TEMPORARY = re.compile(r"\.(recipe|in|out|model|feeders)|.*\.new\.\d+|.*\.sh\.\d+|.*\.tar\.gz\.tar")
SCRATCH = ("cow", "stage", "views", "pipes", "pipes.ended", "manifests")
RAW = re.compile(r"\.sh: line \d+:|^Traceback |^bash: |^tee: ", re.MULTILINE)


def jobs(project: Path) -> list[Path]:
    """Return the jobs' folders, oldest first."""
    folders = [path.parent for path in project.glob("output/*/record")]
    return sorted(folders, key=lambda path: path.stat().st_mtime)


def truths(project: Path) -> list[tuple[str, str, int, int]]:
    """Return what jobs wrote: the job, the host and the numbers of files and lines."""
    found = []
    for path in (project / "opt/ml/checkpoints").glob("truth-*[0-9]"):
        job, _, host = path.name.removeprefix("truth-").rpartition("-algo-")
        files, lines = map(int, path.read_text().split())
        found.append((job, f"algo-{host}", files, lines))
    return found


def read(path: Path) -> str:
    """Return a file's text; '' where there is none."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def status_of(job: Path) -> str:
    """Return the first word of a job's status, 'empty' for an empty file."""
    if not (job / "status").exists():
        return "none"
    return (read(job / "status").split() or ["empty"])[0]


# What is lost


def lost(project: Path, said: str, killed: bool) -> Iterator[str]:
    """Yield what jobs had written and printed, and nobody has now.

    `killed`: nobody was left who could have packed; `make jobs` says so.
    """
    for job, host, files, lines in truths(project):
        folder = project / "output" / job
        if not folder.exists():
            yield f"the folder of {job}"
            continue
        at = folder / host if (folder / host).exists() else folder
        yield from lost_files(at, host, files)
        yield from lost_lines(at, lines, said)
        yield from lost_archive(folder, at, said, killed)


def lost_files(at: Path, host: str, count: int) -> Iterator[str]:
    """Yield which of a host's files are missing or others than they were."""
    bad = [n for n in range(1, count + 1) if read(at / f"model/file-{host}-{n}") != "whole\n"]
    if bad:
        yield f"{len(bad)} of {count} files in {at.name}/model, the first is {bad[0]}"


def lost_lines(at: Path, count: int, said: str) -> Iterator[str]:
    """Yield which of a host's lines are in no log, unless somebody has said so."""
    lines = set(read(at / "log").splitlines())
    bad = [n for n in range(1, count + 1) if f"line {n}" not in lines]
    told = re.search(r"^sm-local: .*\blog\b.*(not|full|cut|lost|so far)", said, re.MULTILINE)
    if bad and not told:
        yield f"{len(bad)} of {count} lines of {at.name}/log, the first is {bad[0]}"


def lost_archive(job: Path, at: Path, said: str, killed: bool) -> Iterator[str]:
    """Yield what is wrong with model.tar.gz; a line that says there is none is as good."""
    path = job / "model.tar.gz"
    files = {path.name for path in (at / "model").glob("*")}
    if not path.exists():
        told = re.search(r"could not pack|'make pack\b", said)
        if files and not told and not killed and status_of(job) in ("Completed", "Stopped"):
            yield f"{job.name}/model.tar.gz, and no line says so"
        return
    try:
        with tarfile.open(path) as archive:
            names = {member.name for member in archive}
    except (tarfile.TarError, EOFError, OSError) as error:
        yield f"{job.name}/model.tar.gz is broken ({error})"
        return
    missing = files - names
    if missing and not re.search(r"'make pack\b", said):
        yield f"{len(missing)} files of {job.name}/model.tar.gz, such as {min(missing)}"


# What is left


def left(project: Path, engine: Engine) -> list[str]:
    """Return all that a project has outside its own files and should not have now."""
    return [
        *left_on_engine(project, engine),
        *left_processes(project),
        *left_files(project, engine),
    ]


KINDS = {
    "container": (["ps", "--all", "--quiet", "--no-trunc"], ["inspect"], ["rm", "--force", "-v"]),
    "volume": (["volume", "ls", "--quiet"], ["volume", "inspect"], ["volume", "rm"]),
    "network": (["network", "ls", "--quiet"], ["network", "inspect"], ["network", "rm"]),
}


def on_engine(project: Path, engine: Engine) -> Iterator[tuple[str, str, str]]:
    """Yield what an engine has of the project: kind, id, words. By its path in any field."""
    if engine.kind == "sandbox":
        return
    marks = {str(project), *(path.name for path in jobs(project))}
    for kind, (ls, inspect, _) in KINDS.items():
        ids = engine.told(*ls).split()
        for one in json.loads((engine.told(*inspect, *ids) if ids else "") or "[]"):
            text = json.dumps(one)
            if any(mark in text for mark in marks):
                name = str(one.get("Name") or one.get("name")).strip("/")
                state = (one.get("State") or {}).get("Status", "") if kind == "container" else ""
                yield kind, one.get("Id") or name, f"{kind} {name[:60]} {state}".strip()


def left_on_engine(project: Path, engine: Engine) -> list[str]:
    """Return containers in any state, volumes and networks of the project."""
    return [words for _, _, words in on_engine(project, engine)]


def runs(project: Path, engine: Engine) -> bool:
    """Return whether a container, or in the sandbox a process, of the project runs."""
    if engine.kind == "sandbox":
        return bool(inside(project))
    ids = engine.told("ps", "--quiet", "--filter", f"label=sm-local.project={project}")
    return bool(ids.strip())


def of_project(project: Path) -> dict[int, str]:
    """Return the processes that this run has started on this side, and their command lines.

    A run has one project at a time, in a folder below its own. Rootless Podman, once asked
    anything, keeps a process without arguments for its user, which is no project's.
    """
    found = {pid: command_of(pid) for pid in marked(MARK, project.parent.parent)}
    return {pid: line for pid, line in found.items() if line != "podman"}


def command_of(pid: int) -> str:
    """Return a process's command line, '' if it has ended."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        return text.decode(errors="replace").strip()
    return ""


def parent_of(pid: int) -> int:
    """Return the number of a process's parent; 0 if it has ended."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    return 0


def inside(project: Path) -> dict[int, str]:
    """Return the processes in the project's sandboxes: a job there keeps none of our variables.

    What proves it is a mount on the job's own `stage`, which is made in that namespace alone. The
    project's path elsewhere in the list does not: other sandboxes inherit this machine's mounts.
    """
    own = re.compile(re.escape(f"{project}/output/") + r"[^/]+/(algo-\d+/)?stage(/|$)")
    ours, found = os.stat("/proc/self/ns/mnt").st_ino, {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.stat(process / "ns/mnt").st_ino == ours:
                continue
            lines = (process / "mountinfo").read_text(errors="surrogateescape").splitlines()
            if any(own.match(unescaped(line.split()[4])) for line in lines):
                found[int(process.name)] = command_of(int(process.name))
    return found


def unescaped(path: str) -> str:
    """Return a path of /proc's lists of mounts, in which blanks and the like are octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def is_ours(pid: int, project: Path, containers: list[str]) -> bool:
    """Return whether a process is this run's: by mark, by sandbox, or by its container's cgroup."""
    if pid in of_project(project) or pid in inside(project):
        return True
    groups = read(Path(f"/proc/{pid}/cgroup"))
    return any(len(one) == 64 and one in groups for one in containers)


def left_processes(project: Path) -> list[str]:
    """Return the processes of the project."""
    found = {**inside(project), **of_project(project)}
    return [f"process {command[:70]}" for command in found.values() if command]


def left_files(project: Path, engine: Engine) -> list[str]:
    """Return FIFOs, temporary files, and files of others below the project."""
    found = []
    for folder, folders, names in os.walk(project):
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            here = os.path.relpath(path, project)
            try:
                facts = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISFIFO(facts.st_mode):
                found.append(f"FIFO {here}")
            elif here.startswith(("output/", "recipes/")) and TEMPORARY.fullmatch(name):
                found.append(f"file {here}")
            elif re.fullmatch(rf"output/[^/]+/(algo-\d+/)?({'|'.join(SCRATCH)})", here):
                found.append(f"folder {here}")
            elif facts.st_uid != engine.user:
                found.append(f"{owner(facts.st_uid)} {here}")
    return found


def owner(uid: int) -> str:
    """Return whose a file is."""
    return "root's" if uid == 0 else f"{uid}'s"


def remove(project: Path, engine: Engine) -> None:
    """End and remove what a try has left: the next one must not meet it."""
    for pid in [*inside(project), *of_project(project)]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    for kind, one, _ in list(on_engine(project, engine)):
        engine.told(*KINDS[kind][2], one)
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(f"{project}/"):
            subprocess.run(["umount", "--lazy", line.split()[1]], check=False)


# What was said


def raw_words(said: str) -> list[str]:
    """Return the lines that a program said and that are not for a person."""
    return [line for line in said.splitlines() if RAW.search(line)]


def last_word(verb: str, said: str) -> str:
    """Return the last line of ours, without names, numbers and times; of `jobs` the job's word."""
    lines = [line for line in said.splitlines() if line.startswith("sm-local: ")]
    if verb == "jobs" and not lines:
        rows = said.splitlines()[1:]
        return rows[0].split()[1] if rows else "no job"
    line = lines[-1].removeprefix("sm-local: ") if lines else (said.splitlines() or [""])[-1]
    line = re.sub(r"[\w.-]+-\d{8}-\d{6}(-\d+)?", "JOB", line)
    line = re.sub(r"/\S*sm-local-faults-\S*", "PROJECT", line)
    return re.sub(r"\d+", "N", line)[:90]
