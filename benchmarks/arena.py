"""Where faults happen: engines, a project for each try, disks that fill up, a clock that jumps.

All of it is this run's own: names and folders have its number, the engine that has to die is a
second one, and what a try leaves anywhere is found by the project's path.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "tests"))

import house  # noqa: E402
import projects  # noqa: E402

# A variable of all that a run starts: only processes with it, or in a sandbox of the run's own, get
# a signal. A path in a command line or a list of mounts proves nothing: namespaces inherit mounts.
MARK, ENGINE_MARK = "SM_LOCAL_FAULTS", "SM_LOCAL_FAULTS_ENGINE"
ENGINES = ("docker", "docker-user", "podman", "sandbox", "sandbox-user")
# The job: it writes a file, says so, and then notes in a folder that survives everything what it
# has written and said. So afterwards there is a truth to compare with.
SCRIPT = """import json, os, signal, sys, time
host = json.load(open("/opt/ml/input/config/resourceconfig.json"))["current_host"]
kept = "/opt/ml/checkpoints"
truth = f"{kept}/truth-{os.environ['TRAINING_JOB_NAME']}-{host}"
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
files = lines = 0
def say():
    global lines
    lines += 1
    print("line", lines, flush=True)
def note():
    with open(truth + ".new", "w") as file: file.write(f"{files} {lines}")
    os.rename(truth + ".new", truth)
def work():
    global files
    try:
        with open(f"/opt/ml/model/file-{host}-{files + 1}", "w") as file: file.write("whole\\n")
        files += 1
    except OSError:
        pass
    say()
    note()
with open("/opt/ml/model/blob-" + host, "wb") as file: file.write(os.urandom(BLOB))
work()
BODY
while not (asked or os.path.exists(kept + "/end")):
    work()
    time.sleep(0.02)
work()
"""


@dataclass(frozen=True)
class Engine:
    """An engine, and as whom it is used."""

    name: str  # of ENGINES
    prefix: tuple[str, ...] = ()  # becomes the unprivileged user
    words: tuple[str, ...] = ()  # behind `make`
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Return docker, podman or sandbox."""
        return self.name.partition("-")[0]

    @property
    def user(self) -> int:
        """Return whose files a try may leave."""
        return projects.USER if self.prefix else os.geteuid()

    def told(self, *words: str) -> str:
        """Return what the engine prints."""
        done = subprocess.run(
            [self.kind, *words],
            capture_output=True,
            text=True,
            errors="replace",
            env=projects.clean_environment(**self.environment),
            timeout=120,
            check=False,
        )
        return done.stdout


