"""Docker, Podman, Sandbox: the same container as each one's command line.

A command is a list of lines, a line a list of Bash words: the recipe shows it as it will run.
"""

from __future__ import annotations

import re
import shlex

from .errors import SmLocalError
from .kinds import contract
from .kinds.job import UPLOADED, Host, Job
from .machine import AVAILABLE, Engine

Lines = list  # of lists of Bash words


class Bash(str):
    """A word that is Bash already: the recipe gets it as it is. Anything else is quoted."""


def word(value: str) -> str:
    """Return a value as one Bash word; in double quotes what single ones would make hard to read, for people and for shellcheck."""
    if isinstance(value, Bash):
        return value
    if re.search(r"['$`]", value):
        return '"' + re.sub(r'[\\"$`]', r"\\\g<0>", value) + '"'
    return shlex.quote(value)


def gpu_flags(engine: Engine, wanted: str) -> list[str]:
    """Return the arguments that hand out GPUs; none where GPU=auto found no runtime."""
    if wanted == "none" or (wanted == "auto" and not engine.gpu.mechanism):
        return []
    devices = "all" if wanted in ("auto", "required", "all") else wanted
    if engine.gpu.mechanism == "cdi" or engine.name == "podman":
        return [
            text
            for device in devices.split(",")
            for text in ("--device", f"nvidia.com/gpu={device}")
        ]
    return ["--gpus", "all" if devices == "all" else f'"device={devices}"']


def host_gpus(job: Job, engine: Engine, host: Host) -> str:
    """Return the GPUs of one host in the words of the setting GPU: fewer than it names where LIMITS or HOST_GPUS say so."""
    wanted, limit = job.settings["GPU"], is_limited(job, "gpus")
    if not gpu_flags(engine, wanted) or (limit and not instance(job, host)[1]):
        return "none"
    devices = (
        wanted.split(",")
        if wanted[0].isdigit()
        else [str(number) for number in range(engine.gpu.count)]
    )
    mine = share(job, host, devices[: instance(job, host)[1]] if limit else devices)
    return wanted if mine == devices else ",".join(mine)


