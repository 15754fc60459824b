"""Job and Engine in, Bash out: a recipe is straight-line Bash for exactly this job, then the functions it uses.

It runs without Python and without the Makefile, in the project's folder.
"""

from __future__ import annotations

from dataclasses import replace

from . import engine as engines
from . import images
from .engine import word
from .errors import SmLocalError
from .kinds import channels, contract
from .kinds.job import Host, Job
from .machine import Engine

OUTPUT = "/opt/ml/output"
ENDPOINT = "169.254.170.2"  # where SDKs ask for a container's credentials (captured)


def write(verb: str, main: list[str], files: list[str], comment: str) -> str:
    """Return the text of a recipe: main() called on the last line, so Bash reads all of it first."""
    sources = "\n".join(f"source sm_local/lib/{name}.sh" for name in files)
    if "folder" in files:  # new_job asks for it
        sources = "library=1\n" + sources
    body = "\n".join("  " + line if line else "" for line in main)
    return f"""#!/usr/bin/env bash
# usage: bash recipes/{verb}.sh    in the project's folder
# {comment}
set -euo pipefail
{sources}

main() {{
{body}
}}

main "$@"
"""


def show(lines: list[list[str]], first: str = "") -> list[str]:
    """Return a command over several lines, continued by backslashes."""
    text = [first + " ".join(lines[0]), *("  " + " ".join(line) for line in lines[1:])]
    return [line + " \\" for line in text[:-1]] + text[-1:]


# Verbs


def train(job: Job, engine: Engine) -> str:
    """Return the recipe that runs the job as SageMaker would."""
    main = [
        *opening(job, engine),
        f"stop_grace={job.settings['STOP_GRACE']} interrupt_grace={job.settings['INTERRUPT_GRACE']}",
        "",
        *setting_up(job, engine, job.hosts, f"train stop_grace={job.settings['STOP_GRACE']}"),
        f"say {headline(job, engine)}",
        *[f"say {word(note)}" for note in notes(job, engine)],
        *channels.preparing(job, engine),
        *([f"start_helper {word(job.image)}"] if engine.owns_files else []),
        *[line for host in job.hosts for line in one_host(job, engine, host)],
        *(["( warn_if_stale & )"] if job.source == "own" and engine.name != "sandbox" else []),
        f"( trap '' INT TERM HUP; point_links \"$dir{folder(job, job.hosts[0])}\" ) || true",  # Ctrl-C reaches `ln` too, and must not end the recipe now
        "wait_job",
        *clearing_up(job, engine),
        "if ! started; then not_started; fi",
        f'pack {"never" if contract.leaves_files_loose(job) else job.settings["PACK"]} "$dir" || true',  # it has said why; the job ends as it ended
        "verdict",
    ]
    return write(
        "train",
        main,
        ["say", "record", "sidecar", "folder", "job", "pack", *engine_functions(job, engine)],
        comment(job, engine),
    )


def one_host(job: Job, engine: Engine, host: Host) -> list[str]:
    """Return the lines that start one of the job's containers."""
    several = [f"on_host {host.name}"] if len(job.hosts) > 1 else []
    return [
        *several,
        *furnishing(job, engine, host),
        *naming(job, engine, host),
        *show(engines.command(job, engine, host), "start_job "),
    ]


def shell(job: Job, engine: Engine) -> str:
    """Return the recipe that opens a shell where `train` would run as algo-1, with a job's folder of its own."""
    host, sandboxed = job.hosts[0], engine.name == "sandbox"
    job = replace(job, hosts=(host,))
    command = engines.command(job, engine, host, shell=True)
    main = [
        *opening(job, engine),
        "",
        *([] if sandboxed else ["need_image"]),
        *setting_up(job, engine, job.hosts, "shell"),
        *(
            []
            if sandboxed
            else [
                "name=$job-$$-shell",
                "terminal=(--interactive)",
                "if [[ -t 0 && -t 1 ]]; then terminal+=(--tty); fi",
            ]
        ),
        f"say {headline(job, engine)}",
        *channels.preparing(job, engine),
        "trap : INT TERM HUP USR1",  # they are for the shell inside; `:` and not '', which it would inherit
        *([f"start_helper {word(job.image)}"] if engine.owns_files else []),
        *furnishing(job, engine, host),
        "rc=0",
        *show([*command[:-1], [*command[-1], "|| rc=$?"]]),
        *clearing_up(job, engine),
        'leave_shell "$rc"',
    ]
    return write(
        "shell",
        main,
        ["say", "record", "sidecar", "folder", "shell", *engine_functions(job, engine)],
        comment(job, engine),
    )


