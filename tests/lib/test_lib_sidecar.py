"""Sidecars live as long as the recipe or what it has started."""

import os
import signal
import subprocess
import time

import pytest
from library import SM_LOCAL, a_job, bash
from terminal import eventually

pytestmark = pytest.mark.linux
SIDECAR = 'exec sh -c \'echo "hello $0"; cat > /dev/null; echo over > "$1"\''


@pytest.mark.parametrize("name", ["switch", "credentials"])
def test_its_first_line_is_the_answer_and_it_ends_with_the_recipe(tmp_path, name):
    job = a_job(tmp_path)
    done = bash(
        tmp_path,
        "lib/sidecar",
        f'dir=output/j; sidecar {name} {SIDECAR} "$dir" ended; echo "$answer"; ls -A "$dir"',
    )
    assert done.stdout.splitlines() == ["hello output/j", "model", "output", "record"]
    assert eventually((tmp_path / "ended").exists, 5) and not (job / ".in").exists()


def test_one_that_ends_without_a_line_has_no_answer(tmp_path):
    a_job(tmp_path)
    done = bash(
        tmp_path, "lib/sidecar", 'dir=output/j; sidecar switch exec false; echo "<$answer>"'
    )
    assert done.stdout == "<>\n"


def test_none_holds_the_lock_of_the_checkpoints(tmp_path):
    a_job(tmp_path)
    body = 'dir=output/j; exec 7< "$dir"; sidecar switch ls /proc/self/fd/7; echo "<$answer>"'
    done = bash(tmp_path, "lib/sidecar", body)
    assert done.stdout == "<>\n" and "No such file" in done.stderr


def test_handback_answers_at_the_end(tmp_path):
    a_job(tmp_path)
    done = bash(
        tmp_path,
        "lib/sidecar",
        """dir=output/j
sidecar handback exec sh -c 'cat > /dev/null; echo given'
echo "<$answer>"; end_handback; echo "<$answer>" """,
    )
    assert done.stdout == "<>\n<given>\n"


def test_it_outlives_a_recipe_that_is_killed_while_the_job_runs(tmp_path):
    a_job(tmp_path)
    body = f"""source "{SM_LOCAL}/lib/sidecar.sh"
dir=output/j
sidecar handback exec sh -c 'cat > /dev/null; echo over > over'
sh -c 'while [ ! -e end ]; do sleep 0.05; done' &
echo up
wait"""
    with subprocess.Popen(
        ["bash", "-c", body], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as recipe:
        assert recipe.stdout.readline() == b"up\n"
        recipe.send_signal(signal.SIGKILL)
        recipe.wait()
        time.sleep(0.3)
        assert not (tmp_path / "over").exists()
        (tmp_path / "end").touch()
        assert eventually((tmp_path / "over").exists, 5)


def test_no_sidecar_holds_another(tmp_path):
    """Nor does a process that must not keep them alive."""
    a_job(tmp_path)
    done = bash(
        tmp_path,
        "lib/sidecar",
        """dir=output/j
held() {
  local fd
  for fd in 3 4 5 6 7 8 9; do if { : >&$fd; } 2> /dev/null; then echo -n " $fd"; fi; done
}
wait_for_the_end() { cat > /dev/null; }
show() { echo "$1:$(held)"; wait_for_the_end; }
sidecar switch show switch; echo "$answer"
sidecar feeders wait_for_the_end
sidecar feeders wait_for_the_end
sidecar credentials show credentials; echo "$answer"
sidecar handback show handback; read -r answer <&9; echo "$answer"
echo "recipe:$(held)"
( without_sidecars show none < /dev/null )
""",
    )
    assert done.stdout.splitlines() == [
        *["switch:", "credentials:", "handback:"],
        *["recipe: 4 5 6 8 9", "none:"],
    ]


def test_all_feeders_end_with_the_recipe(tmp_path):
    job = a_job(tmp_path)
    body = "; ".join(
        f"sidecar feeders exec sh -c 'cat > /dev/null; echo {n} > ended-{n}'" for n in (1, 2, 3)
    )
    bash(tmp_path, "lib/sidecar", f"dir=output/j; {body}")
    assert eventually(lambda: len(list(tmp_path.glob("ended-*"))) == 3, 5)
    assert (job / ".feeders").is_fifo() and os.listdir(job / "record") == []
