"""The sandbox: Linux namespaces, this machine's programs, no image."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import SmLocalError
from ..machine import EngineFacts
from ..plan import Container, Plan
from ..script import Bash, array, call, glue
from .oci import overlay_folders

ALONE = "the hosts reach each other and nothing else: the sandbox has no way out of their network"
NO_CONTAINER = "the sandbox has no container for an editor; use ENGINE=docker or ENGINE=podman"
TERM = Bash('TERM="${TERM:-dumb}"')
RELAY = ["python3", "-B", "sm_local/libexec/terminal.py"]
NO_IMAGE = (
    "the sandbox needs no image: it runs container/train with the Python of this machine; "
    "nothing to build"
)


@dataclass(frozen=True)
class Sandbox:
    """Namespaces of util-linux in which the job's folders are /opt/ml."""

    facts: EngineFacts
    first = ("process", "overlay", "sandbox")  # all that the recipe needs inside the namespaces

    def accept(self, plan: Plan) -> Plan:
        """Refuse what would need an image, or folders outside /opt; note what is left out."""
        for mount in plan.mounts:
            if not mount.target.startswith("/opt/"):
                raise SmLocalError(
                    f"{plan.file}: {mount.asked_by} is {mount.target}; "
                    "the sandbox can show folders below /opt only"
                )
        first = plan.containers[0]
        if not first.entrypoint and (first.arguments or not first.standard):
            what = "ContainerArguments alone go to an image's entrypoint"
            if not first.arguments:
                what = "without ContainerEntrypoint the image's own program runs"
            raise SmLocalError(
                f"{plan.file}: {what}, and the sandbox has no image; add ContainerEntrypoint"
            )
        return plan.noting(*_notes(plan))

    def headline(self, plan: Plan) -> str:
        """Say what runs where, in one line."""
        name, version = self.facts.name, self.facts.version
        return f"{name} {version}, {plan.gpu_words}, this machine's Python"

    def libraries(self, plan: Plan, shell: bool = False) -> tuple[str, ...]:
        """Return the sandbox's files of lib/, beside those that come first."""
        return ("sandbox", *(("company",) if plan.looked_up else ()))

    def opening(self, plan: Plan) -> list[str]:
        """Look up what settings.env names by a variable."""
        return [call("look_up", *plan.looked_up)] if plan.looked_up else []

    def before(self, plan: Plan) -> list[str]:
        """Make the network that joins several hosts."""
        return ["make_switch"] if plan.several else []

    def beside(self, plan: Plan) -> list[str]:
        """Start nothing: what a job writes is the caller's."""
        return []

    def furnish(self, plan: Plan, container: Container) -> list[str]:
        """Make a host's namespaces; several hosts are 10.0.0.1 … on a switch of their own."""
        if not plan.several:
            names = f"127.0.0.1 {container.host} {container.hostname}"
            net = ["--net"] if plan.isolated else []
            return [call("in_namespaces", container.hostname, plan.shm, names, *net)]
        hosts = enumerate(plan.containers, 1)
        names = "\n".join(f"10.0.0.{number} {one.host} {one.hostname}" for number, one in hosts)
        return [
            call("in_namespaces", container.hostname, plan.shm, names),
            call("on_switch", container.host.rpartition("-")[2]),
        ]

    def claim(self, plan: Plan, container: Container) -> list[str]:
        """Keep a second job off the locked folder."""
        first = container is plan.containers[0]
        return ["lock_checkpoints"] if plan.locked and first else []

    def park(self, plan: Plan, container: Container) -> list[str]:
        """Return nothing: there is no container."""
        return []

    def run(self, plan: Plan, container: Container) -> list[list[str]]:
        """Return the job's program, or container/train, in a clean environment."""
        if container.entrypoint:
            program = [*container.entrypoint, *container.arguments]
        else:
            program = [Bash('"$PWD"/container/train')]
        if plan.at_terminal:
            return [RELAY, *self._environment(plan, container, [TERM]), program]
        return [*self._environment(plan, container, []), program]

    def shell(self, plan: Plan, container: Container) -> list[list[str]]:
        """Return a shell in the same environment, in which `train` starts the script."""
        more: list[str] = [Bash('PATH="$PWD/container:$PATH"'), TERM]
        return [*self._environment(plan, container, more), ["bash"]]

    def _environment(self, plan: Plan, container: Container, more: list[str]) -> list[list[str]]:
        """Return all but the program: nothing of the caller's environment but PATH and HOME."""
        values = {**_visible_gpus(container), **container.variables, **container.environment}
        # by name, as `docker run --env NAME`: every user of this machine can read arguments
        passed = [[f"looked-up:{name}"] for name in plan.passed]
        words: list[list[str]] = [[glue(f"{name}=", value)] for name, value in values.items()]
        return [
            [array("sandbox"), "env", "-i", Bash('PATH="$PATH"'), Bash('HOME="${HOME:-/root}"')]
            + [f"HOSTNAME={container.hostname}"],
            *([more] if more else []),
            *passed,
            *words,
        ]

    def meanwhile(self, plan: Plan) -> list[str]:
        """Look whether the terminal is closed; there is no image that could be stale."""
        return ["listen"]

    def after(self, plan: Plan) -> list[str]:
        """Remove what only the running job needed."""
        return ["drop_scratch"]

    def scratch(self, container: Container) -> tuple[str, ...]:
        """Return the folders for what a job writes into its channels, and for its /opt."""
        return ("stage", *overlay_folders(container))

    def before_shell(self, plan: Plan) -> list[str]:
        """Refuse nothing: no image is needed."""
        return []

    def name_shell(self, plan: Plan) -> list[str]:
        """Name nothing: the shell has the terminal as it is."""
        return []

    def look(self, plan: Plan, container: Container) -> list[str]:
        """Refuse: there is no container."""
        raise SmLocalError(NO_CONTAINER)

    def build(self, settings: dict[str, str]) -> list[str]:
        """Say that there is nothing to build."""
        return [call("say", NO_IMAGE)]


def _visible_gpus(container: Container) -> dict[str, str]:
    """Return what keeps CUDA to the chosen devices where no engine hands them out."""
    if container.gpus == "none" or container.gpus[0].isdigit():
        return {"CUDA_VISIBLE_DEVICES": container.gpus.replace("none", "")}
    return {}


def _notes(plan: Plan) -> list[str]:
    """Return what is said once of a job that is not quite as in a container."""
    given = (
        ("TrainingImage", plan.image_source == "other"),
        ("DOCKER_ARGS", plan.engine_arguments),
        ("PLATFORM", plan.platform),
    )
    left_out = ", ".join(name for name, value in given if value)
    return [
        *([ALONE] if plan.several and not plan.isolated else []),
        *([f"the sandbox has no containers: {left_out} left out"] if left_out else []),
    ]
