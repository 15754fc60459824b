"""An editor's part of the Debug Adapter Protocol, as VS Code and nvim-dap speak it to debugpy.

Editor attaches and follows the processes that the debugger tells of. At each stop it reads an
expression and goes on, unless it is to hold.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from pathlib import Path
from typing import NamedTuple

TIMEOUT = 60  # seconds until something that should come is given up


class Stop(NamedTuple):
    """Where a process stopped, and what the expression was there."""

    reason: str
    file: str  # as the editor knows it
    line: int
    value: str


class Session:
    """One connection: one process that is debugged."""

    def __init__(self, editor: Editor, arguments: dict):
        self.editor, self.arguments = editor, arguments
        self.number, self.answers = 0, {}
        self.arrived = threading.Condition()
        self.events: set[str] = set()
        self.closed = False
        self.socket = connected(arguments["connect"]["host"], arguments["connect"]["port"])
        self.file = self.socket.makefile("rwb")
        threading.Thread(target=self.read, daemon=True).start()

    def begin(self) -> None:
        """Attach, set the breakpoints, and let the process run."""
        self.ask("initialize", adapterID="debugpy", pathFormat="path")
        attach = self.send("attach", **self.arguments)
        self.until(lambda: "initialized" in self.events)
        for path, lines in self.editor.breakpoints.items():
            points = [{"line": line} for line in lines]
            self.ask("setBreakpoints", source={"path": str(path)}, breakpoints=points)
        self.ask("setExceptionBreakpoints", filters=list(self.editor.exceptions))
        self.ask("configurationDone")
        self.answer(attach)

    def send(self, command: str, **arguments: object) -> int:
        """Send a request; return its number."""
        with self.arrived:
            self.number += 1
            number = self.number
            body = {"seq": number, "type": "request", "command": command, "arguments": arguments}
            text = json.dumps(body).encode()
            self.file.write(b"Content-Length: %d\r\n\r\n%b" % (len(text), text))
            self.file.flush()
        return number

    def ask(self, command: str, **arguments: object) -> dict:
        """Send a request; return the answer's body."""
        return self.answer(self.send(command, **arguments))

    def answer(self, number: int) -> dict:
        self.until(lambda: number in self.answers)
        found = self.answers[number]
        assert found["success"], found
        return found.get("body") or {}

    def until(self, true) -> None:
        with self.arrived:
            came = self.arrived.wait_for(lambda: true() or self.closed, TIMEOUT)
            assert came and true(), "the debugger " + ("went away" if self.closed else "is silent")

    def read(self) -> None:
        """Take in what comes, until the other side closes."""
        try:
            while header := self.file.readline():
                size = 0
                while header.strip():
                    name, _, value = header.partition(b":")
                    size = int(value) if name.lower() == b"content-length" else size
                    header = self.file.readline()
                self.take(json.loads(self.file.read(size)))
        except (OSError, ValueError):
            pass
        with self.arrived:
            self.closed = True
            self.arrived.notify_all()

    def take(self, message: dict) -> None:
        with self.arrived:
            if message["type"] == "response":
                self.answers[message["request_seq"]] = message
            elif message["type"] == "event":
                self.events.add(message["event"])
            self.arrived.notify_all()
        if message.get("event") == "stopped":
            threading.Thread(target=self.stopped, args=(message["body"],), daemon=True).start()
        elif message.get("event") == "debugpyAttach":
            threading.Thread(target=self.editor.join, args=(message["body"],), daemon=True).start()

    def stopped(self, body: dict) -> None:
        """Read the expression where a thread stopped, and go on."""
        frame = self.ask("stackTrace", threadId=body["threadId"])["stackFrames"][0]
        value = self.ask(
            "evaluate", expression=self.editor.expression, frameId=frame["id"], context="watch"
        )["result"]
        stop = Stop(body["reason"], frame["source"]["path"], frame["line"], value)
        if self.editor.hold:
            self.editor.held.put((self, body["threadId"]))
        else:
            self.send("continue", threadId=body["threadId"])
        self.editor.stops.put(stop)


class Editor:
    """An editor with breakpoints, `{file: lines}`, that attaches as a launch.json says."""

    def __init__(
        self,
        configuration: dict,
        breakpoints: dict[Path, list[int]],
        expression: str,
        *,
        exceptions: tuple[str, ...] = (),
        hold: bool = False,
    ):
        self.breakpoints, self.expression = breakpoints, expression
        self.exceptions, self.hold = exceptions, hold
        self.stops: queue.Queue[Stop] = queue.Queue()
        self.held: queue.Queue[tuple[Session, int]] = queue.Queue()
        self.sessions: list[Session] = []
        self.join(configuration)

    def join(self, arguments: dict) -> None:
        """Debug one more process."""
        session = Session(self, arguments)
        self.sessions.append(session)
        session.begin()

    def stop(self) -> Stop:
        """Return the next stop."""
        return self.stops.get(timeout=TIMEOUT)

    def go_on(self) -> None:
        """Let what is held go on."""
        session, thread = self.held.get(timeout=TIMEOUT)
        session.send("continue", threadId=thread)

    def close(self) -> None:
        for session in self.sessions:
            session.socket.close()


def connected(host: str, port: int) -> socket.socket:
    """Return a connection to a debugger.

    An engine's proxy takes connections before anybody listens in the container, and then closes
    them, so a byte has to come first.
    """
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            found = socket.create_connection((host, port), 5)
            found.settimeout(5)
            if found.recv(1, socket.MSG_PEEK):
                found.settimeout(None)
                return found
        except OSError:
            pass
        assert time.monotonic() < deadline, f"nobody listens at {host}:{port}"
        time.sleep(0.05)
