"""A thread pool that never holds up the end of the program.

`concurrent.futures.ThreadPoolExecutor` joins its threads at exit, so Ctrl-C would wait until a
connection that hangs has timed out. These threads are daemons.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any


class DaemonPool(Executor):
    """Run calls in up to `max_workers` daemon threads; leaving the block does not wait for them."""

    def __init__(self, max_workers: int) -> None:
        """Start no thread yet."""
        self._waiting: SimpleQueue = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._max_workers = max_workers
        self._lock = threading.Lock()

    def submit(self, call, /, *args, **kwargs) -> Future:
        """Return the future of a call."""
        future: Future = Future()
        self._waiting.put((future, lambda: call(*args, **kwargs)))
        with self._lock:
            if len(self._threads) < self._max_workers:
                self._threads.append(threading.Thread(target=self._work, daemon=True))
                self._threads[-1].start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End each thread after what was submitted before; `wait` is ignored."""
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while item := self._waiting.get():
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            result: Any = None
            try:
                result = call()
            except BaseException as error:  # belongs to whoever asks the future
                future.set_exception(error)
            else:
                future.set_result(result)
