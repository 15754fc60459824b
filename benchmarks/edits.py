"""Run the loop of `make watch` many times, with edits and kills at random moments; look for stale
results and for what is left.

In between, the engine is stopped and started again. Each edit has a number, which the script prints
and saves: so whatever a job shows can be compared with what was saved when it began.

usage: python benchmarks/edits.py [--runs N] [--engine docker|sandbox] [--seed N] [SETTING...]
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import re
import shutil
import signal
import sys
import time

import inquest
from arena import Arena, Engine, hand_over
from terminal import CTRL_C, Terminal

SCRIPT = """import time
print("edit {number}", flush=True)
time.sleep({seconds})
with open("/opt/ml/model/edit", "w") as file: file.write("{number}")
"""
SLACK = 0.02  # seconds between the clock of this program and that of a file system
# Whom a kill -9 meets, by the command line: a recipe or what it has forked, the engine's client,
# the make of a run; `watch` is all of it, and then it is started again.
VICTIMS = {
    "recipe": r"bash .*recipes/",
    "client": r"docker ",
    "make": r"make .*train",
    "watch": r"sm_local watch",
}


class Loop:
    """A project, `make watch` in it, and all that was saved."""

    def __init__(self, arena: Arena, engine: Engine, words: list[str], seed: int) -> None:
        self.arena, self.engine, self.words = arena, engine, words
        self.random = random.Random(seed)
        self.saves: list[tuple[float, int]] = []
        self.said, self.done = "", collections.Counter[str]()
        self.project = arena.project(engine, "edits", 1, "", 0)
        self.script = self.project / "code/train.py"
        job = self.project / "job.yaml"  # without checkpoints: what a killed job holds is its own
        job.write_text(re.sub(r"^CheckpointConfig:.*\n(  .*\n)+", "", job.read_text(), flags=re.M))
        hand_over(self.project, engine)
        self.save()
        self.watch()

    def watch(self) -> None:
        """Start it."""
        command = [
            *self.engine.prefix,
            "make",
            "watch",
            "KEEP=999",
            *self.words,
            *self.engine.words,
        ]
        environment = self.arena.environment(self.engine)
        self.terminal = Terminal(command, self.project, environment)

    def save(self) -> None:
        """Save the next edit, in one of the ways of editors."""
        number = len(self.saves) + 1
        text = SCRIPT.format(number=number, seconds=self.random.choice([0, 0, 0.3, 2]))
        self.saves.append((time.time(), number))
        way = self.random.choice(["write", "rename", "twice"])
        if way == "rename":
            beside = self.script.with_name(".train.py.new")
            beside.write_text(text)
            os.replace(beside, self.script)
        else:
            for _ in range(2 if way == "twice" else 1):
                self.script.write_text(text)
        self.saves[-1] = (time.time(), number)

    def listen(self, seconds: float) -> None:
        """Read what the terminal shows for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.terminal.read(0.05)
            except OSError:
                time.sleep(0.05)

    def attack(self) -> None:
        """Kill something, or take a container away."""
        kinds = [*VICTIMS, *(["container", "parked"] if self.engine.kind == "docker" else [])]
        kind = self.random.choice(kinds)
        self.done[kind] += 1
        if kind in ("container", "parked"):
            label = "sm-local.job" if kind == "container" else "sm-local.parked"
            mine = f"label=sm-local.project={self.project}"
            both = ("--filter", mine, "--filter", f"label={label}")
            for one in self.engine.told("ps", "--quiet", *both).split()[:1]:
                self.engine.told("rm", "--force", "--volumes", one)
            return
        found = inquest.of_project(self.project).items()
        for pid in [pid for pid, line in found if re.search(VICTIMS[kind], line)][:2]:
            os.kill(pid, signal.SIGKILL)
        if kind == "watch":
            self.end_watch()
            self.watch()

    def end_watch(self) -> None:
        """Close the terminal of one that was killed or has ended."""
        self.said += self.terminal.text
        self.terminal.close()
        self.terminal.reap(time.monotonic() + 60)

    def reboot(self) -> None:
        """Stop the engine as a machine does that is shut down, and start it."""
        self.done["engine"] += 1
        self.arena.mortal_engine.kill(signal.SIGTERM)
        self.listen(self.random.uniform(0, 2))
        self.arena.mortal_engine.start()

    def finish(self) -> list[str]:
        """Save once more, wait for that run, end all; return what is wrong."""
        self.listen(5)
        self.save()
        wanted, deadline = f"edit {len(self.saves)}\n", time.monotonic() + 60
        while wanted not in self.terminal.text.replace("\r", "") and time.monotonic() < deadline:
            self.listen(0.2)
        ran = wanted in self.terminal.text.replace("\r", "")
        wrong = [] if ran else ["the last edit never ran"]
        self.listen(4)
        self.terminal.type(CTRL_C)
        self.listen(1)
        self.end_watch()
        done = self.arena.make(self.project, self.engine, "stop")
        wrong += [f"make stop: {done.stdout}"] * bool(done.returncode)
        deadline = time.monotonic() + 10
        while (left := inquest.left(self.project, self.engine)) and time.monotonic() < deadline:
            time.sleep(0.5)
        wrong += [f"left: {one}" for one in left]
        wrong += [f"said: {line}" for line in inquest.raw_words(self.said)]
        return [*wrong, *self.stale()]

    def stale(self) -> list[str]:
        """Return what jobs show that is not what they were to run."""
        wrong = []
        for job in inquest.jobs(self.project):
            if not (job / "recipe.sh").exists():  # it was killed before it had begun
                continue
            began = (job / "recipe.sh").stat().st_mtime
            least = max((n for when, n in self.saves if when < began - SLACK), default=0)
            kept = re.findall(r'"edit (\d+)"', inquest.read(job / "code/train.py"))
            shown = re.findall(r"^edit (\d+)$", inquest.read(job / "log"), re.M)
            saved = [inquest.read(job / "model/edit")] if (job / "model/edit").exists() else []
            for number in {*kept, *shown, *saved} - {""}:
                if int(number) < least:
                    wrong.append(f"{job.name} shows edit {number}, and {least} was saved")
            if len({*kept, *shown, *saved} - {""}) > 1:
                wrong.append(f"{job.name} ran {shown}, keeps {kept}, saved {saved}")
        return wrong


