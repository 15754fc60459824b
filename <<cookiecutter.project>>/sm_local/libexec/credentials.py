"""Serve AWS credentials to a job's containers the way SageMaker does: at 169.254.170.2, fetched anew before they expire.

usage: python -m sm_local.libexec.credentials ADDRESS REGION [ROLE-ARN]

Prints the variable that tells the container where, NAME=value, and serves until its stdin ends: the job's recipe holds it
open. The credentials are the caller's own, or the role's that those may assume; they are in this process alone. What is
served: the Developer Guide's task-iam-roles of ECS, whose endpoint SageMaker's hosts have (captured).
"""

from __future__ import annotations

import json
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..errors import SmLocalError

EARLY = timedelta(
    minutes=16
)  # SDKs ask anew 15 minutes before the end, and would get the same again
Fetch = Callable[[], dict]  # → AccessKeyId, SecretAccessKey, Token, Expiration (a datetime)


def main(arguments: list[str]) -> int:
    """Serve; return the exit status."""
    address, region, role = (*arguments, "")[:3]
    try:
        credentials = Credentials(assumed(role, region) if role else own())
        server, variable = serve(address, credentials)
    except SmLocalError as error:
        print(f"sm-local: {error}", file=sys.stderr)
        return 1
    print(variable, flush=True)
    print(
        f"sm-local: credentials: {role or 'your own'}, until {credentials.current()['Expiration']:%H:%M} UTC, then fetched anew",
        file=sys.stderr,
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    return 0


class Credentials:
    """The credentials of now: fetched when asked for, and again before they expire."""

    def __init__(self, fetch: Fetch) -> None:
        """Fetch the first ones. Raises SmLocalError."""
        self.fetch, self.lock = fetch, threading.Lock()
        self.value = fetch()

    def current(self) -> dict:
        """Return credentials that are good for a while yet, if there are such."""
        with self.lock:
            if self.value["Expiration"] - datetime.now(timezone.utc) < EARLY:
                self.value = self.fetch()
            return self.value


def own() -> Fetch:
    """Return what fetches the caller's own credentials: environment, profile, SSO, whatever boto3 finds."""
    session = new_session()

    def fetch() -> dict:
        found = session.get_credentials()
        if not found:
            raise SmLocalError(
                "CREDENTIALS=session: you have no AWS credentials; 'aws configure' or 'aws sso login' gets some, CREDENTIALS=off runs without"
            )
        frozen = asking("session", found.get_frozen_credentials)
        expiry = getattr(
            found, "_expiry_time", None
        )  # of those that botocore itself renews; others say nothing of their end
        return answer(
            frozen.access_key,
            frozen.secret_key,
            frozen.token,
            expiry or datetime.now(timezone.utc) + timedelta(hours=1),
        )

    return fetch


def assumed(role: str, region: str) -> Fetch:
    """Return what fetches a role's credentials, so that a job meets the permissions that it has on SageMaker."""
    client = asking("role", lambda: new_session().client("sts", region_name=region))

    def fetch() -> dict:
        given = asking(
            "role", lambda: client.assume_role(RoleArn=role, RoleSessionName="SageMaker")
        )["Credentials"]
        return answer(
            given["AccessKeyId"],
            given["SecretAccessKey"],
            given["SessionToken"],
            given["Expiration"],
        )

    return fetch


def new_session():
    """Return a boto3 session of the caller's."""
    import boto3  # here, because only these jobs need it

    return asking("session", boto3.Session)


def asking(mode: str, call: Callable):
    """Call AWS; raise SmLocalError with AWS's own words."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except (BotoCoreError, ClientError) as error:
        raise SmLocalError(f"CREDENTIALS={mode}: {error}") from error


def answer(key: str, secret: str, token: str | None, expiration: datetime) -> dict:
    """Return credentials in the words of the endpoint."""
    return {
        "AccessKeyId": key,
        "SecretAccessKey": secret,
        "Token": token or "",
        "Expiration": expiration,
    }


def serve(address: str, credentials: Credentials) -> tuple[ThreadingHTTPServer, str]:
    """Return a server and the variable that leads to it: port 80 and a relative URI as there, another port where 80 is not ours."""
    path = f"/v2/credentials/{uuid.uuid4()}"  # nobody can guess it, and it is in no command line
    handler = type("Handler", (Endpoint,), {"wanted": path, "credentials": credentials})
    if address == "169.254.170.2":
        try:
            return ThreadingHTTPServer(
                (address, 80), handler
            ), f"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI={path}"
        except OSError:
            pass
    try:
        server = ThreadingHTTPServer((address, 0), handler)
    except OSError as error:
        raise SmLocalError(
            f"CREDENTIALS: cannot serve them at {address} ({error.strerror})"
        ) from error
    return (
        server,
        f"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://{address}:{server.server_address[1]}{path}",
    )


class Endpoint(BaseHTTPRequestHandler):
    """Answer GET of the one path."""

    wanted: str
    credentials: Credentials

    def do_GET(self) -> None:
        """Answer with the credentials of now; with 404 to any other path, 500 and AWS's words when they cannot be had."""
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
