"""The rules of model.tar.gz and output.tar.gz."""

import gzip
import os
import subprocess
import tarfile

import pytest
from library import a_job, bash

PACK = "lib/say lib/record lib/pack"
ODD = ["--help", ".hidden", "a b", "é", "@x", "-C", "new\nline", "*"]


def pack(folder, how: str = "always", check: bool = True):
    return bash(folder, PACK, f"pack {how} output/j", check=check)


def members(path):
    with tarfile.open(path) as archive:
        return {member.name: member for member in archive}


@pytest.mark.parametrize("many", [0, 300], ids=["as-arguments", "as-a-list"])
def test_archives_have_no_top_entry_and_root_as_owner(tmp_path, many):
    job = a_job(tmp_path)
    for name in [*ODD, *map(str, range(many))]:
        (job / "model" / name).write_text(name)
    (job / "model/sub/empty").mkdir(parents=True)
    os.utime(job / "model/--help", (1e9, 1e9))
    (job / "model/--help").chmod(0o640)
    done = pack(tmp_path)
    assert (done.stdout, done.stderr) == ("", "")
    found = members(job / "model.tar.gz")
    assert set(found) == {*ODD, "sub", "sub/empty", *map(str, range(many))}
    assert {(m.uid, m.gid, m.uname, m.gname) for m in found.values()} == {(0, 0, "", "")}
    assert (found["--help"].mode, found["--help"].mtime) == (0o640, 1e9)
    assert not (job / "output.tar.gz").exists()
    with gzip.open(job / "model.tar.gz") as file:
        file.read(1)
        assert file.mtime == 0


def test_two_packs_of_the_same_are_the_same(tmp_path):
    job = a_job(tmp_path)
    for name in "abc":
        (job / "model" / name).write_text(name)
    pack(tmp_path)
    first = (job / "model.tar.gz").read_bytes()
    pack(tmp_path)
    assert (job / "model.tar.gz").read_bytes() == first


def test_never_and_empty_folders_make_no_file_and_run_no_program(tmp_path):
    job = a_job(tmp_path)
    assert bash(tmp_path, PACK, "PATH=/nowhere; pack auto output/j").stderr == ""
    (job / "model/m").write_text("m")
    assert bash(tmp_path, PACK, "PATH=/nowhere; pack never output/j").stderr == ""
    assert sorted(os.listdir(job)) == ["model", "output", "record"]


def test_a_link_in_the_place_of_a_folder_is_not_packed(tmp_path):
    job = a_job(tmp_path)
    (job / "output/data").rmdir()
    (job / "output/data").symlink_to("/etc")
    (job / "model/link").symlink_to("/etc")
    done = pack(tmp_path, "auto")
    assert done.stderr == (
        "sm-local: output/j/output/data is a link; what it leads to is not packed\n"
    )
    assert members(job / "model.tar.gz")["link"].issym() and not (job / "output.tar.gz").exists()


def test_auto_leaves_what_is_large(tmp_path):
    job = a_job(tmp_path)
    for part in ("model", "output/data"):
        (job / part / "big").write_bytes(os.urandom(33 << 20))
    done = pack(tmp_path, "auto")
    assert done.stderr == (
        "sm-local: 66 MB in model and output/data; 'make pack' makes the archives\n"
    )
    assert not list(job.glob("*.gz"))
    (job / "model/big").unlink()
    assert pack(tmp_path, "auto").stderr == "" and (job / "output.tar.gz").exists()


def test_files_of_several_hosts_become_one_archive(tmp_path):
    job = a_job(tmp_path)
    for number in (1, 2, 3):
        for part in ("model", "output/data"):
            (job / f"algo-{number}" / part).mkdir(parents=True)
        if number != 2:
            (job / f"algo-{number}/model/m").write_text(str(number))
    (job / "algo-2/output/data/one").write_text("1")
    assert pack(tmp_path, "auto").stderr == ""
    with tarfile.open(job / "model.tar.gz") as archive:
        assert archive.getnames() == ["m", "m"]
    assert list(members(job / "output.tar.gz")) == ["one"]
    assert not list(job.glob("*.tar"))


def test_a_failure_says_why_and_leaves_no_file(tmp_path):
    job = a_job(tmp_path)
    (job / "model/m").write_text("m")
    (job / "output/data/o").write_text("o")
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "tar").write_text(
        '#!/bin/sh\ncase $* in *model*) echo "tar: broken" >&2; exit 2 ;; esac\n'
        'exec /bin/tar "$@"\n'
    )
    (fake / "tar").chmod(0o755)
    done = bash(
        tmp_path, PACK, "pack auto output/j", check=False, PATH=f"{fake}:{os.environ['PATH']}"
    )
    assert done.returncode == 1 and done.stderr == (
        "tar: broken\n"
        "sm-local: could not pack model.tar.gz (above); the files are where they were\n"
    )
    assert not (job / "model.tar.gz").exists() and (job / "output.tar.gz").exists()


def sparse(path, size: int = 1 << 40) -> None:
    """Make a file of one byte behind so many that take no room."""
    with open(path, "wb") as file:
        file.seek(size)
        file.write(b"x")


@pytest.mark.linux
def test_auto_goes_by_the_bytes_and_not_by_the_room_they_take(tmp_path):
    job = a_job(tmp_path)
    sparse(job / "model/m", 80 << 20)
    assert pack(tmp_path, "auto").stderr.startswith("sm-local: 80 MB in model and output/data; ")
    assert not list(job.glob("*.gz"))


@pytest.mark.linux
def test_holes_are_not_read(tmp_path):
    """Which would take hours: reading and packing a TB takes no longer than a byte."""
    job = a_job(tmp_path)
    sparse(job / "model/m")
    (job / "model/n").write_text("n")
    pack(tmp_path)
    found = members(job / "model.tar.gz")
    assert {name: member.size for name, member in found.items()} == {"m": (1 << 40) + 1, "n": 1}
    assert found["m"].issparse() and not found["n"].issparse()


@pytest.mark.linux
@pytest.mark.parametrize("size", [1 << 16, 70 << 20], ids=["small", "large"])
def test_an_archive_of_ordinary_files_is_in_the_usual_format(tmp_path, size):
    """Byte for byte what tar makes without being told of holes, small holes included."""
    job = a_job(tmp_path)
    (job / "model/m").write_bytes(os.urandom(1024) * (size // 1024))
    sparse(job / "model/holes", 1 << 16)
    pack(tmp_path)
    command = "tar -c --owner=0 --group=0 --numeric-owner -C output/j/model -- holes m"
    with gzip.open(job / "model.tar.gz") as file:
        assert (
            file.read()
            == subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=True).stdout
        )