class Arena:
    """What all tries of a run share; a context manager that leaves only failed tries behind."""

    def __init__(self, base: str = "") -> None:
        """Make nothing yet but a folder; `base` is the image that the project's is built from."""
        self.base = base
        self.folder = Path(tempfile.mkdtemp(prefix="sm-local-faults-")).resolve()
        self.folder.chmod(0o755)
        self.name = f"sm-local-faults-{os.getpid()}"
        self.home = self.folder / "home"
        self.home.mkdir(mode=0o777)
        self.home.chmod(0o777)
        self._way = contextlib.ExitStack()
        self._templates: dict[tuple[str, int], Path] = {}
        self._baked: Path | None = None
        self._mortal: Mortal | None = None
        self._clock = ""
        self._in_podman = self._built = False

    def __enter__(self) -> Arena:
        """Let the unprivileged user come in."""
        if os.geteuid() == 0:
            stay = house.Stay()
            self._way.callback(stay.leave)
            house.open_way_to(self.folder)
        return self

    def __exit__(self, *_) -> None:
        """Give all back."""
        if self._mortal:
            self._mortal.end()
        images = {
            "docker": [f"{self.name}:latest", f"{self.name}-base:bookworm"] * self._built,
            "podman": [f"localhost/{self.name}:latest"] * self._in_podman,
        }
        for engine, names in images.items():
            for name in names:
                subprocess.run([engine, "rmi", "--force", name], capture_output=True, check=False)
        shutil.rmtree(self.folder / "templates", ignore_errors=True)
        shutil.rmtree(self.folder / "baked", ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)
        with contextlib.suppress(OSError):  # failed tries are kept
            self.folder.rmdir()
        self._way.close()

    def environment(self, engine: Engine, **changes: str) -> dict[str, str]:
        """Return what make sees: the home is everybody's, the Python too."""
        everybody = projects.everybodys_python()
        own = {"HOME": str(self.home), MARK: str(self.folder)}
        return {**everybody, **own, **engine.environment, **changes}

    def engine(self, name: str) -> Engine:
        """Return an engine that is ready for this run's projects."""
        kind, _, user = name.partition("-")
        prefix = tuple(projects.docker_user()) if user else ()
        if user and kind == "sandbox" and not os.geteuid():
            one = str(projects.USER)
            prefix = ("setpriv", f"--reuid={one}", f"--regid={one}", "--clear-groups")
        if kind == "podman":
            self.load_into_podman()
            image = f"IMAGE=localhost/{self.name}:latest"
            return Engine(name, words=("ENGINE=podman", image, "CODE=mount"))
        if kind == "docker":
            self.build()
        return Engine(name, prefix, (f"ENGINE={kind}",))

    def mortal(self, engine: Engine) -> Engine:
        """Return a Docker engine of our own that may be killed, used by the same user."""
        if not self._mortal:
            self._mortal = Mortal(self.folder / "engine", f"{self.name}:latest")
        self._mortal.start()
        address = {"DOCKER_HOST": self._mortal.address}
        return Engine(engine.name, engine.prefix, engine.words, address)

    @property
    def mortal_engine(self) -> Mortal:
        """Return that engine itself."""
        assert self._mortal
        return self._mortal

    def baked(self) -> Path:
        """Return the project as it is baked, with its environment."""
        if not self._baked:
            (self.folder / "baked").mkdir()
            project = projects.bake(self.folder / "baked", project=self.name, accept_hooks=False)
            done = projects.make(
                project, "sm_local/.venv/ready", timeout=300, env=projects.everybodys_python()
            )
            assert done.returncode == 0, done.stdout
            self._baked = project
        return self._baked

    def build(self) -> None:
        """Make the project's image, once."""
        if self._built:
            return
        project = self.baked()
        with house.locked("base"):
            base = self.base or projects.base_image(f"{self.name}-base:bookworm")
        self._built = True
        settings = project / "settings.env"
        lines = settings.read_text().replace("=python:3.12-slim", f"={base}")
        settings.write_text(lines)
        done = projects.make(project, "build", "ENGINE=docker", timeout=600)
        assert done.returncode == 0, done.stdout

    def load_into_podman(self) -> None:
        """Give Podman the same image."""
        if self._in_podman:
            return
        projects.need_podman()
        self.build()
        archive, image = self.folder / "image.tar", f"{self.name}:latest"
        subprocess.run(["docker", "save", "--output", archive, image], check=True)
        load = ["podman", "load", "--input", str(archive)]
        subprocess.run(load, check=True, capture_output=True)
        archive.unlink()
        self._in_podman = True
        tag = ["podman", "tag", f"docker.io/library/{image}", f"localhost/{image}"]
        subprocess.run(tag, check=False, capture_output=True)

    def template(self, engine: Engine, hosts: int) -> Path:
        """Return a project whose recipes are written, to be copied: Python's time is not a try's.

        It belongs to the user of the engine.
        """
        key = (f"{engine.name}{'-mortal' * bool(engine.environment)}", hosts)
        if key not in self._templates:
            folder = self.folder / "templates" / f"{key[0]}-{hosts}" / self.name
            shutil.copytree(self.baked(), folder, symlinks=True)
            (folder / "settings.local.env").write_text("INTERRUPT_GRACE=3\nSTOP_GRACE=5\n")
            if hosts > 1:
                job = folder / "job.yaml"
                text = job.read_text().replace("InstanceCount: 1", f"InstanceCount: {hosts}")
                job.write_text(text)
            hand_over(folder, engine)
            done = self.make(folder, engine, "recipe", *engine.words)
            assert done.returncode == 0, done.stdout
            self._templates[key] = folder
        return self._templates[key]

    def project(self, engine: Engine, name: str, hosts: int, body: str, blob: int) -> Path:
        """Return a project for one try."""
        project = self.folder / name / self.name
        project.parent.mkdir()
        copy = ["cp", "-a", "--reflink=auto", str(self.template(engine, hosts)), str(project)]
        subprocess.run(copy, check=True)
        (project / "code/train.py").write_text(script(body, blob))
        return project

    def make(
        self, project: Path, engine: Engine, *words: str, timeout: float = 60, **changes: str
    ) -> subprocess.CompletedProcess:
        """Call make as the engine's user; status 124 and a line if it hangs."""
        command = [*engine.prefix, "make", *words]
        options = {"cwd": project, "env": self.environment(engine, **changes)}
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )
        try:
            said, _ = process.communicate(timeout=timeout)
            return subprocess.CompletedProcess(command, process.returncode, said)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return subprocess.CompletedProcess(command, 124, f"hung for {timeout} s")

    def clock(self) -> str:
        """Return a library that moves the clock of whoever loads it; '' where no compiler is."""
        compiler = shutil.which("cc")
        if not self._clock and compiler:
            source, library = self.folder / "home/clock.c", self.folder / "home/clock.so"
            source.write_text(CLOCK)
            command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
            subprocess.run(command, check=True)
            self._clock = str(library)
        return self._clock


