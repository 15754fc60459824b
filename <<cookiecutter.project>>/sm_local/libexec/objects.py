"""The S3 objects of a channel in `make data`'s mirror, and where SageMaker puts each of them.

usage: python3 objects.py link FOLDER URI [--type ManifestFile] [--shard K/N] [--sample 1%]
           hard links below FOLDER; nothing is copied, so the cost depends on the count alone
       python3 objects.py list URI …
           their paths, NUL after each, and one more at the end, for pipe.py
       python3 objects.py manifest URI …
           the text of /opt/ml/input/data/<channel>-manifest

URI is s3://bucket/key, or file:FOLDER for one of your own folders. The mirror is
data/s3/BUCKET/KEY…. Standard library only: recipes run this with any Python.

Sources: API:S3DataSource (prefixes, manifests, shards); captured, and
aws/sagemaker-python-sdk#3612 (names below the channel's folder), #723 (a manifest's objects keep
their keys). How objects are distributed over hosts is not documented: here in turn, by key.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MIRROR = Path("data/s3")
MANIFESTS = ("ManifestFile", "AugmentedManifestFile")  # the S3Uri is a list; else, a prefix


class Object(NamedTuple):
    """One object: its path here, its name below the channel's folder, and its URI."""

    path: str
    name: str
    uri: str


def main() -> None:
    """Do what the command line says."""
    options = _arguments().parse_args()
    part, parts = map(int, options.shard.split("/"))
    found = _found(options)
    if options.verb == "manifest":
        prefix = (options.called or options.uri).partition("://")[2].partition("/")[2]
        sys.stdout.write("".join(f"{line}\n" for line in [prefix, *(one.uri for one in found)]))
    elif options.verb == "list":
        for one in found[part::parts]:
            sys.stdout.buffer.write(os.fsencode(one.path) + b"\0")
        sys.stdout.buffer.write(b"\0")
    else:
        link(found[part::parts], options.folder)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("link", "list", "manifest"):
        verb = verbs.add_parser(name)
        if name == "link":
            verb.add_argument("folder", type=Path)
        verb.add_argument("uri")
        verb.add_argument("--type", default="S3Prefix")
        verb.add_argument("--called", default="", help="the S3 URI that a file: URI stands for")
        verb.add_argument("--shard", default="0/1", help="only every N-th object, from the K-th on")
        verb.add_argument("--sample", default="", help="of all: so many, or 1%% of them")
        verb.add_argument("--seed", default="0", help="another one chooses others")
        verb.add_argument("--tell", default="", help="the channel of which to say how many")
    return parser


def _found(options: argparse.Namespace) -> list[Object]:
    """Return the channel's objects by key, or exit with a line that says why there are none."""
    uri = options.uri
    try:
        found = sorted(
            objects(uri, options.type, options.called), key=lambda one: os.fsencode(one.uri)
        )
    except (OSError, ValueError, RecursionError) as error:
        sys.exit(f"sm-local: {uri}: {error}")
    if not found and uri.startswith("s3://") and options.type not in MANIFESTS:
        again = "'make data' fetches it again"
        sys.exit(f"sm-local: {uri}: nothing of it is in {MIRROR} any more; {again}")
    return _sampled(found, options) if options.sample else found


def _sampled(found: list[Object], options: argparse.Namespace) -> list[Object]:
    """Return a sample of the objects; say how many they are, where that is asked for."""
    chosen = sample(found, options.sample, options.seed)
    if options.tell:
        count = f"{len(chosen)} of {len(found)} files"
        print(f"sm-local: channel {options.tell}: {count}", file=sys.stderr, flush=True)
    return chosen


def sample(found: list[Object], wanted: str, seed: str) -> list[Object]:
    """Return some of the objects: of each folder the next in turn, so that no class is missed.

    Turns are drawn by names without extensions: images/7.jpg and labels/7.txt come together. What
    a sample has, a larger one of the same seed has too.
    """
    import hashlib  # which a whole channel does without

    def turn(one: Object) -> bytes:
        stem = os.path.basename(one.name).partition(".")[0]
        return hashlib.blake2b(os.fsencode(f"{seed}/{stem}"), digest_size=8).digest()

    ranks: dict[str, int] = {}
    ranked = []
    for drawn, one in sorted((turn(one), one) for one in found):
        folder = os.path.dirname(one.name)
        ranks[folder] = ranks.get(folder, 0) + 1
        ranked.append((ranks[folder], drawn, one))
    chosen = {one for *_, one in sorted(ranked)[: how_many(len(found), wanted)]}
    return [one for one in found if one in chosen]


def how_many(count: int, wanted: str) -> int:
    """Return how many of so many objects are wanted: a number, or at least a share such as 1%."""
    if wanted.endswith("%"):
        return math.ceil(round(count * float(wanted[:-1]) / 100, 6))
    return int(wanted)


