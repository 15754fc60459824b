"""What the project's own image is made from."""

import os

from library import bash


def test_what_the_image_is_made_from_is_known_by_its_files(tmp_path):
    (tmp_path / "container").mkdir()
    assert bash(tmp_path, "lib/build", "container_sum").stdout == ""
    (tmp_path / "container/Dockerfile").write_text("FROM scratch\n")
    os.mkfifo(tmp_path / "container/fifo")
    said = bash(tmp_path, "lib/build", "container_sum").stdout
    assert [line.split()[2] for line in said.splitlines()] == ["container/Dockerfile"]
