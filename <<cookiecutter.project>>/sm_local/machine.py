"""Facts about this machine: engines, GPU runtime, AWS CLI, disk.

Standard library only; every child process has a timeout and no stdin. The template's docs/gpu.md
says what `docker info` is asked about GPUs, and why the obvious questions are wrong.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from .errors import SmLocalError

AVAILABLE, NOT_FOUND, UNKNOWN = "looks available", "not found", "unknown"
TIMEOUT = 15  # seconds: a CLI on a dead network drive or a hung WSL daemon must not hang us


@dataclass(frozen=True)
class Gpu:
    """Whether the engine can hand out NVIDIA GPUs, why we think so, and by which mechanism."""

    verdict: str
    reason: str
    mechanism: str = ""  # gpus: `--gpus`; cdi: `--device nvidia.com/gpu=…`
    count: int = 0  # 0: nobody says


@dataclass(frozen=True)
class EngineFacts:
    """What runs containers here; `problem` and `remedy` say why it is here but cannot be used."""

    name: str
    version: str = ""
    problem: str = ""
    remedy: str = ""
    has_images: bool = True  # the sandbox has none: it runs this machine's programs
    can_overlay: bool = False  # folders of this machine can be mounted copy-on-write
    overlay_is_cheap: bool = False  # cheaper than to copy a few files; Docker's is a volume
    # Root inside is root outside: files must be handed back.
    owns_files: bool = False
    desktop: bool = False
    same_kernel: bool = (
        sys.platform == "linux"
    )  # containers run on this machine's own: what is no file, such as a FIFO, works between both
    arch: str = ""
    cpus: int = 0  # 0: it does not say
    root_dir: str = ""
    gpu: Gpu = field(default_factory=lambda: Gpu(NOT_FOUND, "this machine has no container engine"))


@dataclass(frozen=True)
class AwsCli:
    """One `aws` on PATH."""

    path: str
    version: tuple[int, ...]  # () when it did not say


def run(*command: str, timeout: float = TIMEOUT) -> tuple[int, str, str]:
    """Return a child's exit status, stdout and stderr.

    The status is 127 when it cannot be started, and 124 after `timeout` seconds.
    """
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return 124, "", f"no answer within {timeout:.0f} s"
    except OSError as error:
        return 127, "", str(error)
    return (
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
    )


# Which engine


def docker_is_there() -> bool:
    """Return whether a Docker engine belongs to this machine; the client alone is not one."""
    if os.environ.get("DOCKER_HOST") or docker_context():
        return True
    home, runtime = Path.home(), os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent"
    sockets = [
        Path("/var/run/docker.sock"),
        home / ".docker/run/docker.sock",
        Path(runtime) / "docker.sock",
    ]
    daemons = [Path("/usr/sbin/dockerd"), Path("/Applications/Docker.app")]
    return bool(shutil.which("dockerd")) or any(path.exists() for path in sockets + daemons)


def docker_context() -> str:
    """Return the `docker` client's context; '' for the default one, this machine's engine."""
    config = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        name = (
            os.environ.get("DOCKER_CONTEXT")
            or json.loads(config.read_text(encoding="utf-8")).get("currentContext")
            or ""
        )
    except (OSError, ValueError, AttributeError):
        return ""
    return "" if name == "default" else name


def other_machine(host: str) -> bool:
    """Return whether an engine's address is another machine's.

    An address without a scheme is tcp to the `docker` client, so it is here too.
    """
    scheme, _, address = host.rpartition("://")
    if scheme not in ("", "tcp"):
        return scheme == "ssh"
    return not re.match(r"(localhost|127(\.\d+){3}|\[::1\])?(:\d+)?(/|$)", address)


def find_engine(wanted: str) -> EngineFacts:
    """Return the engine that ENGINE means here; `auto` is the sandbox only if there is no other."""
    if wanted == "auto":
        wanted = (
            "docker" if docker_is_there() else "podman" if shutil.which("podman") else "sandbox"
        )
    engine = {"docker": find_docker, "podman": find_podman, "sandbox": find_sandbox}[wanted]()
    return (
        replace(engine, gpu=replace(engine.gpu, count=count_gpus()))
        if engine.gpu.verdict == AVAILABLE
        else engine
    )


def require(engine: EngineFacts) -> EngineFacts:
    """Return the engine if it can be used; raise SmLocalError with the remedy otherwise."""
    if engine.problem:
        raise SmLocalError(f"{engine.name}: {engine.problem}; {engine.remedy}")
    return engine


def find_docker() -> EngineFacts:
    """Ask the Docker daemon what it is."""
    if not shutil.which("docker"):
        return EngineFacts(
            "docker",
            problem="has no client on PATH",
            remedy="install Docker, or use ENGINE=sandbox",
            gpu=_unknown("there is no docker client"),
        )
    if elsewhere := _docker_elsewhere():
        return elsewhere
    hook = shutil.which("nvidia-container-runtime-hook") or shutil.which("nvidia-cdi-hook")
    return docker_engine(*run("docker", "info", "--format", "{{json .}}"), bool(hook))


def _docker_elsewhere() -> EngineFacts | None:
    """Return what is wrong with an engine on another machine; None for this machine's."""
    name, host, remedy = "DOCKER_HOST", os.environ.get("DOCKER_HOST", ""), "unset DOCKER_HOST"
    context = docker_context()
    if not host and context:
        name, remedy = f"the Docker context {context}", "'docker context use default'"
        wanted = ("--format", "{{.Endpoints.docker.Host}}")
        host = run("docker", "context", "inspect", *wanted)[1].strip()
    if not other_machine(host):
        return None
    return EngineFacts(
        "docker",
        problem=f"{name} is {host}, another machine, which does not see this one's folders",
        remedy=f"{remedy}, or use ENGINE=sandbox",
        gpu=_unknown("the engine is on another machine"),
    )


