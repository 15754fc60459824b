"""A process is known by its number and its start time."""

import subprocess
import sys
import time

import pytest
from library import bash, identity

NAMED = """
import time
open("/proc/self/comm", "w").write("a) S 1\\n)")
print(flush=True)
time.sleep(20)
"""


def lives(tmp_path, *known: str) -> bool:
    done = bash(tmp_path, "lib/process", 'if lives "$@"; then echo yes; fi', *known)
    return done.stdout == "yes\n"


def test_the_very_process_lives(tmp_path):
    with subprocess.Popen(["sleep", "20"]) as process:
        number, start, machine = identity(process.pid).split()
        assert lives(tmp_path, number, start) and lives(tmp_path, number, start, machine)
        assert not lives(tmp_path, number, start + "1", machine)
        assert not lives(tmp_path, number, start, machine + "1")
        assert not lives(tmp_path, number, "") and not lives(tmp_path, number)
        process.kill()
        time.sleep(0.3)  # it has ended, and nobody has waited for it
        assert not lives(tmp_path, number, start, machine)
    assert not lives(tmp_path, number, start, machine)


@pytest.mark.linux
def test_a_name_may_have_anything(tmp_path):
    with subprocess.Popen([sys.executable, "-c", NAMED], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        number, start, machine = identity(process.pid).split()
        assert start.isdecimal() and lives(tmp_path, number, start, machine)
        process.kill()