def objects(uri: str, kind: str, called: str = "") -> Iterator[Object]:
    """Yield a channel's objects, in no order."""
    if uri.startswith("file:"):
        yield from _own_files(uri[5:].rstrip("/") + "/", called.rstrip("/"))
    elif kind == "ManifestFile":
        # an object that a manifest names twice is there once
        for full in dict.fromkeys(manifest_uris(_here(uri).read_bytes())):
            yield Object(str(_here(full)), full.partition("://")[2].partition("/")[2], full)
    else:
        bucket, _, prefix = uri.partition("://")[2].partition("/")
        for key in keys(bucket, prefix):
            yield Object(str(MIRROR / bucket / key), below(prefix, key), f"s3://{bucket}/{key}")


def _own_files(folder: str, called: str) -> Iterator[Object]:
    for path in files(folder) if os.path.isdir(folder) else [folder[:-1]]:
        name = path[len(folder) :] or os.path.basename(path)
        yield Object(path, name, f"{called}/{name}" if called else path)


def _here(uri: str) -> Path:
    """Return an object's path in the mirror. Raises ValueError for a URI that leads elsewhere."""
    return inside(MIRROR, uri.partition("://")[2])


def inside(folder: Path, rest: str) -> Path:
    """Return an object's path below a folder. Raises ValueError for what leads elsewhere."""
    if {"", ".", ".."} & set(rest.split("/")) or "\0" in rest:
        raise ValueError(f"{rest!r} cannot be a file's path below {folder}")
    return folder / rest


def keys(bucket: str, prefix: str) -> Iterator[str]:
    """Yield the mirror's keys that begin with a prefix, which may end within a name."""
    root = f"{MIRROR / bucket}/"
    folder, _, begin = prefix.rpartition("/")
    for name in os.listdir(root + folder) if os.path.isdir(root + folder) else ():
        if name.startswith(begin):
            path = os.path.join(root + folder, name) if folder else root + name
            for found in files(path) if os.path.isdir(path) else [path]:
                yield found[len(root) :]


def files(folder: str) -> Iterator[str]:
    """Yield all files below a folder, links to files too; links to folders are not followed."""
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names)


def below(prefix: str, key: str) -> str:
    """Return an object's name below its channel.

    That is what follows the prefix where it ends at a folder's border; else the key from the
    beginning of the name that the prefix ends in.
    """
    if prefix and key.startswith(f"{prefix}/"):
        prefix = f"{prefix}/"
    return key[prefix.rfind("/") + 1 :]


def manifest_uris(text: bytes) -> list[str]:
    """Return a manifest's URIs, `[{"prefix": "s3://…/"}, "rest", …]`. Raises ValueError."""
    entries = json.loads(text)
    head = entries[0] if isinstance(entries, list) and entries else None
    prefix = head.get("prefix") if isinstance(head, dict) else None
    if not isinstance(prefix, str) or not prefix.startswith("s3://"):
        raise ValueError('it must be a list that begins with {"prefix": "s3://…"}')
    if not all(isinstance(rest, str) and rest for rest in entries[1:]):
        raise ValueError("what follows the prefix must be strings")
    uris = [prefix + rest for rest in entries[1:]]
    "".join(uris).encode()  # half a character, "\\ud800", is a ValueError
    return uris


def link(found: list[Object], folder: Path) -> None:
    """Make a tree of hard links, so that nothing is copied.

    What the system does not allow to be linked is copied, with a line that says so: it is on
    another file system, or another person's (fs.protected_hardlinks).
    """
    made: set[str] = set()  # to ask the system about each folder once, not once a file
    copied, why = 0, ""
    for one in found:
        target = os.path.join(folder, one.name)
        parent = os.path.dirname(target)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        reason = _link_one(one, target)
        if reason:
            copied, why = copied + 1, reason
    if copied:
        print(
            f"sm-local: channel {folder.name}: {copied} files copied, "
            f"for they cannot be linked into {folder.parts[0]} ({why})",
            file=sys.stderr,
        )


def _link_one(one: Object, target: str) -> str:
    """Link one object; where that is not allowed, copy it and return why."""
    if os.path.islink(one.path) and not os.path.exists(one.path):
        os.symlink(os.readlink(one.path), target)  # leads nowhere, as it does in a whole folder
        return ""
    path = os.path.realpath(one.path) if os.path.islink(one.path) else one.path
    try:
        os.link(path, target)
    except FileNotFoundError:
        sys.exit(f"sm-local: {one.path}: it is gone; 'make data' fetches what is in S3")
    except FileExistsError:
        sys.exit(
            f"sm-local: {one.uri}: another object has the name {one.name} in the channel too; "
            "write a longer S3Uri, or one that ends with '/'"
        )
    except OSError as error:
        _copy(path, target)
        return error.strerror or str(error)
    return ""


def _copy(path: str, target: str) -> None:
    try:
        shutil.copy2(path, target)
    except OSError as error:
        sys.exit(f"sm-local: {path}: it could not be copied to {target}: {error.strerror}")


if __name__ == "__main__":
    main()