def docker_engine(status: int, out: str, err: str, hook_on_path: bool) -> EngineFacts:
    """Return what `docker info --format '{{json .}}'` said, as EngineFacts.

    With a daemon that is down it prints valid JSON and exits with status 1.
    """
    info = _json(out)
    if "host" in info and "store" in info:  # podman behind the name `docker`
        return podman_engine(info)
    if status or not info.get("ServerVersion"):
        return _silent_docker(_reason(info, err))
    desktop = "Docker Desktop" in (info.get("OperatingSystem") or "")
    local_root = _is_local_root(info) and not desktop
    return EngineFacts(
        "docker",
        info["ServerVersion"],
        owns_files=local_root,
        can_overlay=local_root,
        desktop=desktop,
        same_kernel=sys.platform == "linux" and not desktop,
        arch=info.get("Architecture") or "",
        cpus=info.get("NCPU") or 0,
        root_dir=info.get("DockerRootDir") or "",
        gpu=docker_gpu(info, hook_on_path, desktop),
    )


def _silent_docker(reason: str) -> EngineFacts:
    problem, gpu = f"does not answer ({reason})", _unknown("docker does not answer")
    return EngineFacts("docker", problem=problem, remedy=_docker_remedy(reason), gpu=gpu)


def _is_local_root(info: dict) -> bool:
    """Return whether root in a container is root of this machine."""
    security = str(info.get("SecurityOptions") or "")
    mapped = "name=rootless" in security or "name=userns" in security
    return sys.platform == "linux" and not mapped


def _json(text: str) -> dict:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _reason(info: dict, err: str) -> str:
    errors = (
        info.get("ServerErrors")
        or [line for line in err.splitlines() if line.strip()]
        or ["no reason given"]
    )
    return str(errors[0]).strip().rstrip(".")


def _docker_remedy(reason: str) -> str:
    if "permission denied" in reason.lower():
        return (
            "'sudo usermod -aG docker $USER' and a new login let you use it, "
            "ENGINE=sandbox trains without"
        )
    start = (
        "open Docker Desktop"
        if sys.platform == "darwin"
        else "start it ('sudo systemctl start docker')"
    )
    return f"{start}, or train without: ENGINE=sandbox"


def find_podman() -> EngineFacts:
    """Ask Podman what it is."""
    if not shutil.which("podman"):
        return EngineFacts(
            "podman",
            problem="there is no podman on PATH",
            remedy="install Podman, or use ENGINE=sandbox",
            gpu=_unknown("there is no podman"),
        )
    status, out, err = run("podman", "info", "--format", "json")
    if status:
        return EngineFacts(
            "podman",
            problem=f"does not answer ({_reason({}, err)})",
            remedy="'podman info' says more, ENGINE=sandbox trains without",
            gpu=_unknown("podman does not answer"),
        )
    return podman_engine(_json(out))


def podman_engine(info: dict) -> EngineFacts:
    """Return what `podman info` said, as EngineFacts.

    Podman hands out GPUs by CDI alone; 4.x ignores --gpus without a word.
    """
    version = (info.get("version") or {}).get("Version", "")
    specs = cdi_specs()
    gpu = (
        Gpu(AVAILABLE, f"CDI specification {specs[0]}", "cdi")
        if specs
        else Gpu(NOT_FOUND, "no CDI specification in /etc/cdi")
    )
    return EngineFacts(
        "podman",
        version,
        can_overlay=True,
        overlay_is_cheap=True,
        arch=(info.get("host") or {}).get("arch", ""),
        cpus=(info.get("host") or {}).get("cpus", 0),
        gpu=gpu,
        root_dir=(info.get("store") or {}).get("graphRoot", ""),
    )