def main(words: list[str] | None = None) -> int:
    """Do it; print what was done and what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100, help="edits (default: 100)")
    parser.add_argument("--engine", default="docker", choices=["docker", "sandbox"])
    parser.add_argument("--base", default="", help="the image to build from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("settings", nargs="*", help="behind `make watch` (default: FAST=1)")
    options = parser.parse_args(words)
    with Arena(options.base) as arena:
        engine = arena.engine(options.engine)
        is_docker = options.engine == "docker"
        if is_docker:
            engine = arena.mortal(engine)
        loop = Loop(arena, engine, options.settings or ["FAST=1"] * is_docker, options.seed)
        for number in range(options.runs):
            loop.listen(loop.random.uniform(0, 1.5))
            loop.save()
            if number % 5 == 4:
                loop.listen(loop.random.uniform(0, 0.6))
                loop.attack()
            if is_docker and number == options.runs // 2:
                loop.reboot()
        wrong = loop.finish()
        jobs = inquest.jobs(loop.project)
        words = collections.Counter(inquest.status_of(job) for job in jobs)
        (loop.project.parent / "said").write_text(loop.said)
        inquest.remove(loop.project, engine)
        print(f"{len(loop.saves)} edits, {len(jobs)} jobs {dict(words)}, kills {dict(loop.done)}")
        parked = sum(", parked" in line for line in loop.said.splitlines())
        print(f"{parked} jobs were parked; wrong: {len(wrong)}")
        for line in wrong:
            print(f"  {line}")
        if not wrong:
            shutil.rmtree(loop.project.parent)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