def build(settings: dict[str, str], engine: Engine) -> str:
    """Return the recipe that makes the project's image from container/ and code/."""
    if engine.name == "sandbox":
        main = [
            "say 'the sandbox needs no image: it runs container/train with the Python of this machine; nothing to build'"
        ]
        return write("build", main, ["say"], "engine sandbox")
    command = [
        [engine.name, "build", "--tag", settings["IMAGE"], "--file", "container/Dockerfile"],
        ["--build-arg", f"BASE_IMAGE={settings['BASE_IMAGE']}"],
        *([["--platform", settings["PLATFORM"]]] if settings["PLATFORM"] else []),
    ]
    *lines, last = show([[word(text) for text in line] for line in command], "build=(")
    main = [
        *lines,
        f"{last})",
        "build_proxies",
        '"${build[@]}" .',
        "mkdir -p recipes",
        "container_sum > recipes/.built",
        f"say {word('built ' + settings['IMAGE'])}'; next: make train'",
    ]
    return write("build", main, ["say", "build"], f"engine {engine.name} {engine.version}")


def pull_dlc(settings: dict[str, str], engine: Engine, region: str) -> str:
    """Return the recipe that fetches the Deep Learning Container: from the public gallery, or a region's ECR."""
    if engine.name == "sandbox":
        raise SmLocalError("pull-dlc: needs Docker or Podman to keep images; the sandbox has none")
    source = images.dlc_source(settings["DLC"], region, settings["DLC_REGISTRY"])
    host, login_region = images.dlc_login(
        source, region or settings["REGION"], settings["DLC_REGISTRY"]
    )
    arm = engine.arch in ("arm64", "aarch64")
    arguments = [
        engine.name,
        source,
        images.dlc_local(settings["DLC"]),
        host,
        login_region,
        settings["PLATFORM"] or ("linux/amd64" if arm else ""),
        settings["UPDATE"],
    ]
    return write(
        "pull-dlc",
        ["pull_dlc " + " ".join(map(word, arguments))],
        ["say", "pull"],
        f"engine {engine.name} {engine.version}",
    )


# Pieces


def opening(job: Job, engine: Engine) -> list[str]:
    """Return the lines that name the engine and the image, for the functions that explain a refusal."""
    if engine.name == "sandbox":
        plugged = (
            ['if [[ ${1-} == plugged ]]; then plugged "${@:2}"; fi'] if len(job.hosts) > 1 else []
        )
        return [*plugged, 'if [[ ${1-} == inside ]]; then inside "${@:2}"; fi']
    named = "" if job.image == images.dlc_local(job.settings["DLC"]) else f" DLC={job.image}"
    remedy = {"own": "run 'make build'", "dlc": f"run 'make pull-dlc{named}'"}.get(
        job.source, f"'{engine.name} pull {job.image}' fetches it"
    )
    return [f"engine={engine.name} image={word(job.image)}", f"missing={word(remedy)}"]


def setting_up(job: Job, engine: Engine, hosts: tuple[Host, ...], verb: str) -> list[str]:
    """Return the lines that make what all hosts share: the job's folder, the checkpoint folder, the network."""
    uploaded = [
        path[len("/opt/ml/") :] if is_output(path) else name for name, path in job.uploaded.items()
    ]
    folders = [
        word(f"{folder(job, host)}/{name}".lstrip("/"))
        for host in hosts
        for name in [
            "config",
            "model",
            "output/data",
            *uploaded,
            *channels.scratch(job, engine, host),
        ]
    ]
    lines = channels.needs(job)
    lines += show(
        [["new_job", word(job.stem)], *[folders[i : i + 6] for i in range(0, len(folders), 6)]]
    )
    lines += [f"record engine={engine.name} verb={verb}"]
    lines += (
        ["[[ -d opt/ml/checkpoints ]] || mkdir -p opt/ml/checkpoints"] if job.checkpoints else []
    )
    if engine.owns_files:
        lines += ["hand_back opt/ml/checkpoints checkpoints"] if job.checkpoints else []
        lines += ["hand_back code code"] if mounts_code(job, engine) else []
        lines += [
            f"hand_back {word(channel.folder)} new-{channel.name}"
            for channel in job.channels
            if channel.folder and channels.mode(job, engine, channel) == "rw"
        ]
    if engine.name == "sandbox":
        lines += ["make_switch"] if len(hosts) > 1 else []
    else:
        lines += [
            f"limit {job.settings['NOFILE']}",
            *(["limit_processes"] if engine.name == "podman" else []),
        ]
        lines += (
            [" ".join(["own_network --driver bridge", *network_options(job)])]
            if engines.own_network(job)
            else []
        )
        lines += serving(job)
        lines += ["need_mps"] if engines.shares_gpus(job, engine) else []
    return lines