def cdi_specs(folders: tuple[str, ...] = ("/etc/cdi", "/var/run/cdi")) -> list[str]:
    """Return the CDI specifications of NVIDIA's GPUs on this machine."""
    return [str(path) for folder in folders for path in sorted(Path(folder).glob("nvidia*"))]


def find_sandbox() -> EngineFacts:
    """Try whether this machine lets us make the namespaces that the sandbox is made of."""
    version, problem, remedy = platform.release().split("-")[0], "", "install Docker or Podman"
    if not shutil.which("unshare"):
        problem = "needs Linux namespaces ('unshare' of util-linux), which are not here"
    elif reason := _forbidden_namespaces():
        problem = f"namespaces are forbidden here ({reason})"
        remedy = "run as root, allow user namespaces, or install Docker or Podman"
    facts = EngineFacts(
        "sandbox",
        has_images=False,
        can_overlay=True,
        overlay_is_cheap=True,
        gpu=_sandbox_gpu(),
    )
    if problem:
        return replace(facts, problem=problem, remedy=remedy)
    return replace(facts, version=version, arch=platform.machine())


def _forbidden_namespaces() -> str:
    """Return why this machine makes no namespaces, '' if it does."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    status, _, err = run("unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", *user, "true")
    return _reason({}, err) if status else ""


def _sandbox_gpu() -> Gpu:
    if Path("/dev/nvidia0").exists():
        return Gpu(AVAILABLE, "the sandbox sees this machine's devices")
    return Gpu(NOT_FOUND, "no /dev/nvidia0")


# GPU runtime


def _unknown(reason: str) -> Gpu:
    return Gpu(UNKNOWN, reason)


ON_DESKTOP = ", which Docker Desktop lists on machines without a GPU too"


def docker_gpu(info: dict, hook_on_path: bool, desktop: bool) -> Gpu:
    """Judge by three independent signs; none is proof, and without any `--gpus` may still work."""
    # The key itself: nvidia-cdi and nvidia-legacy are others.
    if "nvidia" in (info.get("Runtimes") or {}):
        return Gpu(AVAILABLE, "runtime 'nvidia'" + (ON_DESKTOP if desktop else ""), "gpus")
    found = [one for one in info.get("DiscoveredDevices") or [] if isinstance(one, dict)]
    names = [one.get("ID", "") for one in found]
    cdi = [name for name in names if name.startswith("nvidia.com/gpu=")]
    if cdi:  # from 29.2 on --gpus itself looks for CDI first
        old = _version(info.get("ServerVersion", "")) < (29, 2)
        return Gpu(AVAILABLE, f"CDI device {cdi[0]}", "cdi" if old else "gpus")
    if hook_on_path:
        reason = "NVIDIA's container hook on PATH, though docker info does not show it"
        return Gpu(AVAILABLE, reason, "gpus")
    return Gpu(NOT_FOUND, "neither runtime 'nvidia' nor a CDI device nor NVIDIA's hook")


def count_gpus() -> int:
    """Return how many GPUs this machine's driver lists; 0 without a driver."""
    if not shutil.which("nvidia-smi"):
        return 0
    _, out, _ = run("nvidia-smi", "--list-gpus")
    return sum(line.startswith("GPU ") for line in out.splitlines())


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


# AWS CLI


def find_aws() -> list[AwsCli]:
    """Return every `aws` on PATH, in its order, up to the first v2.

    v1 and v2 have the same name; only the version number distinguishes them.
    """
    paths: dict[str, str] = {}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = shutil.which("aws", path=folder) if folder else None
        if path:
            paths.setdefault(os.path.realpath(path), path)
    with ThreadPoolExecutor() as pool:  # each takes half a second to answer
        found = list(
            pool.map(
                lambda path: AwsCli(path, aws_version(*run(path, "--version"))), paths.values()
            )
        )
    first = next((number for number, aws in enumerate(found, 1) if aws.version[:1] >= (2,)), None)
    return found[:first]


def aws_version(status: int, out: str, err: str) -> tuple[int, ...]:
    """Read `aws --version`, which old ones print on stderr. Returns () when it does not say."""
    found = re.search(r"(?<!\S)aws-cli/(\d+)\.(\d+)\.(\d+)", f"{out}\n{err}")
    return tuple(map(int, found.groups())) if found else ()


def free_bytes(folder: str) -> int:
    """Return the free bytes on `folder`'s file system, -1 if that cannot be seen from here."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return -1
