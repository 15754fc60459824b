"""What runs: one frozen value between a kind of job and an engine.

A kind makes a Plan, features change it, an engine turns it into Bash. It names no engine, has no
Bash in it, and is printed, compared and replaced like any other value.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Union

# Stands for the time at the end of a job's name, which only the running recipe knows. It cannot
# clash: no value of a request has a NUL.
STAMP = "\0\0"
# Stands for the PYTHONPATH that the image sets, behind a colon, which it is not asked for before.
IMAGES_PATH = "\0\1"


@dataclass(frozen=True)
class Mount:
    """A folder or file in the container."""

    source: str  # below the project, or below the host's folder of the job; '': what Prefix found
    target: str
    mode: str = "rw"  # rw, ro, or cow: writable, and the source stays as it is
    own: bool = False  # the source is below the host's folder of the job
    channel: str = ""  # the channel whose data it is
    asked_by: str = ""  # the part of the request that names the target, for messages


@dataclass(frozen=True)
class View:
    """A channel made of objects, before the job starts: links to them, or a list of them."""

    function: str  # of lib/view.sh
    channel: str
    objects: tuple[str, ...]  # arguments of libexec/objects.py


@dataclass(frozen=True)
class Prefix:
    """A channel that shows a prefix: the mirror's folder as it is, or the view that was made."""

    channel: str
    folder: str


@dataclass(frozen=True)
class Feed:
    """A channel in Pipe mode, fed by libexec/pipe.py."""

    channel: str
    objects: tuple[str, ...]
    options: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """The user's code/: the job has a copy of it, which a host may change for itself."""

    target: str
    small: str = "cow"  # how a host gets the job's copy: cow, or copy, which makes another one
    large: str = "cow"  # how code/ itself is mounted where it is too large: cow or readonly


@dataclass(frozen=True)
class Debugger:
    """What starts the debugger, and the debugger itself."""


Piece = Union[Mount, Prefix, Feed, Code, Debugger]


@dataclass(frozen=True)
class Parking:
    """The next job's container is made when this one has ended, and waits for it."""

    seconds: int  # then it ends by itself
    preload: tuple[str, ...] = ()  # modules that it imports meanwhile


@dataclass(frozen=True)
class Container:
    """One host of a job."""

    host: str  # algo-1 … algo-N
    hostname: str
    instance_type: str
    entrypoint: tuple[str, ...]  # () for the image's own
    arguments: tuple[str, ...]
    standard: tuple[str, ...]  # the arguments where the request gives neither of the two
    variables: dict[str, str]  # the platform's environment, which the request may replace
    environment: dict[str, str]  # the request's
    files: dict[str, str]  # config files: name, text
    layout: tuple[Piece, ...]  # what is mounted, in this order
    views: tuple[View, ...] = ()
    without_gpu: dict[str, str] = field(default_factory=dict)  # variables of a host that has none
    folders: tuple[str, ...] = ()  # to be made below the host's folder of the job
    gpus: str = "none"  # in the words of the setting GPU
    gpu_limit: int | None = None  # at most so many
    cpus: int = 0  # 0: no limit
    memory: int = 0  # GiB; 0: no limit
    port: int = 0  # published on this machine's loopback alone; 0: none

    @property
    def command(self) -> tuple[str, ...]:
        """Return the arguments that follow the entrypoint, or the image where it has its own."""
        return self.arguments if self.entrypoint or self.arguments else self.standard


@dataclass(frozen=True)
class Plan:
    """A job, ready for any engine."""

    kind: str
    file: str  # the request's, for messages
    stem: str  # the job's name without the time
    region: str
    image: str
    # own: the one that `make build` made here; named: any image with that one's name;
    # dlc: `make pull-dlc` fetches it; other
    image_source: str
    remedy: str  # what to do when the image is missing; '' where that depends on the engine
    containers: tuple[Container, ...]
    results: tuple[str, ...]  # folders of opt/ml that become links to this job's
    produces: str  # the folder below /opt/ml that the job is run for
    checks: tuple[tuple[str, ...], ...] = ()  # commands of lib/, before anything is made
    handed_back: dict[str, str] = field(default_factory=dict)  # written by the job: folder, name
    locked: str = ""  # the folder that only one job may use at a time
    isolated: bool = False
    own_network: bool = False
    role: str = ""
    credentials: str = ""  # '', session or role
    looked_up: tuple[str, ...] = ()  # settings whose values the recipe looks up when it runs
    passed: tuple[str, ...] = ()  # variables of the recipe's that its containers get
    certificates: str = ""  # where they find the file CA_BUNDLE; '' where it is not mounted
    fetches_code: bool = False  # its toolkit downloads the code from S3
    shares_gpus: bool = False  # by NVIDIA's Multi-Process Service
    gpu_words: str = ""
    sample: str = ""  # which part of the channels' files it sees, in words; '' for all
    max_seconds: str = ""  # it is stopped after so many; '' for no limit
    archives: str = ""  # when to pack: auto, always, never; '' leaves it to the setting PACK
    stop_grace: str = ""
    interrupt_grace: str = ""
    shm: str = ""
    nofile: str = ""
    platform: str = ""
    engine_arguments: tuple[str, ...] = ()
    parking: Parking | None = None
    debug_ports: tuple[int, ...] = ()  # where the hosts' debuggers are; () without
    at_terminal: bool = False  # what is typed is for the job
    notes: tuple[str, ...] = ()  # said once, before the job starts

    @property
    def several(self) -> bool:
        """Return whether the job has more than one host."""
        return len(self.containers) > 1

    def below(self, container: Container, name: str) -> str:
        """Return a path below a host's folder, as seen from the job's."""
        return f"{container.host}/{name}" if self.several else name

    def each(self, change) -> Plan:
        """Return the plan with every container changed by a function."""
        return replace(self, containers=tuple(map(change, self.containers)))

    def noting(self, *notes: str) -> Plan:
        """Return the plan with more notes."""
        return replace(self, notes=self.notes + notes)

    @property
    def runs_code(self) -> bool:
        """Return whether a host gets code/."""
        return any(isinstance(piece, Code) for one in self.containers for piece in one.layout)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Return all mounts of all hosts."""
        pieces = [piece for container in self.containers for piece in container.layout]
        return tuple(piece for piece in pieces if isinstance(piece, Mount))
