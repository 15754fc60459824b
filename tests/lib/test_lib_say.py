"""say and die."""

import subprocess

from library import SM_LOCAL, bash


def test_say_is_one_line_on_stderr_and_die_ends(tmp_path):
    done = bash(tmp_path, "lib/say", "say a  'b  c'; die d e; echo f", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "sm-local: a b  c\nsm-local: d e\n"


def test_a_reader_that_has_gone_ends_nobody_and_programs_still_die_of_it(tmp_path):
    body = f"""set -euo pipefail
source "{SM_LOCAL}/lib/say.sh"
sleep 0.3
say one
say two
{{ yes || echo "yes: $?" > yes; }} | :
echo done > done
"""
    done = subprocess.run(
        ["bash", "-c", '{ bash -c "$1" 2>&1 >&3 | :; } 3>&1', "sh", body],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stderr == "" and (tmp_path / "done").exists()
    assert (tmp_path / "yes").read_text() == "yes: 141\n"
