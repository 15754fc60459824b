"""`make data`: fetch what a job's S3 channels name and is not here yet."""

from __future__ import annotations

from pathlib import Path

from ..kinds import job as jobs
from ..s3 import fetch
from . import planning

INTERRUPTED = "interrupted; 'make data' again goes on from here"


def run(given: dict[str, str]) -> int:
    """Fetch; return the exit status. Raises SmLocalError."""
    values = planning.read_settings(given)
    fetch.fetch(jobs.load(Path(), values, given), fetch.connect(values["REGION"]))
    return 0
