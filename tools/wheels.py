"""What the refresh tools share: a package's newest wheel, and a file that is replaced at once or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from plumbum import local


def download(package: str, folder: str) -> Path:
    """Fetch a package's newest wheel into a folder; nothing is installed. Raises OSError when it does not come."""
    pip = local[sys.executable]["-m", "uv", "tool", "run", "--quiet", "pip"]
    pip["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder, package]()
    return next(Path(folder).glob("*.whl"))


def replace(path: Path, text: str) -> None:
    """Write a file beside its place and move it there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    finally:
        if beside.exists():
            beside.unlink()