def share(job: Job, host: Host, devices: list[str]) -> list[str]:
    """Return a host's part of the devices: with HOST_GPUS=split neighbouring ones, as even as it goes; else all."""
    at, hosts = job.hosts.index(host), len(job.hosts)
    if hosts == 1 or job.settings["HOST_GPUS"] != "split":
        return devices
    if len(devices) < hosts:
        raise SmLocalError(
            f"HOST_GPUS=split: {len(devices)} GPUs for {hosts} hosts; HOST_GPUS=all gives every host all, HOST_GPUS=mps a share"
        )
    return devices[len(devices) * at // hosts : len(devices) * (at + 1) // hosts]


def shares_gpus(job: Job, engine: Engine) -> bool:
    """Tell whether hosts share GPUs by NVIDIA's Multi-Process Service."""
    return (
        job.settings["HOST_GPUS"] == "mps"
        and len(job.hosts) > 1
        and uses_gpu(job, engine, job.hosts[0])
    )


def uses_gpu(job: Job, engine: Engine, host: Host) -> bool:
    """Tell whether one of a job's hosts gets GPUs on this engine."""
    if engine.name == "sandbox":
        return engine.gpu.verdict == AVAILABLE and job.settings["GPU"] != "none"
    return host_gpus(job, engine, host) != "none"


def environment(job: Job, engine: Engine, host: Host) -> dict[str, str]:
    """Return every variable the platform and the request set, as values or Bash words. The request's own win."""
    return {
        "TRAINING_JOB_NAME": Bash('"$job"'),
        "TRAINING_JOB_ARN": Bash(f'{word(contract.arn_prefix(job))}"${{job#{job.stem}}}"'),
        **contract.platform_environment(job, uses_gpu(job, engine, host)),
        **(
            {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": str(100 // len(job.hosts))}
            if shares_gpus(job, engine)
            else {}
        ),
        **job.environment,
    }


def assignments(job: Job, engine: Engine, host: Host) -> list[str]:
    """Return the environment as NAME=value Bash words."""
    return [f"{name}={word(value)}" for name, value in environment(job, engine, host).items()]


def container_command(job: Job, engine: Engine, host: Host, shell: bool) -> Lines:
    """Return `docker run …` or `podman run …`. No TTY, no init process, no other user: as SageMaker starts it."""
    entrypoint, arguments = contract.command(job)
    settings = job.settings
    network = (
        ["--network", Bash('"$job-$$"'), "--network-alias", host.name]
        if own_network(job)
        else ["--add-host", f"{host.name}:127.0.0.1"]
    )
    lines = [
        [
            engine.name,
            "run",
            "--rm",
            "--pull",
            "never",
            "--name",
            Bash('"$name"'),
            "--cidfile",
            Bash('"$at/container-id"'),
        ],
        ["--label", Bash('sm-local.project="$PWD"'), "--label", Bash('sm-local.job="$job"')],
        ["--hostname", contract.hostname(job.region, host.name), *network],
        [*shared_memory(job, engine), Bash('"${limits[@]}"')],
        limits(job, engine, host),
        gpu_flags(engine, host_gpus(job, engine, host)),
        ["--platform", platform(job, engine)] if platform(job, engine) else [],
        *[["--env", Bash(text)] for text in assignments(job, engine, host)],
        [Bash('"${credentials[@]}"')] if gives_credentials(job) else [],
        [Bash('"${mounts[@]}"')],
        shlex.split(settings["DOCKER_ARGS"]),
    ]
    if shell:
        lines += [
            [
                Bash('"${terminal[@]}"'),
                "--entrypoint",
                "sh",
                job.image,
                "-c",
                "if command -v bash >/dev/null; then exec bash; else exec sh; fi",
            ]
        ]
    else:
        lines += [[*(["--entrypoint", entrypoint] if entrypoint else []), job.image, *arguments]]
    return [[word(text) for text in line] for line in lines if line]


def shared_memory(job: Job, engine: Engine) -> list[str]:
    """Return the arguments about /dev/shm. Clients of MPS need that of its daemon, which is the machine's own (NVIDIA/nvidia-docker#419)."""
    return ["--ipc", "host"] if shares_gpus(job, engine) else ["--shm-size", job.settings["SHM"]]


def instance(job: Job, host: Host) -> tuple[int, int, int]:
    """Return vCPUs, GPUs and GiB of memory of a host's instance type. Raises SmLocalError for one without figures."""
    try:
        return contract.limits(host.instance_type)
    except KeyError as error:
        raise SmLocalError(
            f"{job.file}: LIMITS={job.settings['LIMITS']}, but there are no figures for {host.instance_type} "
            "(sm_local/instances.tsv); set LIMITS=off"
        ) from error


def limits(job: Job, engine: Engine, host: Host) -> list[str]:
    """Return the arguments that hold a job to its instance type; never more CPUs than there are, which engines refuse."""
    if job.settings["LIMITS"] == "off":
        return []
    cpus, _, memory = instance(job, host)
    return [
        *(["--cpus", str(min(cpus, engine.cpus or cpus))] if is_limited(job, "cpus") else []),
        *(
            ["--memory", f"{memory}g", "--memory-swap", f"{memory}g"]
            if is_limited(job, "memory")
            else []
        ),
    ]


def is_limited(job: Job, what: str) -> bool:
    """Tell whether a job may have no more of something than its instance type has."""
    return job.settings["LIMITS"] == "on" or what in job.settings["LIMITS"].split(",")


def own_network(job: Job) -> bool:
    """Tell whether a job gets a network of its own; isolation is one without a way out, in which names still resolve."""
    return (
        job.isolated
        or job.settings["NETWORK"] == "own"
        or len(job.hosts) > 1
        or gives_credentials(job)
    )


def gives_credentials(job: Job) -> bool:
    """Tell whether a job's containers get AWS credentials; with network isolation none do (DG:mkt-algo-model-internet-free)."""
    return job.settings["CREDENTIALS"] != "off" and not job.isolated


def platform(job: Job, engine: Engine) -> str:
    """Return the platform to run as: Deep Learning Containers are linux/amd64 only."""
    arm = engine.arch in ("arm64", "aarch64")
    return job.settings["PLATFORM"] or ("linux/amd64" if arm and job.source == "dlc" else "")


def sandbox_command(job: Job, engine: Engine, host: Host, shell: bool) -> Lines:
    """Return the sandbox's command: container/train with a clean environment, and the caller's PATH and HOME."""
    entrypoint, arguments = contract.command(job)
    program = (
        [entrypoint, *arguments]
        if entrypoint
        else [Bash('"$PWD"/container/train'), *(() if arguments == ("train",) else arguments)]
    )
    lines = [
        [
            Bash('"${sandbox[@]}"'),
            "env",
            "-i",
            Bash('PATH="$PATH"'),
            Bash('HOME="${HOME:-/root}"'),
            Bash(f"HOSTNAME={contract.hostname(job.region, host.name)}"),
        ],
        *([[Bash('TERM="${TERM:-dumb}"')]] if shell else []),
        *[
            [Bash(text)]
            for text in [*visible_gpus(job, engine, host), *assignments(job, engine, host)]
        ],
        ["bash"] if shell else program,
    ]
    return [[word(text) for text in line] for line in lines]


def visible_gpus(job: Job, engine: Engine, host: Host) -> list[str]:
    """Return what keeps CUDA to the chosen devices where no engine hands them out."""
    wanted = job.settings["GPU"]
    if wanted[0].isdigit():
        return [f"CUDA_VISIBLE_DEVICES={wanted}"]
    return [] if uses_gpu(job, engine, host) else ["CUDA_VISIBLE_DEVICES="]


def check(job: Job, engine: Engine, given: dict[str, str]) -> None:
    """Refuse what the engine cannot do, instead of doing something else."""
    if (
        gives_credentials(job)
        and job.settings["CREDENTIALS"] == "role"
        and "RoleArn" not in job.request
    ):
        raise SmLocalError(
            "CREDENTIALS=role, but job.yaml has no RoleArn; add it, or CREDENTIALS=session for your own"
        )
    if gives_credentials(job) and engine.name == "sandbox":
        raise SmLocalError(
            f"CREDENTIALS={job.settings['CREDENTIALS']}: "
            "the sandbox serves none and needs none, for your HOME, ~/.aws included, is there; set CREDENTIALS=off"
        )
    if gives_credentials(job) and not (engine.name == "docker" and engine.owns_files):
        raise SmLocalError(
            f"CREDENTIALS={job.settings['CREDENTIALS']}: their endpoint needs Docker on this machine's own Linux, run by root; "
            "else pass yours by name: DOCKER_ARGS='--env AWS_ACCESS_KEY_ID --env AWS_SECRET_ACCESS_KEY --env AWS_SESSION_TOKEN'"
        )
    piped = [channel.name for channel in job.channels if channel.mode == "Pipe"]
    if piped and not engine.same_kernel:
        raise SmLocalError(
            f"{job.file}: channel {piped[0]!r} has InputMode Pipe, whose FIFOs do not reach into {engine.name}'s virtual machine; "
            "use File or FastFile here"
        )
    if engine.name != "sandbox":
        return
    if "IMAGE" in given:
        raise SmLocalError(
            f"IMAGE={given['IMAGE']}: the sandbox has no images; use ENGINE=docker or ENGINE=podman"
        )
    if job.settings["LIMITS"] != "off":
        raise SmLocalError(
            f"LIMITS={job.settings['LIMITS']}: the sandbox cannot limit a job; use ENGINE=docker or ENGINE=podman"
        )
    for config, path in {
        "CheckpointConfig": job.checkpoints,
        **{UPLOADED[name][0]: path for name, path in job.uploaded.items()},
    }.items():
        if path and not path.startswith("/opt/"):
            raise SmLocalError(
                f"{job.file}: {config}.LocalPath is {path}; the sandbox can show folders below /opt only"
            )
    if job.arguments and not job.entrypoint:
        raise SmLocalError(
            f"{job.file}: ContainerArguments alone go to an image's entrypoint, and the sandbox has no image; add ContainerEntrypoint"
        )


def command(job: Job, engine: Engine, host: Host, shell: bool = False) -> Lines:
    """Return the command that runs one of a job's hosts, or a shell in its place, on an engine."""
    return (sandbox_command if engine.name == "sandbox" else container_command)(
        job, engine, host, shell
    )
