"""What the suite borrows from the machine and gives back: an engine, the modes of folders.

Several sessions at once share both: whoever comes first opens, whoever leaves last closes, and also
closes what a killed session left open. In CACHE/house: `turn` is held while something changes,
`users` is shared by the sessions that are in, and `state.json` says what there is to give back.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sm-local-tests"
HOUSE = CACHE / "house"
STATE = HOUSE / "state.json"


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock of the user's for the length of a block; whoever else wants it waits."""
    HOUSE.mkdir(parents=True, exist_ok=True)
    with open(HOUSE / name, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def state() -> dict:
    return json.loads(STATE.read_text()) if STATE.exists() else {"modes": {}, "engine": {}}


def write(new: dict) -> None:
    STATE.write_text(json.dumps(new))


class Stay:
    """One session's stay in the house, of all its workers."""

    def __init__(self) -> None:
        with locked("turn"):
            self.users = os.open(HOUSE / "users", os.O_RDWR | os.O_CREAT)
            fcntl.flock(self.users, fcntl.LOCK_SH)

    def leave(self) -> None:
        """Give back what was taken, if nobody else is in."""
        with locked("turn"):
            try:
                fcntl.flock(self.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self.users)
                return
            left = state()
            if left["engine"]:
                stop_engine(left["engine"])
            for path, mode in left["modes"].items():
                if os.path.isdir(path):
                    os.chmod(path, mode)
            STATE.unlink(missing_ok=True)
            os.close(self.users)


def open_way_to(folder: Path) -> None:
    """Let everybody pass through the folders above one, which may lie in a closed home."""
    with locked("turn"):
        now = state()
        for path in folder.parents:
            found = path.stat()
            if found.st_uid == os.geteuid() and not found.st_mode & stat.S_IXOTH:
                now["modes"].setdefault(str(path), stat.S_IMODE(found.st_mode))
                write(now)
                path.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)


def engine_of_our_own(dockerd: str, answers: Callable[[str], bool]) -> str:
    """Return the address of an engine that is stopped at the end; start it if nobody else has."""
    with locked("turn"):
        now = state()
        if now["engine"]:
            if answers(now["engine"]["socket"]):
                return now["engine"]["socket"]
            stop_engine(now["engine"])
        now["engine"] = start_engine(dockerd)
        write(now)
        wait_for_engine(now["engine"], answers)
        socket = now["engine"]["socket"]
        prune = ["docker", "--host", socket, "system", "prune", "--force"]
        subprocess.run(prune, capture_output=True, check=True)  # what a run that was killed left
        return socket


def start_engine(dockerd: str) -> dict:
    """Start dockerd; its images stay in the cache, all else is in a folder that goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="sm-local-engine-"))
    folder.chmod(0o755)  # the unprivileged caller of some tests
    before = network()
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [
                dockerd,
                *("--data-root", str(CACHE / "engine/data")),
                *("--exec-root", str(folder / "exec")),
                *("--pidfile", str(folder / "pid")),
                *("--host", f"unix://{folder}/docker.sock"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C is for the tests; the last to leave stops it
        )
    socket = f"unix://{folder}/docker.sock"
    return {"folder": str(folder), "socket": socket, "pid": process.pid, "network": before}


def wait_for_engine(engine: dict, answers: Callable[[str], bool]) -> None:
    folder = Path(engine["folder"])
    deadline = time.monotonic() + 60
    while not answers(engine["socket"]):
        assert runs(engine["pid"]) and time.monotonic() < deadline, (
            "sm-local: dockerd did not start; its log ends: " + (folder / "log").read_text()[-2000:]
        )
        time.sleep(0.1)
    (folder / "docker.sock").chmod(0o666)


def stop_engine(engine: dict) -> None:
    """Stop dockerd and take away what it leaves: its folder, its bridge, its rules for packets."""
    pid, folder = engine["pid"], Path(engine["folder"])
    if runs(pid):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 60
        while runs(pid) and time.monotonic() < deadline:
            time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)
    restore_network(engine["network"])


def runs(pid: int) -> bool:
    """Return whether a process is dockerd: the number may be another's by now. Reaps a child."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition(") ")
    except OSError:
        return False
    return name.endswith("(dockerd") and not rest.startswith("Z")


FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def network() -> dict:
    """Return what dockerd is going to change of the network: forwarding, bridge, policy."""
    return {
        "forwarding": FORWARDING.read_text().strip(),
        "bridge": Path("/sys/class/net/docker0").exists(),
        "policy": forward_policy(),
    }


def forward_policy() -> str:
    """Return what becomes of a packet that is passed on and that no rule names."""
    done = subprocess.run(
        ["iptables-save", "-t", "filter"], capture_output=True, text=True, check=False
    )
    found = re.search(r"^:FORWARD (\w+)", done.stdout, re.MULTILINE)
    return found[1] if found else "ACCEPT"


def restore_network(before: dict) -> None:
    """Remove the bridge and the rules that name it or Docker's chains; reset what was changed."""
    if before["bridge"]:
        return
    subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True, check=False)
    for table in ("filter", "nat"):
        saved = subprocess.run(
            ["iptables-save", "-t", table], capture_output=True, text=True, check=False
        ).stdout
        kept = [x for x in saved.splitlines() if "DOCKER" not in x and "docker0" not in x]
        kept = [
            f":FORWARD {before['policy']} [0:0]" if x.startswith(":FORWARD") else x for x in kept
        ]
        subprocess.run(
            ["iptables-restore", "-T", table],
            input="\n".join(kept) + "\n",
            text=True,
            capture_output=True,
            check=False,
        )
    FORWARDING.write_text(before["forwarding"])


def sweep(engine: str, names: str, folder: str) -> None:
    """Remove what interrupted tests left on an engine: containers, networks, images."""
    address = {"docker": state()["engine"].get("socket")}.get(engine)
    command = [engine, *(["--host", address] if address else [])]

    def told(*arguments: str) -> list[str]:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        return done.stdout.splitlines()

    for kind, ls in (("rm", "ps --all"), ("network rm", "network ls")):
        label = '{{.ID}}\t{{.Label "sm-local.project"}}'
        for line in told(*ls.split(), "--filter", "label=sm-local.project", "--format", label):
            name, _, project = line.partition("\t")
            if project.startswith(f"{folder}/"):
                told(*kind.split(), "--force" if kind == "rm" else "--", name)
    for name in told("images", "--format", "{{.Repository}}:{{.Tag}}"):
        if f"/{name}".rpartition("/")[2].startswith((f"{names}-", f"{names}:")):
            told("rmi", "--force", name)


def remove_temp(folder: Path, *, keep: bool) -> None:
    """Remove the tests' files; those of a failed session stay, closed again, to be looked at."""
    if keep and any(folder.glob("*")):
        folder.chmod(0o700)
    else:
        shutil.rmtree(folder, ignore_errors=True)