def network_options(job: Job) -> list[str]:
    """Return the options of the job's own network. Where credentials are served, this machine is ENDPOINT in it."""
    if engines.gives_credentials(job):
        return [f"--subnet {ENDPOINT.rpartition('.')[0]}.0/24", f"--gateway {ENDPOINT}"]
    return ["--internal"] if job.isolated else []


def serving(job: Job) -> list[str]:
    """Return the line that serves credentials to the job."""
    role = [word(job.request["RoleArn"])] if job.settings["CREDENTIALS"] == "role" else []
    return (
        [" ".join(["start_credentials", ENDPOINT, job.region, *role])]
        if engines.gives_credentials(job)
        else []
    )


def folder(job: Job, host: Host) -> str:
    """Return a host's folder below the job's: none of its own where it is the only one."""
    return f"/{host.name}" if len(job.hosts) > 1 else ""


def furnishing(job: Job, engine: Engine, host: Host) -> list[str]:
    """Return the lines that write a host's config files and lay out its /opt/ml, which itself is never a mount (captured)."""
    lines = [
        f'printf %s {timed(job, text)} > "$at/config/{name}"'
        for name, text in contract.config_files(job, host).items()
    ]
    lines += ['bind "$at/config" /opt/ml/input/config']
    lines += channels.lines(job, engine, host)
    lines += ['bind "$at/model" /opt/ml/model', 'bind "$at/output" /opt/ml/output']
    lines += ["bind code /opt/ml/code"] if mounts_code(job, engine) else []
    asked = {
        job.checkpoints: "opt/ml/checkpoints",
        **{path: f'"$at/{name}"' for name, path in job.uploaded.items() if not is_output(path)},
    }
    lines += [
        f"bind {asked[path]} {word(path)}" for path in sorted(asked) if path
    ]  # the outer of two first
    lines += ["share_gpus"] if engines.shares_gpus(job, engine) else []
    if engine.name == "sandbox":
        lines += in_namespaces(job, host)
    return lines


def in_namespaces(job: Job, host: Host) -> list[str]:
    """Return the lines that make the sandbox of one host; several are 10.0.0.1 … on a switch of their own."""
    name, shm = contract.hostname(job.region, host.name), job.settings["SHM"]
    if len(job.hosts) == 1:
        return [
            f"in_namespaces {name} {shm} {word(f'127.0.0.1 {host.name} {name}')}{' --net' if job.isolated else ''}"
        ]
    names = "\n".join(
        f"10.0.0.{number} {one.name} {contract.hostname(job.region, one.name)}"
        for number, one in enumerate(job.hosts, 1)
    )
    return [
        f"in_namespaces {name} {shm} {word(names)}",
        f"on_switch {host.name.rpartition('-')[2]}",
    ]


def timed(job: Job, text: str) -> str:
    """Return a config file's text as a Bash word, the time of the job's name in its place."""
    return f'"${{job#{job.stem}}}"'.join(
        word(part) for part in text.split(contract.compact(contract.TIME).strip('"'))
    )


def clearing_up(job: Job, engine: Engine) -> list[str]:
    """Return the lines that remove what only the running job needed, and give its files back."""
    if engine.name == "sandbox":
        return [*channels.clearing_up(job), "drop_scratch"]
    network = ["drop_network"] if engines.own_network(job) else []
    helper = [f"finish_helper {word(job.image)}"] if engine.owns_files else []
    return [*network, *helper, *channels.clearing_up(job)]


