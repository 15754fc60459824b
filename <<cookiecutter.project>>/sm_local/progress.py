"""How far a download is, on one line of the terminal. For verbs that wait for a network.

Nothing here runs on `make train`'s path: rich is in requirements-aws.txt, and slow to import.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show percent, bytes, speed and time left while the block runs; yield what counts bytes.

    Where stderr is no terminal nothing is shown: a log would have a line for each step.
    """
    if not sys.stderr.isatty():
        yield lambda size: None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=24),
        progress.TaskProgressColumn("{task.percentage:>3.0f} %"),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda size: shown.update(task, advance=size)
