"""Feed a Pipe channel: FIFOs CHANNEL_0, CHANNEL_1, … in FOLDER, one an epoch, without end. Standard library only.

usage: python3 pipe.py [--gzip] [--recordio] [--seed N] [--attribute A … --base S3-URI] --broken FILE --recipe PID -- FOLDER CHANNEL
       objects' paths on stdin, as `objects.py list` prints them

Ends when its file descriptor 3 reaches its end, which the job's recipe holds open. Sources: the Developer Guide's
your-algorithms-training-algo-running-container (FIFOs, epochs, early close), API:Channel, API:ShuffleConfig,
augmented-manifest; RecordIO's framing is that of the sagemaker-training toolkit's recordio.py.
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
from typing import BinaryIO

from objects import MIRROR, inside

MAGIC = 0xCED7230A
BLOCK = (
    1 << 20
)  # bytes; also the size asked for the FIFO, 16 times the default: a quarter less time for big objects
F_SETPIPE_SZ = 1031  # of Linux; Python's fcntl has it from 3.10 on


class Broken(Exception):
    """Why an epoch cannot go on, in one line."""


def main() -> None:
    """Feed until the job ends. What cannot be read ends the job: to the script a FIFO's end would be the epoch's."""
    options = arguments().parse_args()
    listed = sys.stdin.buffer.read()
    threading.Thread(target=end_with_the_job, daemon=True).start()
    for epoch in itertools.count():
        fifo = options.folder / f"{options.channel}_{epoch}"
        try:
            feed(fifo, epoch_records(listed, options, epoch), options)
        except OSError as error:
            if not options.folder.exists():  # there is no job any more
                return
            end_the_job(f"channel {options.channel}: {fifo.name}: {error.strerror}", options)


def arguments() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gzip", action="store_true", help="inflate each object")
    parser.add_argument(
        "--recordio", action="store_true", help="make each object, or attribute, a record"
    )
    parser.add_argument("--seed", type=int, help="shuffle, anew at the start of every epoch")
    parser.add_argument(
        "--attribute",
        action="append",
        default=[],
        help="the objects are augmented manifests: this one of their attributes; in this order",
    )
    parser.add_argument(
        "--base",
        default="",
        help="the S3 URI of the manifest's own folder here; objects elsewhere are below data/s3/BUCKET",
    )
    parser.add_argument(
        "--broken", type=Path, help="the file that gets the reason when the data cannot be read"
    )
    parser.add_argument("--recipe", type=int, help="the process that is told then, by SIGUSR1")
    parser.add_argument("folder", type=Path)
    parser.add_argument("channel")
    return parser


def end_with_the_job() -> None:
    """Wait until nobody holds the other end of descriptor 3 any more; the feeder may hang in open() then."""
    os.read(3, 1)
    os._exit(0)


def feed(
    fifo: Path, records: Iterator[tuple[str, bytes | BinaryIO]], options: argparse.Namespace
) -> None:
    """Offer one epoch. A reader that closes early ends it: the next FIFO is for the next epoch."""
    if not fifo.exists():  # the first one is there before the job starts
        os.mkfifo(fifo)
    with open(fifo, "wb", buffering=0) as out:  # waits for the reader
        widen(out)
        try:
            for where, record in records:
                with blaming(where):
                    send(record, out, options.recordio)
        except BrokenPipeError:
            pass
        except Broken as error:
            end_the_job(f"channel {options.channel}: {error}", options)


@contextlib.contextmanager
def blaming(where: str) -> Iterator[None]:
    """Make an error that data cause a Broken that says where; a reader that closes early is none."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (
        OSError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        RecursionError,
        zlib.error,
    ) as error:
        raise Broken(f"{where}: {getattr(error, 'strerror', None) or error}") from error


def end_the_job(reason: str, options: argparse.Namespace) -> None:
    """Tell the recipe, and keep the FIFO open until the job has ended. It runs, for it has opened the FIFO, so the recipe listens."""
    with contextlib.suppress(OSError):  # the disk may be full, and the terminal gone
        options.broken.write_text(reason, encoding="utf-8", errors="replace")
    os.kill(options.recipe, signal.SIGUSR1)
    with contextlib.suppress(OSError):
        print(f"sm-local: {reason}", file=sys.stderr, flush=True)
    threading.Event().wait()


