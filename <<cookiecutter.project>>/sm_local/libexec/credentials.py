"""Serve AWS credentials to a job's containers at 169.254.170.2, as SageMaker does.

usage: python -m sm_local.libexec.credentials ADDRESS REGION [ROLE-ARN]

Prints the variable that tells the container where, NAME=value, and serves until its stdin ends,
which the job's recipe holds open. The credentials are the caller's own, or those of a role that the
caller may assume; they are in this process alone. The answers follow the Developer Guide's
task-iam-roles of ECS, whose endpoint SageMaker's hosts have (captured).

botocore renews credentials by itself, but its objects do not say when they expire, which the
endpoint's answer must; it renews them 15 minutes before the end, exactly when the SDK in the
container asks again. So `Credentials` keeps the time and renews a little earlier.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..errors import SmLocalError

# SDKs ask again 15 minutes before the end, and would get the same credentials once more.
EARLY = timedelta(minutes=16)
Fetch = Callable[[], dict]  # → AccessKeyId, SecretAccessKey, Token, Expiration (a datetime)


def main(arguments: list[str]) -> int:
    """Serve; return the exit status."""
    address, region, role = (*arguments, "")[:3]
    try:
        credentials = Credentials(_assumed(role, region) if role else _own())
        server, variable = _serve(address, credentials)
    except SmLocalError as error:
        print(f"sm-local: {error}", file=sys.stderr)
        return 1
    print(variable, flush=True)
    until = f"{credentials.current()['Expiration']:%H:%M} UTC"
    print(
        f"sm-local: credentials: {role or 'your own'}, until {until}, then renewed",
        file=sys.stderr,
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    return 0


class Credentials:
    """The current credentials: fetched once, and again before they expire."""

    def __init__(self, fetch: Fetch) -> None:
        """Fetch the first ones. Raises SmLocalError."""
        self._fetch, self._lock = fetch, threading.Lock()
        self._value = fetch()

    def current(self) -> dict:
        """Return credentials that are good for a while yet, if there are such."""
        with self._lock:
            if self._value["Expiration"] - datetime.now(timezone.utc) < EARLY:
                self._value = self._fetch()
            return self._value


def _own() -> Fetch:
    """Return what fetches the caller's own: environment, profile, SSO, whatever boto3 finds."""
    session = _new_session()

    def fetch() -> dict:
        found = session.get_credentials()
        if not found:
            raise SmLocalError(
                "CREDENTIALS=session: you have no AWS credentials; "
                "'aws configure' or 'aws sso login' gets some, CREDENTIALS=off runs without"
            )
        frozen = _asking("session", found.get_frozen_credentials)
        # botocore has no public name for the time; credentials that it cannot renew have none
        expiry = getattr(found, "_expiry_time", None)
        expiry = expiry or datetime.now(timezone.utc) + timedelta(hours=1)
        return _answer(frozen.access_key, frozen.secret_key, frozen.token, expiry)

    return fetch


def _assumed(role: str, region: str) -> Fetch:
    """Return what fetches a role's, so that a job has the permissions that it has on SageMaker."""
    client = _asking("role", lambda: _new_session().client("sts", region_name=region))

    def fetch() -> dict:
        given = _asking(
            "role", lambda: client.assume_role(RoleArn=role, RoleSessionName="SageMaker")
        )["Credentials"]
        key, secret = given["AccessKeyId"], given["SecretAccessKey"]
        return _answer(key, secret, given["SessionToken"], given["Expiration"])

    return fetch


def _new_session():
    """Return a boto3 session. Raises SmLocalError, for instance for an unknown profile."""
    import boto3  # here, because only these jobs need it

    return _asking("session", boto3.Session)


def _asking(mode: str, call: Callable):
    """Call AWS; raise SmLocalError with AWS's own words."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except (BotoCoreError, ClientError) as error:
        raise SmLocalError(f"CREDENTIALS={mode}: {error}") from error


def _answer(key: str, secret: str, token: str | None, expiration: datetime) -> dict:
    """Return credentials in the words of the endpoint."""
    return {
        "AccessKeyId": key,
        "SecretAccessKey": secret,
        "Token": token or "",
        "Expiration": expiration,
    }


def _serve(address: str, credentials: Credentials) -> tuple[ThreadingHTTPServer, str]:
    """Return a server and the variable that leads to it.

    Port 80 and a relative URI are SageMaker's; an unprivileged caller gets another port.
    """
    path = f"/v2/credentials/{uuid.uuid4()}"  # nobody can guess it, and no command line has it
    handler = type("Handler", (Endpoint,), {"wanted": path, "credentials": credentials})
    if address == "169.254.170.2":
        with contextlib.suppress(OSError):
            server = ThreadingHTTPServer((address, 80), handler)
            return server, f"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI={path}"
    try:
        server = ThreadingHTTPServer((address, 0), handler)
    except OSError as error:
        raise SmLocalError(
            f"CREDENTIALS: cannot serve them at {address} ({error.strerror})"
        ) from error
    url = f"http://{address}:{server.server_address[1]}{path}"
    return server, f"AWS_CONTAINER_CREDENTIALS_FULL_URI={url}"


class Endpoint(BaseHTTPRequestHandler):
    """Answer GET of the one path that the container was told."""

    wanted: str
    credentials: Credentials

    def do_GET(self) -> None:
        """Answer with the current credentials, or 500 and AWS's words if there are none."""
        try:
            status, value = (
                (200, self.credentials.current())
                if self.path == self.wanted
                else (404, {"message": "no such credentials"})
            )
        except SmLocalError as error:
            status, value = 500, {"message": str(error)}
        body = json.dumps(value, default=lambda time: f"{time:%Y-%m-%dT%H:%M:%SZ}").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: it would be in the job's log."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
