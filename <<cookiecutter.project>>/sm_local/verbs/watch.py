"""`make watch`: run another verb, and run it again on each save."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from .. import settings
from ..errors import SmLocalError
from ..request import hyperparameters
from ..watch import events, files, notices, report, runs
from . import planning

JOBS = {"train": "job.yaml", "process": "processing.yaml"}  # verb, and the request that it runs
OWN = ("VERB", "KEEP", "BUILD")  # what is watch's alone among what is typed
CODE, IMAGE = "code", "container"
HELLO = "a save runs it again, and so does Enter; Ctrl-C stops a running job, at rest it ends this"


def run(given: dict[str, str]) -> int:
    """Watch until somebody ends it; return the exit status. Raises SmLocalError."""
    verb = given.get("VERB", "train")
    if verb not in JOBS:
        raise SmLocalError(f"VERB={verb}: watch runs {' or '.join(JOBS)}")
    Watch(verb, given, planning.read_settings(given)).run()
    return 0


class Watch:
    """What runs, what is to run, and what the files held when the last run began."""

    def __init__(self, verb: str, given: dict[str, str], values: dict[str, str]):
        self.verb, self.given, self.request = verb, given, given.get("JOB", JOBS[verb])
        self.builds, self.keep = values["BUILD"] == "1", values["KEEP"]
        self.notices = notices.choose((CODE, IMAGE, os.path.dirname(self.request) or "."))
        single = (self.request, *settings.FILES, str(hyperparameters.PATH))
        self.code = files.Contents((CODE,), single, self.enter)
        self.image = files.Contents((IMAGE,), (), self.enter)
        self.ran, self.built = self.code.now(), self.image.now()
        self.wanted, self.is_stale, self.is_ending = "first run", False, False
        self.job: runs.Run | None = None
        self.definitions: report.Definitions = ()
        self.metrics: report.Metrics = {}
        self.mine: list[Path] = []  # the folders of the jobs that ran

    def enter(self, folder: str) -> None:
        """Ask for notices about a folder; look now and then where there are no more to be had."""
        try:
            self.notices.enter(folder)
        except OSError:
            self.notices = notices.Poll()

    def run(self) -> None:
        """Wait, and do what is due, until the end."""
        sources, self.guard = events.Events(), runs.Guard()
        kept = "" if self.keep == "all" else f"; its last {self.keep} jobs are kept (KEEP)"
        say(f"'make {self.verb}' on {CODE}/ and {self.request}: {HELLO}{kept}")
        while self.job or not self.is_ending:
            if self.wanted and not self.job:
                self.start()
            for event in sources.wait(self.notices.descriptor, self.notices.period):
                getattr(self, event)()
            if self.job and self.job.has_ended():
                self.finish(self.job)
        self.guard.close()

    def start(self) -> None:
        """Start a run of what the files hold now, or later."""
        self.ran = self.code.now()
        goals = [*(["build"] if self.is_stale else []), self.verb]
        typed = [f"{name}={value}" for name, value in self.given.items() if name not in OWN]
        command = [os.environ.get("MAKE", "make"), "--no-print-directory", *goals, *typed]
        self.job = runs.Run(self.wanted, command, runs.environment(self.given), self.guard)
        self.wanted, self.is_stale = "", False
        self.definitions = report.definitions(self.request)

    def finish(self, job: runs.Run) -> None:
        """Say how a run ended; drop what is more than KEEP."""
        self.job, folder = None, job.folder()
        status, found = runs.status(folder), {}
        if folder and status == "Completed":  # others are cut off, and compare with nothing
            found = report.metrics(runs.log(folder), self.definitions)
        say(report.line(job.reason, status, job.seconds, report.told(found, self.metrics)))
        self.metrics.update(found)
        self.mine += [folder] if folder else []
        while self.keep != "all" and len(self.mine) > int(self.keep):
            runs.delete(self.mine.pop(0))

    def want(self, reason: str) -> None:
        """Run again; what runs is stopped first, and what only packs is waited for."""
        if self.job and not self.wanted and not self.job.is_packing():
            self.job.stop()
        self.wanted = reason

    def enter_key(self) -> None:
        """Run now."""
        self.want("Enter")

    def interrupt(self) -> None:
        """Stop the job, kill it the second time; end at rest."""
        self.wanted = ""
        if self.job:
            self.job.stop()
        else:
            self.is_ending = True

    def end(self) -> None:
        """Stop the job, then end."""
        if self.job and not self.is_ending:
            self.job.stop()
        self.wanted, self.is_ending = "", True

    def notice(self) -> None:
        """Find out what has changed, if anything has."""
        self.notices.settle()
        if changed := files.changes(self.ran, self.code.now()):
            self.want(report.named(changed))
        now = self.image.now()
        if changed := files.changes(self.built, now):
            self.built = now
            self.image_changed(report.named(changed))

    def image_changed(self, names: str) -> None:
        """Build and run, or say what to do; in the sandbox container/ needs no build."""
        self.is_stale = self.builds
        if self.builds or not self.has_images():
            self.want(names)
        else:
            say(f"{names} changed; run 'make build', then press Enter here (BUILD=1 builds)")

    def has_images(self) -> bool:
        """Return whether the engine of now runs images; one that is down does not say."""
        with contextlib.suppress(SmLocalError):
            return planning.find_engine(planning.read_settings(self.given)).facts.has_images
        return True


def say(text: str) -> None:
    """Print a line; the terminal may be closed."""
    with contextlib.suppress(OSError):
        print(f"sm-local: watch: {text}", file=sys.stderr, flush=True)