def script(body: str = "", blob: int = 1000) -> str:
    """Return the job's script, with a body of the row's and a model of so many bytes."""
    return SCRIPT.replace("BLOB", str(blob)).replace("BODY", body)


def hand_over(folder: Path, engine: Engine) -> None:
    """Give a project to the engine's user."""
    if engine.user != os.geteuid():
        subprocess.run(["chown", "-hR", f"{engine.user}:{engine.user}", folder], check=True)


# The seconds in the file that JUMP names are added to what the clock says.
CLOCK = r"""#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long jump(void) {
  long seconds = 0;
  const char *path = getenv("JUMP");
  FILE *file = path ? fopen(path, "r") : NULL;
  if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
  return seconds;
}

int clock_gettime(clockid_t id, struct timespec *now) {
  int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(id, now);
  if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) now->tv_sec += jump();
  return status;
}

int gettimeofday(struct timeval *now, void *zone) {
  int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
  int status = real(now, zone);
  now->tv_sec += jump();
  return status;
}

time_t time(time_t *to) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (to) *to = now.tv_sec;
  return now.tv_sec;
}
"""


class Mortal:
    """A Docker engine that may be killed: own data, socket and network namespace."""

    def __init__(self, folder: Path, image: str) -> None:
        """Start nothing yet; `image` is given to it by the machine's own engine."""
        folder.mkdir()
        folder.chmod(0o755)
        self.folder, self.image, self.loaded = folder, image, False
        self.address = f"unix://{folder}/docker.sock"
        self.process: subprocess.Popen | None = None
        self.containerd: subprocess.Popen | None = None

    def environment(self) -> dict[str, str]:
        """Return what dockerd, containerd and its shims are known by."""
        return projects.clean_environment(**{ENGINE_MARK: str(self.folder)})

    @property
    def pid(self) -> int:
        """Return dockerd's process."""
        return int((self.folder / "pid").read_text())

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        if projects.answers(self.address):
            return
        (self.folder / "pid").unlink(missing_ok=True)
        if not self.containerd:
            self.start_containerd()
        command = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
        command += [projects.need("dockerd", "docker.io")]
        command += ["--data-root", str(self.folder / "data"), "--host", self.address]
        command += ["--exec-root", str(self.folder / "exec"), "--pidfile", f"{self.folder}/pid"]
        command += ["--containerd", str(self.folder / "containerd.sock")]
        self.process = self.spawn(command)
        deadline = time.monotonic() + 60
        while not projects.answers(self.address):
            assert time.monotonic() < deadline and self.process.poll() is None, (
                "dockerd did not start: " + (self.folder / "log").read_text()[-2000:]
            )
            time.sleep(0.2)
        (self.folder / "docker.sock").chmod(0o666)
        if not self.loaded:
            pipe = f"docker save {self.image} | docker --host {self.address} load"
            subprocess.run(["sh", "-c", pipe], check=True, capture_output=True)
            self.loaded = True

    def spawn(self, command: list[str]) -> subprocess.Popen:
        """Start one of its programs, in a session of its own."""
        with open(self.folder / "log", "a") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self.environment(),
            )

    def start_containerd(self) -> None:
        """Start what outlives dockerd, as where systemd starts both."""
        config, at = self.folder / "containerd.toml", self.folder
        config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        command = [projects.need("containerd", "containerd"), "--config", str(config)]
        command += ["--address", f"{at}/containerd.sock"]
        command += ["--root", f"{at}/exec/root", "--state", f"{at}/exec/state"]
        self.containerd = self.spawn(command)
        deadline = time.monotonic() + 20
        while not (at / "containerd.sock").exists() and time.monotonic() < deadline:
            time.sleep(0.1)

    def kill(self, number: int) -> None:
        """Send dockerd a signal, and wait for its end."""
        if self.pid in marked(ENGINE_MARK, self.folder):
            os.kill(self.pid, number)
        assert self.process
        self.process.wait(60)

    def end(self) -> None:
        """Stop it, and what a killed one has left running: all of it is below its folder."""
        with contextlib.suppress(Exception):
            self.start()
            self.kill(15)
        for pid in marked(ENGINE_MARK, self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        time.sleep(0.5)
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if line.split()[1].startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", line.split()[1]], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def marked(name: str, folder: Path) -> list[int]:
    """Return the processes that were started with a mark, whoever their parent is now."""
    wanted, found = os.fsencode(f"{name}={folder}"), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return [pid for pid in found if pid != os.getpid()]
