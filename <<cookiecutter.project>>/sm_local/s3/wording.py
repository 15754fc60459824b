"""What `make data` prints: sizes, counts, and an error of AWS's with what to do about it."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Iterator

from ..errors import SmLocalError

UNITS = ("bytes", "KB", "MB", "GB", "TB")
SHAPE_ERRORS = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY)
HINTS = (
    (
        ("Unable to locate credentials", "Partial credentials"),
        "'aws configure' or 'aws sso login' gets some",
    ),
    (("Expired", "has expired", "SSO"), "'aws sso login' gets new credentials"),
    (
        ("InvalidAccessKeyId", "SignatureDoesNotMatch"),
        "'aws configure list' says which credentials are used",
    ),
    (("NoSuchBucket", "Invalid bucket name"), "correct S3Uri in the request"),
    (("NoSuchKey", "Not Found"), "correct S3Uri in the request, or what the manifest names"),
    (
        ("AccessDenied", "Forbidden"),
        "you need s3:ListBucket and s3:GetObject there, and kms:Decrypt for its key if it has one",
    ),
    (("InvalidObjectState",), "it is archived; restore it first: 'aws s3api restore-object'"),
    (
        ("PreconditionFailed", "did not match expected ETag"),
        "it has changed since it was listed; 'make data' again fetches the new version",
    ),
    (
        ("Could not connect", "Connect timeout", "Proxy"),
        "check the network, the proxy and AWS_ENDPOINT_URL",
    ),
)


@contextlib.contextmanager
def explaining(channel: str, what: object) -> Iterator[None]:
    """Turn what AWS or the disk says into an SmLocalError in the same words, with the remedy."""
    from botocore.exceptions import BotoCoreError, ClientError
    from s3transfer import exceptions as s3transfer

    downloads = (s3transfer.S3DownloadFailedError, s3transfer.RetriesExceededError)
    try:
        yield
    except (BotoCoreError, ClientError, OSError, *downloads) as error:
        cause = getattr(error, "last_exception", error)  # of the last try, if there were several
        said = str(cause).rstrip(".")
        raise SmLocalError(f"channel {channel!r}: {what}: {said}; {hint(cause)}") from error


def hint(error: Exception) -> str:
    """Return the remedy; without one of its own, an error is worth another try."""
    said = str(error)
    if isinstance(error, OSError) and error.errno in SHAPE_ERRORS:
        return (
            "a folder here cannot be a file too: remove it from data/s3, "
            "or copy the object to another key"
        )
    for words, what in HINTS:
        if any(word in said for word in words):
            return what
    return "'make data' again goes on from here"


def amount(size: float) -> str:
    """Return a number of bytes with at least two digits and the unit that suits it."""
    for unit in UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == UNITS[0] or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.0f} {UNITS[-1]}" if size >= 10 else f"{size:.1f} {UNITS[-1]}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def say(text: str) -> None:
    """Print one line the way recipes do."""
    print(f"sm-local: {text}", file=sys.stderr, flush=True)
