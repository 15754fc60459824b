"""What runs a plan: Docker, Podman, the sandbox. A file each, all with the methods of Engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..machine import EngineFacts
from ..plan import Container, Plan
from .docker import Docker
from .podman import Podman
from .sandbox import Sandbox

Lines = list[str]  # of Bash
Words = list[list[str]]  # one command: a line each, as it is shown in the recipe


class Engine(Protocol):
    """What a verb asks of an engine, in the order in which a recipe runs."""

    @property
    def facts(self) -> EngineFacts:
        """Return what machine.py found."""

    def accept(self, plan: Plan) -> Plan:
        """Return the plan, with a note on what is left out. Raises SmLocalError if it cannot be."""

    def headline(self, plan: Plan) -> str:
        """Say what runs where, in one line."""

    @property
    def first(self) -> tuple[str, ...]:
        """Return the files of lib/ that a recipe sources before all others."""

    def libraries(self, plan: Plan, shell: bool = False) -> tuple[str, ...]:
        """Return the engine's files of lib/ that the plan needs, or a shell in its place."""

    def opening(self, plan: Plan) -> Lines:
        """Return what stands first in a recipe."""

    def before(self, plan: Plan) -> Lines:
        """Return what all hosts share: network, limits, what is handed back afterwards."""

    def beside(self, plan: Plan) -> Lines:
        """Return what starts the processes that live as long as the job."""

    def furnish(self, plan: Plan, container: Container) -> Lines:
        """Return what a host needs after its mounts."""

    def claim(self, plan: Plan, container: Container) -> Lines:
        """Return what names a host's container and keeps a second job off the locked folder."""

    def park(self, plan: Plan, container: Container) -> Lines:
        """Return what `run` needs of a plan whose next container is made ahead."""

    def run(self, plan: Plan, container: Container) -> Words:
        """Return the command that runs a host."""

    def meanwhile(self, plan: Plan) -> Lines:
        """Return what there is time for while the job runs."""

    def after(self, plan: Plan) -> Lines:
        """Return what removes all that only the running job needed, and hands files back."""

    def scratch(self, container: Container) -> tuple[str, ...]:
        """Return the folders that a host's copy-on-write mounts need."""

    def before_shell(self, plan: Plan) -> Lines:
        """Return what refuses a shell before its folder is made."""

    def name_shell(self, plan: Plan) -> Lines:
        """Return what names a shell's container and gives it the terminal."""

    def shell(self, plan: Plan, container: Container) -> Words:
        """Return the command that opens a shell in the place of a host's program."""

    def look(self, plan: Plan, container: Container) -> list[str]:
        """Return the options of a container like a host's. Raises SmLocalError without images."""

    def build(self, settings: dict[str, str]) -> Lines:
        """Return what makes the project's image. Raises SmLocalError."""


ENGINES: dict[str, Callable[[EngineFacts], Engine]] = {
    "docker": Docker,
    "podman": Podman,
    "sandbox": Sandbox,
}
