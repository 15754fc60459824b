"""Download objects over many connections with s3transfer, the part of boto3 that does it.

A large object comes in pieces over several connections at once, each on condition that the object
is still the one that was listed (If-Match). It lies in data/s3/.parts until it is whole, then moves
to its place. What is incomplete when a call ends is thrown away, by this call or the next one, and
fetched again from its beginning; what is whole stays.
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import progress
from ..kinds.job import Channel
from .listing import PARTS, Remote
from .pool import DaemonPool
from .wording import explaining

if TYPE_CHECKING:
    from s3transfer.manager import TransferManager

CONNECTIONS = 16  # S3 answers many calls at once; a single one seldom fills a line
PIECE = 8 << 20  # bytes of one ranged GET
IN_FLIGHT = 256  # objects that s3transfer knows of; an error stops the rest before they are queued
GRACE = 2  # seconds for what is in flight to stop in


def manager(client) -> TransferManager:
    """Return the s3transfer manager that all channels share."""
    from s3transfer.manager import TransferConfig, TransferManager

    config = TransferConfig(
        max_request_concurrency=CONNECTIONS,
        multipart_chunksize=PIECE,
        multipart_threshold=1,  # s3transfer sends If-Match with ranged GETs only
    )
    return TransferManager(client, config, executor_cls=DaemonPool)


def throw_away_parts() -> None:
    """Remove what an earlier call left incomplete. The caller holds the lock."""
    for path in PARTS.iterdir():
        path.unlink()


def download(
    channel: Channel, transfers: TransferManager, wanted: list[Remote], total: int
) -> None:
    """Fetch objects, whose bytes are `total`. The first error ends it. Raises SmLocalError."""
    ended: queue.SimpleQueue = queue.SimpleQueue()
    flying: dict[Remote, Any] = {}
    with progress.bar(f"channel {channel.name}", total) as advance:
        watch = [_watcher({str(one.part): one for one in wanted}, advance, ended)]
        try:
            for one in wanted:
                while len(flying) >= IN_FLIGHT:
                    _settle(channel, flying, ended.get())
                flying[one] = transfers.download(one.bucket, one.key, str(one.part), None, watch)
            while flying:
                _settle(channel, flying, ended.get())
        except BaseException:
            _cancel(flying, ended)
            raise


def _watcher(
    known: dict[str, Remote], advance: Callable[[int], None], ended: queue.SimpleQueue
) -> Any:
    """Return what tells s3transfer the size and ETag that were listed, and us how far it is.

    `known` are the objects by their parts' paths, by which s3transfer knows them.
    """
    from s3transfer.subscribers import BaseSubscriber

    class Watcher(BaseSubscriber):
        def on_queued(self, future, **_: Any) -> None:
            one = known[future.meta.call_args.fileobj]
            future.meta.provide_transfer_size(one.size)
            future.meta.provide_object_etag(one.etag)

        def on_progress(self, future, bytes_transferred: int, **_: Any) -> None:
            advance(bytes_transferred)

        def on_done(self, future, **_: Any) -> None:
            ended.put(known[future.meta.call_args.fileobj])

    return Watcher()


def _settle(channel: Channel, flying: dict[Remote, Any], one: Remote) -> None:
    """Move an object that has come to its place. Raises SmLocalError if it has not."""
    with explaining(channel.name, one.path):
        flying.pop(one).result()
        os.utime(one.part, (one.modified, one.modified))
        one.path.parent.mkdir(parents=True, exist_ok=True)
        one.part.replace(one.path)


def _cancel(flying: dict[Remote, Any], ended: queue.SimpleQueue) -> None:
    """Stop what is in flight; leave what hangs to its daemon thread, which ends with us."""
    deadline = time.monotonic() + GRACE
    for future in flying.values():
        future.cancel()
    with contextlib.suppress(queue.Empty):
        while flying:
            flying.pop(ended.get(timeout=max(0, deadline - time.monotonic())), None)
