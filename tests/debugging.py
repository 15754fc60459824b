"""`make debug` and the editors that join it: what the tests of the debugger share."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import house
from dap import Editor, Stop
from house import CACHE
from projects import clean_environment
from terminal import background, eventually

HERE = "127.0.0.1"


def link_debugger(project: Path) -> None:
    """Give a project the debugger; it is fetched once, as the product does, and kept."""
    lines = (project / "sm_local/lib/debugger.sh").read_text()
    place = Path(re.search(r"^debugpy=(\S+)", lines, re.MULTILINE)[1])
    kept = CACHE / f"debugpy=={place.name}"
    with house.locked("debugpy"):
        if not kept.exists():
            fetch = ["bash", "-p", "sm_local/libexec/debugpy.sh", str(place)]
            subprocess.run(fetch, cwd=project, check=True)
            shutil.move(project / place, kept)
    (project / place).parent.mkdir(exist_ok=True)
    (project / place).symlink_to(kept)


def free_port(count: int = 1) -> int:
    """Return the first of so many neighbouring ports that nobody has."""
    while True:
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            sockets[0].bind((HERE, 0))
            port = sockets[0].getsockname()[1]
            try:
                for number, one in enumerate(sockets[1:], 1):
                    one.bind((HERE, port + number))
            except (OSError, OverflowError):
                continue
            return port


def listening(port: int) -> set[str]:
    """Return the addresses of this machine at which somebody listens on a port."""
    text = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    places = [row[1].split(":") for row in map(str.split, text.splitlines()) if row[3] == "0A"]
    found = {address for address, number in places if number == f"{port:04X}"}
    return {HERE if address == "0100007F" else address for address in found}


def launch(project: Path, name: str, port: int) -> dict:
    """Return a configuration of the project's launch.json as VS Code reads it, at another port."""
    text = (project / ".vscode/launch.json").read_text()
    found = json.loads(text.replace("${workspaceFolder}", str(project)))["configurations"]
    configuration = next(one for one in found if one["name"] == name)
    return {**configuration, "connect": {**configuration["connect"], "port": port}}


class Debugged:
    """A project's `make debug` that runs, and the editors that have joined it."""

    def __init__(self, project: Path, *arguments: str, command=(), **environment: str):
        self.project, self.text, self.editors = project, "", []
        settings = project / "settings.local.env"
        self.port = free_port(2)
        kept = settings.read_text() if settings.exists() else ""
        settings.write_text(f"{kept}DEBUG_PORT={self.port}\n")
        env = clean_environment(**environment)
        self.job = background(list(command) or ["make", "debug", *arguments], project, env=env)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        for line in self.job.stdout:
            self.text += line

    def wait_for(self, pattern: str) -> None:
        """Wait until the job has said something."""
        came = eventually(
            lambda: re.search(pattern, self.text) or self.job.poll() is not None, timeout=120
        )
        assert came and re.search(pattern, self.text), self.text

    def join(self, points: dict[str, list[int]], expression: str, name="algo-1", **more) -> Editor:
        """Attach an editor with breakpoints in files of code/ once the address is told."""
        port = launch(self.project, name, 0) and self.port + (name == "algo-2")
        self.wait_for(f"sm-local: .*debugger.* on {HERE}:{port}\n")
        places = {self.project / "code" / file: lines for file, lines in points.items()}
        editor = Editor(launch(self.project, name, port), places, expression, **more)
        self.editors.append(editor)
        return editor

    def end(self) -> int:
        """Wait for its end; return make's exit status."""
        status = self.job.wait(120)
        self.reader.join(60)
        return status


@contextlib.contextmanager
def debugged(project: Path, *arguments: str, **more) -> Iterator[Debugged]:
    """Run `make debug` in a project; stop what is left of it at the end."""
    job = Debugged(project, *arguments, **more)
    try:
        yield job
    finally:
        if job.job.poll() is None:
            job.job.terminate()
            job.end()
        for editor in job.editors:
            editor.close()


def at(stop: Stop) -> tuple[str, str, int, str]:
    """Return a stop with the name of its file alone."""
    return stop.reason, Path(stop.file).name, stop.line, stop.value
