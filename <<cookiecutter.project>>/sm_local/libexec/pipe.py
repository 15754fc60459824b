"""Feed a Pipe channel: FIFOs CHANNEL_0, CHANNEL_1, … in FOLDER, one for each epoch, without end.

usage: python3 pipe.py [--gzip] [--recordio] [--seed N] [--attribute A … --base S3-URI]
                       --broken FILE --recipe PID -- FOLDER CHANNEL
       objects' paths on stdin, as `objects.py list` prints them

Ends when its file descriptor 3, which the job's recipe holds open, reaches its end. Standard
library only: recipes run this with any Python.

Sources: the Developer Guide's your-algorithms-training-algo-running-container (FIFOs, epochs, early
close), API:Channel, API:ShuffleConfig, augmented-manifest; RecordIO's framing is that of the
sagemaker-training toolkit's recordio.py.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gzip
import itertools
import json
import os
import random
import signal
import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Union, cast

from objects import MIRROR, inside

MAGIC = 0xCED7230A
# Bytes; also the FIFO's size, 16 times the default: big objects take a quarter less time.
BLOCK = 1 << 20
F_SETPIPE_SZ = 1031  # of Linux; Python's fcntl has it from 3.10 on
Record = Union[bytes, BinaryIO]
BAD_DATA = (OSError, EOFError, ValueError, LookupError, TypeError, RecursionError, zlib.error)


class Broken(Exception):
    """Why an epoch cannot go on, in one line."""


def main() -> None:
    """Feed until the job ends.

    What cannot be read ends the job: the script would take the FIFO's end for the epoch's.
    """
    options = _arguments().parse_args()
    listed = sys.stdin.buffer.read()
    threading.Thread(target=_end_with_the_job, daemon=True).start()
    for epoch in itertools.count():
        fifo = options.folder / f"{options.channel}_{epoch}"
        try:
            _feed(fifo, _epoch_records(listed, options, epoch), options)
        except OSError as error:
            if not options.folder.exists():  # there is no job any more
                return
            _end_the_job(f"channel {options.channel}: {fifo.name}: {error.strerror}", options)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--gzip", action="store_true", help="inflate each object")
    add("--recordio", action="store_true", help="make each object, or attribute, a record")
    add("--seed", type=int, help="shuffle, differently at the start of every epoch")
    attribute = "objects are augmented manifests: one of their attributes; repeat it, in order"
    add("--attribute", action="append", default=[], help=attribute)
    base = "the S3 URI of the manifest's own folder here; other objects are below data/s3/BUCKET"
    add("--base", default="", help=base)
    add("--broken", type=Path, help="the file that gets the reason when data cannot be read")
    add("--recipe", type=int, help="the process that SIGUSR1 tells then")
    add("folder", type=Path)
    add("channel")
    return parser


def _end_with_the_job() -> None:
    """Wait until nobody holds the other end of descriptor 3; the feeder may hang in open()."""
    os.read(3, 1)
    os._exit(0)


def _feed(fifo: Path, records: Iterator[tuple[str, Record]], options: argparse.Namespace) -> None:
    """Offer one epoch. A reader that closes early ends it: the next FIFO is for the next epoch."""
    if not fifo.exists():  # the first one is there before the job starts
        os.mkfifo(fifo)
    with open(fifo, "wb", buffering=0) as out:  # waits for the reader
        _widen(out)
        try:
            for where, record in records:
                with _blaming(where):
                    _send(record, out, options.recordio)
        except BrokenPipeError:
            pass
        except Broken as error:
            _end_the_job(f"channel {options.channel}: {error}", options)


@contextlib.contextmanager
def _blaming(where: str) -> Iterator[None]:
    """Turn an error in the data into Broken with its place; closing early is no error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except BAD_DATA as error:
        raise Broken(f"{where}: {getattr(error, 'strerror', None) or error}") from error


def _end_the_job(reason: str, options: argparse.Namespace) -> None:
    """Tell the recipe, and keep the FIFO open until the job has ended.

    The recipe listens: the job has opened the FIFO, so it runs.
    """
    with contextlib.suppress(OSError):  # the disk may be full, and the terminal gone
        options.broken.write_text(reason, encoding="utf-8", errors="replace")
    with contextlib.suppress(OSError):  # before the signal: with the job this process ends too
        print(f"sm-local: {reason}", file=sys.stderr, flush=True)
    os.kill(options.recipe, signal.SIGUSR1)
    threading.Event().wait()


