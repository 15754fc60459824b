"""A proxy in front of S3: it keeps what was asked for, and lets a test delay or refuse answers."""

from __future__ import annotations

import contextlib
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Asked(NamedTuple):
    """One request: its path, two of its headers, and the connection that it came over."""

    path: str
    range: str
    if_match: str
    connection: tuple[str, int]


class Proxy(ThreadingHTTPServer):
    """Forward each request after `before(asked)`, which may take its time."""

    daemon_threads = True

    def __init__(self, target: str, before: Callable[[Asked], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.target, self.before = target, before
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        """Return what AWS_ENDPOINT_URL_S3 is set to."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that are interrupted are what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    """Forward GET and HEAD."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_GET(self) -> None:
        """Forward one request."""
        asked = Asked(
            self.path,
            self.headers.get("Range", ""),
            self.headers.get("If-Match", ""),
            self.client_address,
        )
        self.server.asked.append(asked)
        self.server.before(asked)
        request = urllib.request.Request(
            self.server.target + self.path, headers=dict(self.headers), method=self.command
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.answer(answer, answer.read())
        except urllib.error.HTTPError as error:
            self.answer(error, error.read())

    do_HEAD = do_GET

    def answer(self, answer, body: bytes) -> None:
        """Send an answer on."""
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        size = answer.headers["Content-Length"] if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", size or 0)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def proxying(target: str, before: Callable[[Asked], None] = lambda asked: None) -> Iterator[Proxy]:
    """Run a proxy until the end of the block."""
    proxy = Proxy(target, before)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
