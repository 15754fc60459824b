"""Feed a Pipe channel: FIFOs CHANNEL_0, CHANNEL_1, … in FOLDER, one an epoch, without end. Standard library only.

usage: python3 pipe.py FOLDER CHANNEL [--gzip] [--recordio] [--seed N]
       [--attributes A,B --base S3-URI]    objects' paths on stdin, NUL behind each

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
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MAGIC = 0xCED7230A
BLOCK = 1 << 20  # bytes; also the size asked for the FIFO, 16 times the default: a quarter less time for big objects
F_SETPIPE_SZ = 1031  # of Linux; Python's fcntl has it from 3.10 on


def main() -> None:
    """Feed until the job ends, or an object cannot be read."""
    options = arguments().parse_args()
    objects = [Path(os.fsdecode(path)) for path in sys.stdin.buffer.read().split(b"\0") if path]
    threading.Thread(target=end_with_the_job, daemon=True).start()
    for epoch in itertools.count():
        fifo = options.folder / f"{options.channel}_{epoch}"
        try:
            feed(fifo, epoch_records(objects, options, epoch), options.recordio)
        except FileNotFoundError:
            if not options.folder.exists():  # there is no job any more
                return
            raise


def arguments() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("channel")
    parser.add_argument("--gzip", action="store_true", help="inflate each object")
    parser.add_argument("--recordio", action="store_true", help="make each object, or attribute, a record")
    parser.add_argument("--seed", type=int, help="shuffle, anew at the start of every epoch")
    parser.add_argument("--attributes", default="", help="the objects are augmented manifests: these of their attributes, in this order")
    parser.add_argument("--base", default="", help="the S3 URI of the manifest's own folder here; objects elsewhere are below data/s3/BUCKET")
    return parser


def end_with_the_job() -> None:
    """Wait until nobody holds the other end of descriptor 3 any more; the feeder may hang in open() then."""
    os.read(3, 1)
    os._exit(0)


def feed(fifo: Path, records: Iterator[bytes | BinaryIO], recordio: bool) -> None:
    """Offer one epoch. A reader that closes early ends it: the next FIFO is for the next epoch."""
    if not fifo.exists():  # the first one is there before the job starts
        os.mkfifo(fifo)
    with open(fifo, "wb", buffering=0) as out:  # waits for the reader
        widen(out)
        with contextlib.suppress(BrokenPipeError):
            for record in records:
                send(record, out, recordio)


def widen(out: BinaryIO) -> None:
    """Ask for a larger pipe, which this machine may refuse."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(out, F_SETPIPE_SZ, BLOCK)


def epoch_records(objects: list[Path], options: argparse.Namespace, epoch: int) -> Iterator[bytes | BinaryIO]:
    """Yield what an epoch streams, in the order of the keys, or shuffled."""
    units = [(path, None) for path in objects]
    if options.attributes:
        units = [(path, line) for path in objects for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if options.seed is not None:
        random.Random(f"{options.seed}/{epoch}").shuffle(units)
    for path, line in units:
        if line is None:
            yield from opened(path, options.gzip)
        else:
            yield from attributes(path, json.loads(line), options)


def attributes(manifest: Path, entry: dict, options: argparse.Namespace) -> Iterator[bytes | BinaryIO]:
    """Yield a manifest line's attributes in the order asked for; of NAME-ref the object that it names."""
    for name in options.attributes.split(","):
        value = entry[name]
        if name.endswith("-ref"):
            here = manifest.parent / value[len(options.base) :] if value.startswith(options.base) else Path("data/s3", value.partition("://")[2])
            yield from opened(here, options.gzip)
        else:
            yield (value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))).encode()


def opened(path: Path, inflate: bool) -> Iterator[BinaryIO]:
    """Yield an object, open; close it afterwards."""
    with gzip.open(path) if inflate else open(path, "rb", buffering=0) as file:
        yield file


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
