"""How this machine runs a job: settings.env, settings.local.env, then the command line.

The later one wins. Standard library only.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from .errors import SmLocalError
from .request import nodes

FILES = ("settings.env", "settings.local.env")
# [HOST[:PORT]/]NAME[:TAG][@DIGEST], as engines read it, or an image's ID
IMAGE_NAME = (
    r"((\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:\d+)?/)?"
    r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*"
    r"(:\w[\w.-]{0,127})?(@[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-f]{32,})?"
)


@dataclass(frozen=True)
class Rule:
    """A setting's default, the values it takes, and how an error describes them."""

    default: str
    pattern: str
    wanted: str


def choice(*values: str) -> Rule:
    """Return the rule of a setting that takes one of a few words; the first is the default."""
    return Rule(values[0], "|".join(values), " or ".join([", ".join(values[:-1]), values[-1]]))


URL = r"https?://[^\s'\"]+"
PROXY = Rule("", URL, "a URL such as http://proxy.example.com:3128")
QUOTED = ("DOCKER_ARGS", "BUILD_ARGS")  # as in a shell
RULES = {
    "ENGINE": choice("auto", "docker", "podman", "sandbox"),
    "GPU": Rule(
        "auto",
        r"auto|none|required|all|\d+(,\d+)*",
        "auto, none, required, all, or devices such as 0,1",
    ),
    "IMAGE": Rule("", IMAGE_NAME, "an image name such as churn:latest, or dlc on the command line"),
    "BASE_IMAGE": Rule("python:3.12-slim", IMAGE_NAME, "an image name such as python:3.12-slim"),
    "DLC": Rule("", IMAGE_NAME, "repository:tag of a Deep Learning Container"),
    "DLC_REGISTRY": Rule(
        "", r"[\w.:-]+", "a registry host such as 763104351884.dkr.ecr.us-west-2.amazonaws.com"
    ),
    "REGION": Rule("us-west-2", r"[a-z]+(-[a-z]+)+-\d+", "a region such as us-west-2"),
    "HOST_GPUS": choice("all", "split", "mps"),
    "CODE": choice("auto", "mount", "baked"),
    "CONFIG_FILES": choice("today", "2020"),
    "CHANNELS": choice("cow", "ro", "rw"),
    "MANIFESTS": choice("off", "on"),
    "SAMPLE": Rule(
        "",
        r"[1-9]\d{0,8}|(?!0+(\.0+)?%)(\d{1,2}(\.\d{1,6})?|100)%",
        "a number of files such as 100, or a share of them such as 1%",
    ),
    "SAMPLE_SEED": Rule("0", r"\d{1,9}", "a whole number; another one chooses other files"),
    "MAX_SECONDS": Rule("", r"[1-9]\d{0,6}", "a number of seconds, at most 9999999"),
    "NETWORK": choice("bridge", "own"),
    "LIMITS": Rule(
        "off",
        r"off|on|(cpus|memory|gpus)(,(cpus|memory|gpus))*",
        "off, on, or some of cpus,memory,gpus",
    ),
    "CREDENTIALS": choice("off", "session", "role"),
    "SHM": Rule("2g", r"[1-9]\d{0,8}[kmg]|[1-9]\d{0,14}b?", "a size such as 512m or 8g"),
    "NOFILE": Rule("65536", r"[1-9]\d{0,8}", "a number of open files"),
    "STOP_GRACE": Rule("120", r"0|[1-9]\d{0,5}", "a number of seconds, at most 999999"),
    "INTERRUPT_GRACE": Rule("10", r"0|[1-9]\d{0,5}", "a number of seconds, at most 999999"),
    "PACK": choice("auto", "always", "never"),
    "FAST": choice("0", "1"),
    "PARK": Rule("15m", r"[1-9]\d{0,4}[smh]", "how long, such as 90s, 15m or 2h"),
    "PRELOAD": Rule(
        "",
        r"[A-Za-z_][\w.]*(,[A-Za-z_][\w.]*)*",
        "Python's modules, such as torch or numpy,pandas",
    ),
    "DEBUG_PORT": Rule("5678", r"[1-9]\d{0,4}", "the number of a port such as 5678"),
    "WAIT": choice("1", "0"),
    "PLATFORM": Rule("", r"linux/[\w/]+", "a platform such as linux/amd64"),
    "DOCKER_ARGS": Rule("", r"[\s\S]*", "arguments of docker run, quoted as in a shell"),
    "BUILD_ARGS": Rule("", r"[\s\S]*", "arguments of docker build, quoted as in a shell"),
    "HTTP_PROXY": PROXY,
    "HTTPS_PROXY": PROXY,
    "NO_PROXY": Rule("", r"[^\s,]+(,[^\s,]+)*", "hosts such as localhost,.example.com"),
    "PIP_INDEX_URL": Rule("", URL, "an index such as https://pypi.example.com/simple"),
    "CA_BUNDLE": Rule("", r"/.*", "the path of a file with certificates (PEM), from / on"),
    "KEEP": Rule("5", r"all|[1-9]\d{0,5}", "a number of jobs, or all"),
    "UPDATE": choice("0", "1"),
    "BUILD": choice("0", "1"),
    "PDB": choice("0", "1"),
}


def read(root: Path, given: dict[str, str]) -> dict[str, str]:
    """Return all settings; `given` are the command line's. Raises SmLocalError, a line for each."""
    values = {key: rule.default for key, rule in RULES.items()}
    problems: list[str] = []
    for name in FILES:
        _read_file(root / name, name, values, problems)
    for key, value in given.items():
        if key in RULES:
            _set(values, key, value, "", problems)
    if problems:
        raise SmLocalError("\n".join(problems))
    return values


def _read_file(path: Path, name: str, values: dict[str, str], problems: list[str]) -> None:
    """Change `values` by a file's lines; add what is wrong with them to `problems`."""
    if not os.path.lexists(path):
        return
    try:
        lines = nodes.read_text(path, name).splitlines()
    except SmLocalError as error:
        problems.append(str(error))
        return
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            _read_line(line, f"{name}:{number}: ", values, problems)


def _read_line(line: str, where: str, values: dict[str, str], problems: list[str]) -> None:
    key, equals, value = line.partition("=")
    if equals:
        _set(values, key.strip(), value.strip(), where, problems)
    else:
        what = f"{line.strip()!r} has no '='; write KEY=value, or # in front of a comment"
        problems.append(where + what)


def _set(values: dict[str, str], key: str, value: str, where: str, problems: list[str]) -> None:
    """Set a value; an empty one means the default."""
    rule = RULES.get(key)
    if rule is None:
        problems.append(f"{where}{key} is not a setting; {_nearest(key)}")
    elif value and not re.fullmatch(rule.pattern, value, re.ASCII):
        problems.append(f"{where}{key} is {value!r}; write {rule.wanted}")
    elif key in QUOTED and not _splits(value):
        problems.append(f"{where}{key} has a quote that is never closed: {value!r}")
    else:
        values[key] = value or rule.default


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key.upper(), RULES, 1)
    return f"did you mean {near[0]}?" if near else f"settings are {', '.join(RULES)}"


def _splits(value: str) -> bool:
    try:
        shlex.split(value)
    except ValueError:
        return False
    return True
