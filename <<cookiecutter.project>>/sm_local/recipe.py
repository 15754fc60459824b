"""Job and Engine in, Bash out: a recipe is straight-line Bash for exactly this job, then the functions it uses.

It runs without Python and without the Makefile, in the project's folder.
"""
from __future__ import annotations

import re
from pathlib import Path

from . import contract, images
from . import engine as engines
from .engine import word
from .errors import SmLocalError
from .job import Channel, Job
from .machine import Engine

FUNCTIONS = Path(__file__).parent / "bash"


def write(verb: str, main: list[str], files: list[str], comment: str) -> str:
    """Return the text of a recipe. One main() called on the last line: Bash has read all of it before the job starts."""
    body = "\n".join("  " + line if line else "" for line in main)
    return f"""#!/usr/bin/env bash
# usage: bash recipes/{verb}.sh    in the project's folder
# {comment}
set -euo pipefail

main() {{
{body}
}}

{carried(body, files)}

main "$@"
"""


def carried(body: str, files: list[str]) -> str:
    """Return the functions of bash/ that `body` needs, directly or through others, and the variables they share."""
    parts = {name: split_functions((FUNCTIONS / f"{name}.sh").read_text(encoding="utf-8")) for name in files}
    known = {name: text for _, functions in parts.values() for name, text in functions.items()}
    needed: set[str] = set()
    found = words(body) & known.keys()
    while found:
        needed |= found
        found = {word for name in found for word in words(known[name])} & known.keys() - needed
    texts = []
    for head, functions in parts.values():
        chosen = [text for name, text in functions.items() if name in needed]
        texts += [head, *chosen] if chosen else []
    return "\n\n".join(filter(None, texts))


def words(text: str) -> set[str]:
    """Return every word of a piece of Bash that may be a function's name."""
    return set(re.findall(r"\w+", re.sub(r"(^| )# .*", "", text, flags=re.MULTILINE)))


def split_functions(text: str) -> tuple[str, dict[str, str]]:
    """Split a file of bash/ into its head (variables) and its functions, each with the comment above it."""
    head, functions = [], {}
    for block in re.split(r"\n\n+", text.strip()):
        name = re.search(r"^(\w+)\(\) \{", block, re.MULTILINE)
        if name:
            functions[name.group(1)] = block
        elif not block.startswith("#") or re.search(r"^\w+=", block, re.MULTILINE):
            head.append(block)
    return "\n".join(head), functions


def show(lines: list[list[str]], first: str = "") -> list[str]:
    """Return a command over several lines, continued by backslashes."""
    text = [first + " ".join(lines[0]), *("  " + " ".join(line) for line in lines[1:])]
    return [line + " \\" for line in text[:-1]] + text[-1:]


# Verbs


def train(job: Job, engine: Engine) -> str:
    """Return the recipe that runs the job as SageMaker would."""
    helped, sandboxed = engine.owns_files, engine.name == "sandbox"
    main = [
        *opening(job, engine),
        f"stop_grace={job.settings['STOP_GRACE']} interrupt_grace={job.settings['INTERRUPT_GRACE']}",
        "",
        *setting_up(job, engine),
        *naming(job, engine),
        f"say {headline(job, engine)}",
        *[f"say {word(note)}" for note in notes(job, engine)],
        *([f"start_helper {word(job.image)}"] if helped else []),
        *show(engines.command(job, engine), "start_job "),
        *(["warn_if_stale"] if job.source == "own" and not sandboxed else []),
        'point_links "$dir"',
        "wait_job",
        *dropping(job, engine),
        *([f"finish_helper {word(job.image)}"] if helped else []),
        "if ! started; then not_started; fi",
        *(["drop_scratch"] if sandboxed else []),
        f'pack {job.settings["PACK"]} "$dir"',
        "verdict",
    ]
    return write("train", main, ["say", "folder", "job", "pack", *engine_functions(job, engine)], comment(job, engine))


def shell(job: Job, engine: Engine) -> str:
    """Return the recipe that opens a shell where `train` would run, with a job's folder of its own."""
    helped, sandboxed = engine.owns_files, engine.name == "sandbox"
    main = [
        *opening(job, engine),
        "",
        *([] if sandboxed else ["need_image"]),
        *setting_up(job, engine),
        *([] if sandboxed else ["name=$job-shell", "terminal=(--interactive)", "if [[ -t 0 && -t 1 ]]; then terminal+=(--tty); fi"]),
        f"say {headline(job, engine)}",
        "trap : INT TERM HUP",  # they are for the shell inside; `:` and not '', which it would inherit
        *([f"start_helper {word(job.image)}"] if helped else []),
        "rc=0",
        *show(engines.command(job, engine, shell=True)[:-1] + [[*engines.command(job, engine, shell=True)[-1], "|| rc=$?"]]),
        *dropping(job, engine),
        *([f"finish_helper {word(job.image)}"] if helped else []),
        *(["drop_scratch"] if sandboxed else []),
        'leave_shell "$rc"',
    ]
    return write("shell", main, ["say", "folder", "shell", *engine_functions(job, engine)], comment(job, engine))


