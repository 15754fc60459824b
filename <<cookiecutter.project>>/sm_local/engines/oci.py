"""What Docker and Podman have in common: the same container as each one's command line."""

from __future__ import annotations

import resource
import shlex
from dataclasses import dataclass, replace

from ..machine import EngineFacts
from ..plan import STAMP, Code, Container, Mount, Plan
from ..script import JOB, NAME, Bash, array, assign, call, fill_array, glue, own

ENDPOINT = "169.254.170.2"  # where SDKs ask for a container's credentials (captured)
OWN_CODE = "+code"  # as lib/code.sh calls it: no channel can have that name
ARM = ("arm64", "aarch64")
BUILT = Bash('"$built"')
# no keys leave a job without a terminal: ^P^Q would, and is a person's "the line before"
TERMINAL = ["--interactive", "--tty", "--detach-keys", "ctrl-@,ctrl-@"]
SHELL = "if command -v bash >/dev/null; then exec bash; else exec sh; fi"


@dataclass(frozen=True)
class OCI:
    """An engine that runs images."""

    facts: EngineFacts
    first = ()

    def accept(self, plan: Plan) -> Plan:
        """Return the plan: an engine of images can do all that features have let through."""
        return plan

    def headline(self, plan: Plan) -> str:
        """Say what runs where, in one line."""
        return f"{self.facts.name} {self.facts.version}, {plan.gpu_words}, image {plan.image}"

    def libraries(self, plan: Plan, shell: bool = False) -> tuple[str, ...]:
        """Return the engine's files of lib/ that the plan needs, or a shell in its place."""
        optional = (
            ("build", plan.image_source == "own"),
            ("company", plan.looked_up),
            ("credentials", plan.credentials),
            ("mps", plan.shares_gpus),
            ("parked", plan.parking),
            ("python_path", plan.at_terminal or plan.debug_ports),
        )
        needed = (name for name, needed in optional if needed)
        return ("container", self.facts.name, "events", *needed)

    def opening(self, plan: Plan) -> list[str]:
        """Name the engine and the image, for the functions that explain a refusal.

        Of several hosts that miss their image the first would seem to have failed: ask before.
        """
        remedy = plan.remedy or f"'{self.facts.name} pull {plan.image}' fetches it"
        names = [assign(engine=self.facts.name, image=plan.image), assign(missing=remedy)]
        if plan.image_source == "own":
            names.append("find_built")
        if plan.several:
            names.append("need_image")
        if plan.looked_up:
            names.append(call("look_up", *plan.looked_up))
        if plan.at_terminal or plan.debug_ports:
            names.append("find_python_path")
        return names

    def before(self, plan: Plan) -> list[str]:
        """Set limits, make the job's own network, serve credentials."""
        lines = [call("limit", plan.nofile)]
        if plan.own_network:
            lines.append(call("own_network", "--driver", "bridge", *network_options(plan)))
        if plan.credentials:
            role = [plan.role] if plan.credentials == "role" else []
            lines.append(call("start_credentials", ENDPOINT, plan.region, *role))
        return [*lines, *(["need_mps"] if plan.shares_gpus else [])]

    def beside(self, plan: Plan) -> list[str]:
        """Start nothing."""
        return []

    def furnish(self, plan: Plan, container: Container) -> list[str]:
        """Mount certificates; let hosts that share GPUs find the daemon that shares them out."""
        trusted = [call("mount_certificates", plan.certificates)] if plan.certificates else []
        return [*trusted, *(["share_gpus"] if plan.shares_gpus else [])]

    def claim(self, plan: Plan, container: Container) -> list[str]:
        """Name the container. One that uses a locked folder gets a name that only one may have."""
        if plan.locked and container is plan.containers[0]:
            return ["checkpoints_name"]
        return [glue(Bash("name=$job-$$-"), container.host)]

    def meanwhile(self, plan: Plan) -> list[str]:
        """Listen to the engine; warn of an image that is older than what it is made from."""
        return ["listen", *(["( warn_if_stale & ) || true"] if plan.image_source == "own" else [])]

    def after(self, plan: Plan) -> list[str]:
        """Remove the job's own network."""
        return ["drop_network"] if plan.own_network else []

    def scratch(self, container: Container) -> tuple[str, ...]:
        """Return the folders for what a job writes into its channels."""
        return overlay_folders(container)

    def before_shell(self, plan: Plan) -> list[str]:
        """Refuse a shell in an image that is missing."""
        return ["need_image"]

    def name_shell(self, plan: Plan) -> list[str]:
        """Name the shell's container; hand it the terminal if there is one."""
        return [
            "name=$job-$$-shell",
            "terminal=(--interactive)",
            "if [[ -t 0 && -t 1 ]]; then terminal+=(--tty); fi",
        ]

    def run(self, plan: Plan, container: Container) -> list[list[str]]:
        """Return `docker run …` or `podman run …`.

        --entrypoint takes one word; further ones go in front of the arguments, which gives the
        process the same argument list.
        """
        if plan.parking:
            arrays: list[str] = [array("named"), array("options"), array("starts")]
            return [["run_parked"], *self._client(), arrays]
        terminal = TERMINAL if plan.at_terminal else []
        return [*self._options(plan, container), terminal, self._program(plan, container)]

    def _program(self, plan: Plan, container: Container) -> list[str]:
        """Return the image and what it runs."""
        first, rest = container.entrypoint[:1], container.entrypoint[1:]
        entrypoint = [word for one in first for word in ("--entrypoint", one)]
        return [*entrypoint, image(plan), *rest, *container.command]

    def park(self, plan: Plan, container: Container) -> list[str]:
        """Return the arrays of which `run` and the next job's container are made."""
        return [
            *fill_array("named", self._variables(container, named=True)),
            *fill_array("options", self._fixed(plan, container)),
            *fill_array("starts", [self._program(plan, container)]),
        ]

    def shell(self, plan: Plan, container: Container) -> list[list[str]]:
        """Return the same command with a shell as its program."""
        last = [array("terminal"), "--entrypoint", "sh", image(plan), "-c", SHELL]
        return [*self._options(plan, container), last]

    def look(self, plan: Plan, container: Container) -> list[str]:
        """Return the options by which a container that no recipe starts looks like a host's.

        Constants alone: not what a recipe makes when it runs, such as a network of the job's own.
        """
        platform, most = self._platform(plan), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = int(plan.nofile) if most < 0 else min(int(plan.nofile), most)  # as lib/container.sh
        return [
            *("--hostname", container.hostname),
            *self._network(replace(plan, own_network=False), container),
            *self._shared_memory(plan),
            *("--ulimit", f"nofile={files}:{files}"),
            *self._limits(container),
            *self.gpus(container.gpus),
            *(["--platform", platform] if platform else []),
            *plan.engine_arguments,
        ]

    def _options(self, plan: Plan, container: Container) -> list[list[str]]:
        """Return all but the program: no TTY, no init process, no other user, as on SageMaker."""
        return [*self._client(), *self._fixed(plan, container)]

    def _client(self) -> list[list[str]]:
        """Return the client and how the container is known."""
        return [
            [self.facts.name, "run", "--rm", "--pull", "never", "--name", NAME]
            + ["--cidfile", own("container-id")],
            ["--label", Bash('sm-local.project="$PWD"'), "--label", glue("sm-local.job=", JOB)]
            + ["--label", Bash('sm-local.recipe="$recipe"')],
        ]

    def _variables(self, container: Container, named: bool) -> list[list[str]]:
        """Return a container's variables: those with the job's own name in them, or the others."""
        environment = {**container.variables, **container.environment}
        return [
            ["--env", glue(f"{name}=", value)]
            for name, value in environment.items()
            if (STAMP in value) == named
        ]

    def _fixed(self, plan: Plan, container: Container) -> list[list[str]]:
        """Return what a container has, but for its names."""
        platform, port = self._platform(plan), container.port
        named = [] if plan.parking else self._variables(container, named=True)
        return [
            ["--hostname", container.hostname, *self._network(plan, container)],
            ["--publish", f"127.0.0.1:{port}:{port}"] if port else [],
            [*self._shared_memory(plan), array("limits")],
            self._limits(container),
            self.gpus(container.gpus),
            ["--platform", platform] if platform else [],
            *named,
            *self._variables(container, named=False),
            [word for name in plan.passed for word in ("--env", name)],
            [array("credentials")] if plan.credentials else [],
            [array("mounts")],
            list(plan.engine_arguments),
        ]

    def _network(self, plan: Plan, container: Container) -> list[str]:
        """Return how the host's name resolves: in the job's own network, or as the loopback."""
        if plan.own_network:
            return ["--network", Bash('"$job-$$"'), "--network-alias", container.host]
        return ["--add-host", f"{container.host}:127.0.0.1"]

    def _shared_memory(self, plan: Plan) -> list[str]:
        """Return the arguments about /dev/shm.

        Clients of MPS need its daemon's, which is the machine's own (NVIDIA/nvidia-docker#419).
        """
        return ["--ipc", "host"] if plan.shares_gpus else ["--shm-size", plan.shm]

    def _limits(self, container: Container) -> list[str]:
        """Return the arguments that hold a host to its instance type.

        Engines refuse more CPUs than there are.
        """
        cpus, memory = container.cpus, container.memory
        most = min(cpus, self.facts.cpus or cpus)
        size = f"{memory}g"
        return [
            *(["--cpus", str(most)] if cpus else []),
            *(["--memory", size, "--memory-swap", size] if memory else []),
        ]

    def _platform(self, plan: Plan) -> str:
        """Return the platform to run as: Deep Learning Containers are linux/amd64 only."""
        emulated = self.facts.arch in ARM and plan.image_source == "dlc"
        return plan.platform or ("linux/amd64" if emulated else "")

    def gpus(self, wanted: str) -> list[str]:
        """Return the arguments that hand out GPUs."""
        if wanted == "none":
            return []
        devices = "all" if wanted in ("auto", "required", "all") else wanted
        if self.facts.gpu.mechanism == "cdi":
            names = [f"nvidia.com/gpu={device}" for device in devices.split(",")]
            return [word for name in names for word in ("--device", name)]
        return ["--gpus", "all" if devices == "all" else f'"device={devices}"']

    def build(self, settings: dict[str, str]) -> list[str]:
        """Make the project's image from container/ and code/."""
        image, platform = settings["IMAGE"], settings["PLATFORM"]
        words = [
            [self.facts.name, "build", "--tag", image, "--iidfile", Bash('"recipes/.id-$$"')],
            ["--build-arg", f"BASE_IMAGE={settings['BASE_IMAGE']}"],
            *([["--platform", platform]] if platform else []),
            shlex.split(settings["BUILD_ARGS"]),
        ]
        return [
            assign(engine=self.facts.name),
            "mkdir -p recipes",
            *fill_array("build", words),
            "build_image",
            call("record_build", image),
            call("say", f"built {image}; next: make train"),
        ]


def image(plan: Plan) -> str:
    """Return what names the image to the engine: the project's own is known by its ID alone."""
    return BUILT if plan.image_source == "own" else plan.image


def network_options(plan: Plan) -> list[str]:
    """Return the options of the job's own network.

    Where credentials are served, this machine is ENDPOINT in it.
    """
    if plan.credentials:
        return ["--subnet", f"{ENDPOINT.rpartition('.')[0]}.0/24", "--gateway", ENDPOINT]
    return ["--internal"] if plan.isolated else []


def overlay_folders(container: Container) -> tuple[str, ...]:
    """Return the upper and work folders of a host's copy-on-write mounts."""
    mounts = [piece for piece in container.layout if isinstance(piece, Mount)]
    names = [mount.channel for mount in mounts if mount.mode == "cow"]
    names += [OWN_CODE for one in container.layout if isinstance(one, Code) and one.small == "cow"]
    return tuple(f"cow/{name}/{part}" for name in names for part in ("upper", "work"))
