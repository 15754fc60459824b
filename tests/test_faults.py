"""A short form of `make faults`: what takes a second a try and must never be lost, left or wrong.

More rows, more tries, other engines and an unprivileged user: `make faults`.
"""

from __future__ import annotations

import sys

import pytest
from conftest import REPO

sys.path.insert(0, str(REPO / "benchmarks"))
import attacks
import faults

pytestmark = pytest.mark.linux


@pytest.mark.engine
@pytest.mark.parametrize("engine", ["docker", "sandbox"])
def test_nothing_is_lost_or_left(engine, request, capsys):
    base = request.getfixturevalue("base_image") if engine == "docker" else ""
    status = faults.main(["--quick", "--tries=2", f"--engines={engine}", f"--base={base}"])
    said = capsys.readouterr()
    assert status == 0, said.out + said.err
    rows = [row for row in attacks.ROWS if engine in row.quick]
    assert len(said.out.splitlines()) == len(rows) + 2


def test_each_row_says_why_its_end_is_right():
    assert all(row.why and row.name for row in attacks.ROWS)
    assert len({row.name for row in attacks.ROWS}) == len(attacks.ROWS)