def build(settings: dict[str, str], engine: Engine) -> str:
    """Return the recipe that makes the project's image from container/ and code/."""
    if engine.name == "sandbox":
        main = ["say 'the sandbox needs no image: it runs container/train with the Python of this machine; nothing to build'"]
        return write("build", main, ["say"], "engine sandbox")
    command = [
        [engine.name, "build", "--tag", settings["IMAGE"], "--file", "container/Dockerfile"],
        ["--build-arg", f"BASE_IMAGE={settings['BASE_IMAGE']}"],
        *([["--platform", settings["PLATFORM"]]] if settings["PLATFORM"] else []),
    ]
    main = [
        *show([[word(text) for text in line] for line in command], "build=(")[:-1],
        show([[word(text) for text in line] for line in command], "build=(")[-1] + ")",
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
    host, login_region = images.dlc_login(source, region or settings["REGION"], settings["DLC_REGISTRY"])
    arm = engine.arch in ("arm64", "aarch64")
    arguments = [engine.name, source, images.dlc_local(settings["DLC"]), host, login_region,
                 settings["PLATFORM"] or ("linux/amd64" if arm else ""), settings["UPDATE"]]
    return write("pull-dlc", ["pull_dlc " + " ".join(map(word, arguments))], ["say", "pull"], f"engine {engine.name} {engine.version}")


# Pieces


def opening(job: Job, engine: Engine) -> list[str]:
    """Return the lines that name the engine and the image, for the functions that explain a refusal."""
    if engine.name == "sandbox":
        return ['if [[ ${1-} == inside ]]; then inside "${@:2}"; fi']
    named = "" if job.image == images.dlc_local(job.settings["DLC"]) else f" DLC={job.image}"
    remedy = {"own": "run 'make build'", "dlc": f"run 'make pull-dlc{named}'"}.get(job.source, f"'{engine.name} pull {job.image}' fetches it")
    return [f"engine={engine.name} image={word(job.image)}", f"missing={word(remedy)}"]


def setting_up(job: Job, engine: Engine) -> list[str]:
    """Return the lines that make the job's folder, its config files and its mounts."""
    files = [f"printf %s {word(text)} > \"$dir/config/{name}\"" for name, text in contract.config_files(job).items()]
    settings = job.settings
    if engine.name == "sandbox":
        last = [f"in_namespaces {contract.hostname(job.region)} {settings['SHM']}{' --net' if job.isolated else ''}"]
    else:
        last = [f"limit {settings['NOFILE']}", *(["limit_processes"] if engine.name == "podman" else [])]
        last += ["own_network" + (" --internal" if job.isolated else "")] if engines.own_network(job) else []
    scratch = [f"cow/{channel.name}/{part}" for channel in job.channels if mode(job, engine, channel) == "cow" for part in ("upper", "work")]
    return [" ".join(["new_job", word(job.stem), *(scratch if engine.name != "podman" else [])]), *files, *mounts(job, engine), *last]


def dropping(job: Job, engine: Engine) -> list[str]:
    """Return the line that removes the job's own network."""
    return ["drop_network"] if engine.name != "sandbox" and engines.own_network(job) else []


def mounts(job: Job, engine: Engine) -> list[str]:
    """Return a line for each piece of /opt/ml; /opt/ml itself is never a mount (captured)."""
    lines = ['bind "$dir/config" /opt/ml/input/config']
    for channel in job.channels:
        source, target = word(channel.folder), f"/opt/ml/input/data/{channel.name}"
        how = mode(job, engine, channel)
        lines += {"cow": [f"cow {source} {target} {channel.name}"], "ro": [f"bind {source} {target} readonly"], "rw": [f"bind {source} {target}"]}[how]
        if how == "rw" and engine.owns_files:
            lines.append(f"give {source} new-{channel.name}")
    lines += ['bind "$dir/model" /opt/ml/model', 'bind "$dir/output" /opt/ml/output']
    if job.checkpoints:
        lines += ["mkdir -p opt/ml/checkpoints", f"bind opt/ml/checkpoints {word(job.checkpoints)}"]
        lines += ["give opt/ml/checkpoints checkpoints"] if engine.owns_files else []
    if mounts_code(job):
        lines += ["bind code /opt/ml/code"]
        lines += ["give code code"] if engine.owns_files else []
    return lines


def mode(job: Job, engine: Engine, channel: Channel) -> str:
    """Return how one channel is mounted."""
    return "ro" if contract.read_only(channel) else channel_mode(job, engine)


def channel_mode(job: Job, engine: Engine) -> str:
    """Return cow, ro or rw: copy-on-write only where the engine can overlay a folder of this machine."""
    wanted = job.settings["CHANNELS"]
    can_overlay = engine.owns_files or engine.name in ("podman", "sandbox")
    return "ro" if wanted == "cow" and not can_overlay else wanted


def notes(job: Job, engine: Engine) -> tuple[str, ...]:
    """Return the lines that say, once before the run, what is not as on SageMaker."""
    if job.channels and job.settings["CHANNELS"] == "cow" and channel_mode(job, engine) == "ro":
        return (*job.notes, f"channels are read-only: {engine.name} cannot overlay this machine's folders; CHANNELS=rw lets the job write into yours")
    return job.notes


def mounts_code(job: Job) -> bool:
    """Tell whether code/ is mounted over the image's /opt/ml/code: for images that are made to run it."""
    return job.settings["CODE"] == "mount" or (job.settings["CODE"] == "auto" and job.source != "other")


def naming(job: Job, engine: Engine) -> list[str]:
    """Return the lines that keep two jobs off one checkpoint folder."""
    if engine.name == "sandbox":
        return ["lock_checkpoints"] if job.checkpoints else []
    return [f"checkpoints_name {word(job.stem)}" if job.checkpoints else f"name=$job-{contract.HOST}"]


def engine_functions(job: Job, engine: Engine) -> list[str]:
    """Return the files of bash/ that a recipe for this engine carries."""
    if engine.name == "sandbox":
        return ["sandbox", "overlay"]
    return [*(["build"] if job.source == "own" else []), "container", engine.name,
            *(["overlay"] if engine.name == "docker" else []), *(["handback"] if engine.owns_files else [])]


def gpu_words(job: Job, engine: Engine) -> str:
    """Say what the job gets, in a few words."""
    if engines.uses_gpu(job, engine):
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
