"""DOCKER_ARGS: more arguments of `docker run` and `podman run`, but none that breaks what a job is.

What only its owner feels, such as --user, --tty or --network, is the owner's to choose.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

from ..errors import SmLocalError
from ..machine import EngineFacts
from ..plan import Plan

# Options without a value of their own (docker 28 and podman 5, `run --help`); all others take one.
FLAGS = set(
    shlex.split("""
    detach disable-content-trust env-host help http-proxy init interactive no-healthcheck
    no-hostname no-hosts oom-kill-disable passwd privileged publish-all quiet read-only
    read-only-tmpfs replace rm rmi rootfs sig-proxy tls-verify tty unsetenv-all use-api-socket
    """)
)
SHORT = {"a": "attach", "d": "detach", "i": "interactive", "l": "label", "P": "publish-all"}
SHORT |= {"q": "quiet", "t": "tty"}
NO = ("false", "f", "F", "FALSE", "False", "0")  # as Go reads a boolean

# Option: what it would do, what to do, and a value with which it is harmless. @ is the request.
BREAKS = {
    "attach": ("would keep output from the log", "leave it out", ()),
    "cidfile": (
        "takes the file by which a job is stopped",
        "leave it out; output/JOB/container-id has the ID",
        (),
    ),
    "detach": (
        "would leave the job behind, without a log and a verdict",
        "leave it out; 'make train &' frees the terminal",
        NO,
    ),
    "entrypoint": (
        "would replace the job's own start",
        "leave it out; ContainerEntrypoint in @ names a program, here and on SageMaker",
        (),
    ),
    "help": ("runs no job", "leave it out", NO),
    "name": (
        "takes the name that keeps a second job off the checkpoints",
        "leave it out; TrainingJobName or ProcessingJobName in @ names a job",
        (),
    ),
    "pull": (
        "could run a stranger's image in place of yours",
        "leave it out; 'make build' and 'make pull-dlc' get images",
        ("never",),
    ),
    "replace": ("would remove another job's container", "leave it out", NO),
    "restart": ("would start a job again that has ended", "leave it out", ("no",)),
    "rm": (
        "would leave the container behind",
        "leave it out; output/JOB keeps what the job wrote",
        ("true", "t", "T", "TRUE", "True", "1"),
    ),
    "rmi": ("would remove the image after the job", "leave it out", NO),
    "rootfs": ("would take the image's name for a folder", "leave it out", NO),
    "sig-proxy": (
        "would keep signals from the job",
        "leave it out",
        ("true", "t", "T", "TRUE", "True", "1"),
    ),
}


def apply(plan: Plan, settings: dict[str, str], facts: EngineFacts) -> Plan:
    """Return the plan with the arguments. Raises SmLocalError for each that breaks the job."""
    words = shlex.split(settings["DOCKER_ARGS"])
    problems = [f"DOCKER_ARGS: {text.replace('@', plan.file)}" for text in broken(words)]
    if problems:
        raise SmLocalError("\n".join(problems))
    return replace(plan, engine_arguments=tuple(words))


def broken(words: list[str]) -> Iterator[str]:
    """Yield what is wrong with each word that breaks a job."""
    for word, name, value in options(words):
        if not name:
            yield f"{word!r} is no option, so it would be the image; write --OPTION=VALUE"
        elif name == "label" and value.startswith("sm-local."):
            yield f"{value.partition('=')[0]} is the label by which a job is found; leave it out"
        elif name in BREAKS and value not in BREAKS[name][2]:
            yield f"{word} {BREAKS[name][0]}; {BREAKS[name][1]}"


def options(words: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the words that are options: as written, its long name, its value.

    Without a name: a word that is none. What no engine knows today is taken for one with a value.
    """
    rest = iter(words)
    for word in rest:
        if word.startswith("--") and word != "--":
            name, equals, value = word[2:].partition("=")
            if not equals:
                value = "true" if name in FLAGS else next(rest, "")
            yield (word if name in FLAGS else f"--{name}"), name, value
        elif re.match("-[^-]", word):
            yield from bundle(word, rest)
        else:
            yield word, "", ""


def bundle(word: str, rest: Iterator[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the options of a word such as -it, -p80:80 or -de A=B."""
    for at, letter in enumerate(word[1:], 2):
        name, value = SHORT.get(letter, letter), word[at:]
        if name in FLAGS and not value.startswith("="):
            yield word, name, "true"
        else:
            yield word, name, value.removeprefix("=") if value else next(rest, "")
            return
