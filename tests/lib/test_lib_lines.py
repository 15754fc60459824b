"""The lines of several hosts' logs."""

import os
import shutil
import subprocess

import pytest
from conftest import clean_environment
from library import SM_LOCAL, bash

TEXTS = [b"", b"a\n", b"a", b"\n", b"a\n\nb\n", b"  two  words\t\n\\n", b"x" * 200000 + b"\n"]
TEXTS += ["é\n".encode() + b"\xff\n"]


@pytest.fixture(params=["stdbuf", "without-stdbuf"])
def path(request, tmp_path):
    """Return a PATH with all that is needed, or with all but stdbuf."""
    if request.param == "stdbuf":
        return os.environ["PATH"]
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "tail", "cat"):
        (folder / name).symlink_to(shutil.which(name))
    return str(folder)


@pytest.mark.linux
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_each_line_has_its_host_in_front(tmp_path, path, text):
    (tmp_path / "log").write_bytes(text)
    bash(tmp_path, "lib/lines", "{ name_lines algo-1 < log; end_line log; } > shown", PATH=path)
    lines = text.removesuffix(b"\n").split(b"\n") if text else []
    shown = b"".join(b"algo-1 | " + line + b"\n" for line in lines)
    assert (tmp_path / "shown").read_bytes() == shown


@pytest.mark.linux
def test_a_line_is_shown_when_it_comes(tmp_path, path):
    body = f'source "{SM_LOCAL}/lib/lines.sh"; name_lines algo-1'
    with subprocess.Popen(
        ["bash", "-pc", body],
        env=clean_environment(PATH=path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for word in ("one", "two"):
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"algo-1 | {word}\n"
        process.stdin.close()
