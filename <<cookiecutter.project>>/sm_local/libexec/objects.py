"""The S3 objects of a channel, found in the mirror data/s3/BUCKET/KEY… of `make data`, and where SageMaker puts each of them.

usage: python3 objects.py link FOLDER URI [--type ManifestFile] [--shard K/N]    hard links below FOLDER, O(objects), nothing is copied
       python3 objects.py list URI …                                            their paths, NUL behind each, and one more at the end, for pipe.py
       python3 objects.py manifest URI …                                        the text of /opt/ml/input/data/<channel>-manifest
URI is s3://bucket/key, or file:FOLDER for a folder of a person's own. Standard library only: recipes run it with any Python.

Sources: API:S3DataSource (prefixes, manifests, shards); captured, and aws/sagemaker-python-sdk#3612 (names below the channel's
folder), #723 (a manifest's keep their key). Which rule deals objects out to hosts is not documented: here in turn, by key.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MIRROR = Path("data/s3")
MANIFESTS = (
    "ManifestFile",
    "AugmentedManifestFile",
)  # the types of which the S3Uri is a list; any other is a prefix


class Object(NamedTuple):
    """One object: where it lies here, its path below the channel's folder, and its URI."""

    path: str
    name: str
    uri: str


def main() -> None:
    """Do what the command line says."""
    options = arguments().parse_args()
    part, parts = map(int, options.shard.split("/"))
    try:
        found = sorted(
            objects(options.uri, options.type, options.called), key=lambda one: os.fsencode(one.uri)
        )
    except (OSError, ValueError, RecursionError) as error:
        sys.exit(f"sm-local: {options.uri}: {error}")
    if not found and options.uri.startswith("s3://") and options.type not in MANIFESTS:
        sys.exit(
            f"sm-local: {options.uri}: nothing of it is in {MIRROR} any more; 'make data' fetches it again"
        )
    if options.verb == "manifest":
        sys.stdout.write(
            "".join(
                f"{line}\n"
                for line in [
                    (options.called or options.uri).partition("://")[2].partition("/")[2],
                    *(one.uri for one in found),
                ]
            )
        )
    elif options.verb == "list":
        sys.stdout.buffer.write(
            b"".join(os.fsencode(one.path) + b"\0" for one in found[part::parts]) + b"\0"
        )
    else:
        link(found[part::parts], options.folder)


def arguments() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("link", "list", "manifest"):
        verb = verbs.add_parser(name)
        if name == "link":
            verb.add_argument("folder", type=Path)
        verb.add_argument("uri")
        verb.add_argument("--type", default="S3Prefix")
        verb.add_argument(
            "--called", default="", help="the S3 URI that a folder of a person's own stands for"
        )
        verb.add_argument("--shard", default="0/1", help="only every N-th object, from the K-th on")
    return parser


def objects(uri: str, kind: str, called: str = "") -> Iterator[Object]:
    """Yield a channel's objects, in no order."""
    if uri.startswith("file:"):
        folder = uri[5:].rstrip("/") + "/"
        for path in files(folder) if os.path.isdir(folder) else [folder[:-1]]:
            name = path[len(folder) :] or os.path.basename(path)
            yield Object(path, name, f"{called.rstrip('/')}/{name}" if called else path)
    elif kind == "ManifestFile":
        uris = dict.fromkeys(
            manifest_uris(here(uri).read_bytes())
        )  # one that stands there twice is one object
        yield from (
            Object(str(here(full)), full.partition("://")[2].partition("/")[2], full)
            for full in uris
        )
    else:
        bucket, _, prefix = uri.partition("://")[2].partition("/")
        yield from (
            Object(str(MIRROR / bucket / key), below(prefix, key), f"s3://{bucket}/{key}")
            for key in keys(bucket, prefix)
        )


def here(uri: str) -> Path:
    """Return where an object lies in the mirror. Raises ValueError for a URI that would lead elsewhere."""
    return inside(MIRROR, uri.partition("://")[2])


def inside(folder: Path, rest: str) -> Path:
    """Return the path of an object below a folder. Raises ValueError for what would lead elsewhere."""
    if {"", ".", ".."} & set(rest.split("/")) or "\0" in rest:
        raise ValueError(f"{rest!r} cannot be a file's path below {folder}")
    return folder / rest


def keys(bucket: str, prefix: str) -> Iterator[str]:
    """Yield the mirror's keys that begin with a prefix: a plain prefix of the text, not a folder's name."""
    root = f"{MIRROR / bucket}/"
    folder, _, begin = prefix.rpartition("/")
    for name in os.listdir(root + folder) if os.path.isdir(root + folder) else ():
        if name.startswith(begin):
            path = os.path.join(root + folder, name) if folder else root + name
            yield from (
                found[len(root) :] for found in (files(path) if os.path.isdir(path) else [path])
            )


def files(folder: str) -> Iterator[str]:
    """Yield the paths of all files below a folder; links to files count, links to folders are not followed."""
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names)


def below(prefix: str, key: str) -> str:
    """Return an object's path below its channel: what follows the prefix at a border of folders, else from its own base name on."""
    border = (
        prefix
        if prefix.endswith("/") or not prefix
        else f"{prefix}/"
        if key.startswith(f"{prefix}/")
        else prefix[: prefix.rfind("/") + 1]
    )
    return key[len(border) :]


def manifest_uris(text: bytes) -> list[str]:
    """Return the URIs of a manifest, `[{"prefix": "s3://…/"}, "rest", …]`. Raises ValueError for anything else."""
    entries = json.loads(text)
    if (
        not isinstance(entries, list)
        or not entries
        or not isinstance(entries[0], dict)
        or not str(entries[0].get("prefix", "")).startswith("s3://")
    ):
        raise ValueError('it must be a list that begins with {"prefix": "s3://…"}')
    if not all(isinstance(rest, str) and rest for rest in entries[1:]):
        raise ValueError("what follows the prefix must be strings")
    uris = [entries[0]["prefix"] + rest for rest in entries[1:]]
    "".join(uris).encode()  # half a character, "\\ud800", is a ValueError
    return uris


def link(found: list[Object], folder: Path) -> None:
    """Make a tree of hard links, so that nothing is copied; where the system allows none, say so and copy."""
    made: set[str] = set()
    copied, why = 0, ""
    for one in found:
        target = os.path.join(folder, one.name)
        parent = os.path.dirname(target)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        if os.path.islink(one.path) and not os.path.exists(one.path):
            os.symlink(
                os.readlink(one.path), target
            )  # as it is in the channel of a whole folder: it leads nowhere
            continue
        path = os.path.realpath(one.path) if os.path.islink(one.path) else one.path
        try:
            os.link(path, target)
        except FileNotFoundError:
            sys.exit(
                f"sm-local: {one.path}: it is not there any more; 'make data' fetches what is in S3"
            )
        except FileExistsError:
            sys.exit(
                f"sm-local: {one.uri}: another object has the name {one.name} in the channel too; write a longer S3Uri, or one that ends with '/'"
            )
        except (
            OSError
        ) as error:  # another file system, or another person's files (fs.protected_hardlinks)
            copied, why = copied + copy(path, target), error.strerror
    if copied:
        print(
            f"sm-local: channel {folder.name}: {copied} files copied, for they cannot be linked into {folder.parts[0]} ({why})",
            file=sys.stderr,
        )


def copy(path: str, target: str) -> int:
    """Copy one file; return 1."""
    try:
        shutil.copy2(path, target)
    except OSError as error:
        sys.exit(f"sm-local: {path}: it could not be copied to {target}: {error.strerror}")
    return 1


if __name__ == "__main__":
    main()