def notes(job: Job, engine: Engine) -> tuple[str, ...]:
    """Return the lines that say, once before the run, what is not as on SageMaker."""
    lines = list(job.notes)
    if job.isolated and job.settings["CREDENTIALS"] != "off":
        lines.append("no credentials reach the container: EnableNetworkIsolation, as on SageMaker")
    if engine.name == "sandbox" and len(job.hosts) > 1 and not job.isolated:
        lines.append(
            "the hosts reach each other and nothing else: the sandbox has no way out of their network"
        )
    left_out = [
        name
        for name, given in (
            ("TrainingImage", job.source == "other"),
            *((key, job.settings[key]) for key in ("DOCKER_ARGS", "PLATFORM")),
        )
        if given
    ]
    if engine.name == "sandbox" and left_out:
        lines.append(f"the sandbox has no containers: {', '.join(left_out)} left out")
    if engines.shares_gpus(job, engine):
        lines.append(
            f"each host may keep {100 // len(job.hosts)} % of a GPU's threads busy (MPS); its memory and bandwidth are not divided, "
            "and a host that crashes can take the others with it"
        )
    if (
        job.channels
        and job.settings["CHANNELS"] == "cow"
        and channels.default_mode(job, engine) == "ro"
    ):
        lines.append(
            f"channels are read-only: {engine.name} cannot overlay this machine's folders; CHANNELS=rw lets the job write into yours"
        )
    return tuple(lines)


def is_output(path: str) -> bool:
    """Tell whether a folder lies below /opt/ml/output, which is a mount as a whole."""
    return path.startswith(f"{OUTPUT}/")


def mounts_code(job: Job, engine: Engine) -> bool:
    """Tell whether code/ is mounted over the image's /opt/ml/code: for images that are made to run it, which the sandbox never has.

    A toolkit unpacks an archive in S3 only where that folder is empty (TK), so such a job must not have it.
    """
    elsewhere = job.source == "other" and engine.name != "sandbox" or contract.has_code_in_s3(job)
    return job.settings["CODE"] == "mount" or (job.settings["CODE"] == "auto" and not elsewhere)


def naming(job: Job, engine: Engine, host: Host) -> list[str]:
    """Return the lines that name the container and keep two jobs off one checkpoint folder."""
    if engine.name == "sandbox":
        return ["lock_checkpoints"] if job.checkpoints and host == job.hosts[0] else []
    return [
        f"checkpoints_name {word(job.stem)}"
        if job.checkpoints and host == job.hosts[0]
        else f"name=$job-$$-{host.name}"
    ]


def engine_functions(job: Job, engine: Engine) -> list[str]:
    """Return the files of bash/ that a recipe for this engine carries."""
    if engine.name == "sandbox":
        return ["sandbox", "overlay", "view", "pipe"]
    return [
        "view",
        "pipe",
        *(["build"] if job.source == "own" else []),
        "container",
        engine.name,
        *(["credentials"] if engines.gives_credentials(job) else []),
        *(["mps"] if engines.shares_gpus(job, engine) else []),
        *(["overlay"] if engine.name == "docker" else []),
        *(["handback"] if engine.owns_files else []),
    ]


def gpu_words(job: Job, engine: Engine) -> str:
    """Say what the job gets, in a few words."""
    if engines.uses_gpu(job, engine, job.hosts[0]):
        return f"GPU {job.settings['GPU']} ({engine.gpu.reason})"
    return "CPU" if job.settings["GPU"] == "none" else f"CPU (GPU runtime {engine.gpu.verdict})"


def runs_in(job: Job, engine: Engine) -> str:
    """Say which programs the job finds."""
    return "this machine's Python" if engine.name == "sandbox" else f"image {job.image}"


def headline(job: Job, engine: Engine) -> str:
    """Return the first line of output: the job, the engine, the GPU verdict, the image."""
    return '"$job":' + word(f" {comment(job, engine)}")


def comment(job: Job, engine: Engine) -> str:
    """Return the comment that says what was decided."""
    return f"{engine.name} {engine.version}, {gpu_words(job, engine)}, {runs_in(job, engine)}"