def _widen(out: BinaryIO) -> None:
    """Ask for a larger pipe, which this machine may refuse."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(out, F_SETPIPE_SZ, BLOCK)


def _epoch_records(
    listed: bytes, options: argparse.Namespace, epoch: int
) -> Iterator[tuple[str, Record]]:
    """Yield what an epoch streams, in the order of the keys or shuffled. Raises Broken."""
    if not listed.endswith(b"\0\0") and listed != b"\0":
        raise Broken("its objects could not be listed (above)")
    units = [(Path(os.fsdecode(path)), 0, "") for path in listed.split(b"\0") if path]
    if options.attribute:
        units = [unit for path, _, _ in units for unit in _manifest_lines(path)]
    if options.seed is not None:
        random.Random(f"{options.seed}/{epoch}").shuffle(units)
    for path, number, line in units:
        if number:
            yield from _attributes(path, number, line, options)
        else:
            yield from _opened(str(path), path, options.gzip)


def _manifest_lines(path: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield an augmented manifest's lines with their numbers, without empty ones."""
    with _blaming(str(path)):
        lines = path.read_text(encoding="utf-8").split("\n")
    yield from ((path, number, line) for number, line in enumerate(lines, 1) if line.strip())


def _attributes(
    manifest: Path, number: int, line: str, options: argparse.Namespace
) -> Iterator[tuple[str, Record]]:
    """Yield a manifest line's attributes in the order asked for; for NAME-ref, the object."""
    where = f"{manifest}:{number}"
    with _blaming(where):
        entry = json.loads(line)
        if not isinstance(entry, dict):
            raise ValueError("the line is no JSON object")
    for name in options.attribute:
        with _blaming(where):
            if name not in entry:
                raise ValueError(f"there is no attribute {name!r}")
            value = entry[name]
            here = _referred(manifest, value, options.base) if name.endswith("-ref") else None
        if here:
            yield from _opened(f"{where}: {here}", here, options.gzip)
        else:
            yield where, _as_bytes(value)


def _as_bytes(value: object) -> bytes:
    """Return a string as it is, any other value as compact JSON."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text.encode()


def _referred(manifest: Path, uri: object, base: str) -> Path:
    """Return the path of an object that a manifest names, next to it or in the mirror of S3."""
    if not isinstance(uri, str) or not uri.startswith("s3://"):
        raise ValueError(f"{uri!r} is no S3 URI")
    if uri.startswith(base):
        return inside(manifest.parent, uri[len(base) :])
    return inside(MIRROR, uri[len("s3://") :])


def _opened(where: str, path: Path, inflate: bool) -> Iterator[tuple[str, Record]]:
    """Yield an open object; close it afterwards."""
    with _blaming(where):
        if not path.is_file() and path.exists():
            raise ValueError("is no file")  # to open a FIFO would wait for its writer
        with gzip.open(path) if inflate else open(path, "rb", buffering=0) as file:
            yield where, cast(BinaryIO, file)


def _send(record: Record, out: BinaryIO, recordio: bool) -> None:
    """Write one object or attribute as it is, or as a RecordIO record.

    That is the magic word, the length, the data, and padding to 4 bytes.
    """
    if not recordio:
        _copy(record, out)
        return
    data = record if isinstance(record, bytes) else record.read()
    _write(out, struct.pack("<II", MAGIC, len(data)) + data + b"\0" * (-len(data) % 4))


def _copy(record: Record, out: BinaryIO) -> None:
    """Write all of an object, without copying it through Python where the kernel can."""
    if isinstance(record, bytes):
        _write(out, record)
    elif sys.platform == "linux" and not isinstance(record, gzip.GzipFile):
        while os.sendfile(out.fileno(), record.fileno(), None, BLOCK):
            pass
    else:
        while block := record.read(BLOCK):
            _write(out, block)


def _write(out: BinaryIO, data: bytes) -> None:
    """Write all of it: a pipe takes only what it has room for."""
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]


if __name__ == "__main__":
    main()