def widen(out: BinaryIO) -> None:
    """Ask for a larger pipe, which this machine may refuse."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(out, F_SETPIPE_SZ, BLOCK)


def epoch_records(
    listed: bytes, options: argparse.Namespace, epoch: int
) -> Iterator[tuple[str, bytes | BinaryIO]]:
    """Yield what an epoch streams, and where it is from, in the order of the keys, or shuffled. Raises Broken."""
    if not listed.endswith(b"\0\0") and listed != b"\0":
        raise Broken("its objects could not be listed (above)")
    units = [(Path(os.fsdecode(path)), 0, "") for path in listed.split(b"\0") if path]
    if options.attribute:
        units = [unit for path, _, _ in units for unit in manifest_lines(path)]
    if options.seed is not None:
        random.Random(f"{options.seed}/{epoch}").shuffle(units)
    for path, number, line in units:
        if number:
            yield from attributes(path, number, line, options)
        else:
            yield from opened(str(path), path, options.gzip)


def manifest_lines(path: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield the lines of an augmented manifest that are not empty, and their numbers."""
    with blaming(str(path)):
        lines = path.read_text(encoding="utf-8").split("\n")
    yield from ((path, number, line) for number, line in enumerate(lines, 1) if line.strip())


def attributes(
    manifest: Path, number: int, line: str, options: argparse.Namespace
) -> Iterator[tuple[str, bytes | BinaryIO]]:
    """Yield a manifest line's attributes in the order asked for; of NAME-ref the object that it names."""
    where = f"{manifest}:{number}"
    with blaming(where):
        entry = json.loads(line)
        if not isinstance(entry, dict):
            raise ValueError("the line is no JSON object")
    for name in options.attribute:
        with blaming(where):
            if name not in entry:
                raise ValueError(f"there is no attribute {name!r}")
            value = entry[name]
            here = referred(manifest, value, options.base) if name.endswith("-ref") else None
        if here:
            yield from opened(f"{where}: {here}", here, options.gzip)
        else:
            yield (
                where,
                (
                    value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
                ).encode(),
            )


def referred(manifest: Path, uri: object, base: str) -> Path:
    """Return where an object lies that a manifest names: beside the manifest, or in S3's mirror. Raises ValueError."""
    if not isinstance(uri, str) or not uri.startswith("s3://"):
        raise ValueError(f"{uri!r} is no S3 URI")
    return (
        inside(manifest.parent, uri[len(base) :])
        if uri.startswith(base)
        else inside(MIRROR, uri[len("s3://") :])
    )


def opened(where: str, path: Path, inflate: bool) -> Iterator[tuple[str, BinaryIO]]:
    """Yield an object, open, and where it is from; close it afterwards."""
    with blaming(where):
        if not path.is_file() and path.exists():
            raise ValueError("is no file")  # to open a FIFO would wait for its writer
        with gzip.open(path) if inflate else open(path, "rb", buffering=0) as file:
            yield where, file


def send(record: bytes | BinaryIO, out: BinaryIO, recordio: bool) -> None:
    """Write one object or attribute, as it is or as a RecordIO record: magic word, length, data, padding to 4 bytes."""
    if not recordio:
        copy(record, out)
        return
    data = record if isinstance(record, bytes) else record.read()
    write(out, struct.pack("<II", MAGIC, len(data)) + data + b"\0" * (-len(data) % 4))


def copy(record: bytes | BinaryIO, out: BinaryIO) -> None:
    """Write all of an object; by the kernel alone where it can."""
    if isinstance(record, bytes):
        write(out, record)
    elif sys.platform == "linux" and not isinstance(record, gzip.GzipFile):
        while os.sendfile(out.fileno(), record.fileno(), None, BLOCK):
            pass
    else:
        while block := record.read(BLOCK):
            write(out, block)


def write(out: BinaryIO, data: bytes) -> None:
    """Write all of it: a pipe takes what it has room for."""
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]


if __name__ == "__main__":
    main()
