"""settings.env, settings.local.env and the command line: who wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import TEMPLATE
from sm_local import settings
from sm_local.errors import SmLocalError

DEFAULTS = {
    "ENGINE": "auto",
    "GPU": "auto",
    "IMAGE": "",
    "BASE_IMAGE": "python:3.12-slim",
    "DLC": "",
    "DLC_REGISTRY": "",
    "REGION": "us-west-2",
    "HOST_GPUS": "all",
    "CODE": "auto",
    "CONFIG_FILES": "today",
    "CHANNELS": "cow",
    "MANIFESTS": "off",
    "SAMPLE": "",
    "SAMPLE_SEED": "0",
    "MAX_SECONDS": "",
    "NETWORK": "bridge",
    "LIMITS": "off",
    "CREDENTIALS": "off",
    "SHM": "2g",
    "NOFILE": "65536",
    "STOP_GRACE": "120",
    "INTERRUPT_GRACE": "10",
    "PACK": "auto",
    "FAST": "0",
    "PARK": "15m",
    "PRELOAD": "",
    "DEBUG_PORT": "5678",
    "WAIT": "1",
    "PLATFORM": "",
    "DOCKER_ARGS": "",
    "BUILD_ARGS": "",
    "HTTP_PROXY": "",
    "HTTPS_PROXY": "",
    "NO_PROXY": "",
    "PIP_INDEX_URL": "",
    "CA_BUNDLE": "",
    "KEEP": "5",
    "UPDATE": "0",
    "BUILD": "0",
    "PDB": "0",
}
ALL = ", ".join(DEFAULTS)


def read(
    root: Path, shared: str | bytes = "", local: str | bytes = "", **given: str
) -> dict[str, str]:
    """Return the settings that are not as when nobody sets any."""
    for name, text in (("settings.env", shared), ("settings.local.env", local)):
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    values = settings.read(root, given)
    assert list(values) == list(DEFAULTS)
    return {key: value for key, value in values.items() if value != DEFAULTS[key]}


def refused(root: Path, shared: str | bytes = "", local: str | bytes = "", **given: str) -> str:
    """Return the error with which settings are refused."""
    with pytest.raises(SmLocalError) as error:
        read(root, shared, local, **given)
    return str(error.value)


def test_no_file_means_the_defaults(tmp_path):
    assert settings.read(tmp_path, {}) == DEFAULTS


def test_every_default_is_taken_when_written(tmp_path):
    assert read(tmp_path, "".join(f"{key}={value}\n" for key, value in DEFAULTS.items())) == {}


def test_the_templates_settings_are_the_defaults(tmp_path):
    text = (TEMPLATE / "settings.env").read_text()
    for question, answer in {
        "gpu": "auto",
        "project": "churn",
        "base_image": "python:3.12-slim",
        "dlc": "pytorch:1-cpu",
        "region": "us-west-2",
    }.items():
        text = text.replace(f"<<cookiecutter.{question}>>", answer)
    assert read(tmp_path, text) == {"IMAGE": "churn:latest", "DLC": "pytorch:1-cpu"}


@pytest.mark.parametrize(
    ("shared", "local", "given", "chosen"),
    [
        pytest.param("SHM=1g\n", "", {}, {"SHM": "1g"}, id="shared"),
        pytest.param("", "SHM=3g\n", {}, {"SHM": "3g"}, id="local"),
        pytest.param(
            "SHM=1g\nNOFILE=5\n",
            "SHM=3g\n",
            {},
            {"SHM": "3g", "NOFILE": "5"},
            id="local-over-shared",
        ),
        pytest.param(
            "SHM=1g\nNOFILE=5\n",
            "SHM=3g\nNOFILE=6\n",
            {"SHM": "4g"},
            {"SHM": "4g", "NOFILE": "6"},
            id="command-line-over-both",
        ),
        pytest.param("SHM=1g\n", "SHM=\n", {}, {}, id="an-empty-local-value-is-the-default"),
        pytest.param(
            "SHM=1g\n",
            "SHM=3g\n",
            {"SHM": ""},
            {},
            id="an-empty-value-on-the-command-line-is-the-default",
        ),
        pytest.param(
            "SHM=1g\n",
            "",
            {"JOB": "b.yaml", "HP": "a=1"},
            {"SHM": "1g"},
            id="what-is-no-setting-on-the-command-line-is-others'",
        ),
        pytest.param("SHM=1g\nSHM=3g\n", "", {}, {"SHM": "3g"}, id="the-last-of-two-wins"),
    ],
)
def test_who_wins(tmp_path, shared, local, given, chosen):
    assert read(tmp_path, shared, local, **given) == chosen


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("\n  \n\t\n", {}, id="blank-lines"),
        pytest.param("SHM=1g", {"SHM": "1g"}, id="no-newline-at-the-end"),
        pytest.param("# SHM=1g\n#SHM=1g\n#\n##\n", {}, id="comments"),
        pytest.param("  # SHM=1g\n\t# without a sign\n", {}, id="indented-comments"),
        pytest.param("SHM=1g\r\nNOFILE=5\r\n\r\n# a\r\n", {"SHM": "1g", "NOFILE": "5"}, id="CRLF"),
        pytest.param("\ufeffSHM=1g\n", {"SHM": "1g"}, id="byte-order-mark"),
        pytest.param("  SHM =\t1g  \n", {"SHM": "1g"}, id="blanks-around"),
        pytest.param(
            "DOCKER_ARGS=--env A=b=c --label=x\n",
            {"DOCKER_ARGS": "--env A=b=c --label=x"},
            id="equals-in-the-value",
        ),
        pytest.param(
            "DOCKER_ARGS=-v 'a  b':/c \"d\" # e\n",
            {"DOCKER_ARGS": "-v 'a  b':/c \"d\" # e"},
            id="to-the-end-of-the-line",
        ),
        pytest.param(
            "DOCKER_ARGS=-e A=$HOME ${HOME} $(id) `id` ~ * %PATH% \\n\n",
            {"DOCKER_ARGS": "-e A=$HOME ${HOME} $(id) `id` ~ * %PATH% \\n"},
            id="nothing-is-expanded",
        ),
        pytest.param(
            "DOCKER_ARGS=--label größe=Ω\n", {"DOCKER_ARGS": "--label größe=Ω"}, id="letters"
        ),
    ],
)
def test_a_file_is_key_value_lines(tmp_path, text, chosen):
    assert read(tmp_path, text) == chosen


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param("ENGIN=docker", "ENGIN is not a setting; did you mean ENGINE?", id="misspelt"),
        pytest.param(
            "engine=docker", "engine is not a setting; did you mean ENGINE?", id="lower-case"
        ),
        pytest.param(
            "STOPGRACE=5", "STOPGRACE is not a setting; did you mean STOP_GRACE?", id="underscore"
        ),
        pytest.param(
            "BASEIMAGE=a",
            "BASEIMAGE is not a setting; did you mean BASE_IMAGE?",
            id="the-nearest-of-two",
        ),
        pytest.param(
            "HP=a=1", f"HP is not a setting; settings are {ALL}", id="of-the-command-line-alone"
        ),
        pytest.param("XYZZY=", f"XYZZY is not a setting; settings are {ALL}", id="nothing-near"),
        pytest.param("=docker", f" is not a setting; settings are {ALL}", id="no-name"),
        pytest.param(
            "export GPU=none", f"export GPU is not a setting; settings are {ALL}", id="shell"
        ),
        pytest.param(
            "ENGINE docker",
            "'ENGINE docker' has no '='; write KEY=value, or # in front of a comment",
            id="no-sign",
        ),
        pytest.param(
            "  a comment ",
            "'a comment' has no '='; write KEY=value, or # in front of a comment",
            id="comment-without-its-sign",
        ),
        pytest.param(
            "ENGINE=docker # mine",
            "ENGINE is 'docker # mine'; write auto, docker, podman or sandbox",
            id="comment-behind-a-value",
        ),
        pytest.param(
            'ENGINE="docker"',
            "ENGINE is '\"docker\"'; write auto, docker, podman or sandbox",
            id="quotes",
        ),
        pytest.param(
            "DOCKER_ARGS=-e 'a",
            'DOCKER_ARGS has a quote that is never closed: "-e \'a"',
            id="open-quote",
        ),
        pytest.param(
            "DOCKER_ARGS=a \\",
            "DOCKER_ARGS has a quote that is never closed: 'a \\\\'",
            id="backslash-at-the-end",
        ),
    ],
)
def test_a_line_that_says_nothing_is_refused(tmp_path, line, problem):
    assert refused(tmp_path, f"# first\n\n{line}\n") == f"settings.env:3: {problem}"
    assert refused(tmp_path, "", f"{line}\r\n") == f"settings.local.env:1: {problem}"


WANTED = {
    "ENGINE": "auto, docker, podman or sandbox",
    "GPU": "auto, none, required, all, or devices such as 0,1",
    "IMAGE": "an image name such as churn:latest, or dlc on the command line",
    "BASE_IMAGE": "an image name such as python:3.12-slim",
    "DLC": "repository:tag of a Deep Learning Container",
    "DLC_REGISTRY": "a registry host such as 763104351884.dkr.ecr.us-west-2.amazonaws.com",
    "REGION": "a region such as us-west-2",
    "HOST_GPUS": "all, split or mps",
    "CODE": "auto, mount or baked",
    "CONFIG_FILES": "today or 2020",
    "CHANNELS": "cow, ro or rw",
    "MANIFESTS": "off or on",
    "SAMPLE": "a number of files such as 100, or a share of them such as 1%",
    "SAMPLE_SEED": "a whole number; another one chooses other files",
    "MAX_SECONDS": "a number of seconds, at most 9999999",
    "NETWORK": "bridge or own",
    "LIMITS": "off, on, or some of cpus,memory,gpus",
    "CREDENTIALS": "off, session or role",
    "SHM": "a size such as 512m or 8g",
    "NOFILE": "a number of open files",
    "STOP_GRACE": "a number of seconds, at most 999999",
    "INTERRUPT_GRACE": "a number of seconds, at most 999999",
    "PACK": "auto, always or never",
    "FAST": "0 or 1",
    "PARK": "how long, such as 90s, 15m or 2h",
    "PRELOAD": "Python's modules, such as torch or numpy,pandas",
    "DEBUG_PORT": "the number of a port such as 5678",
    "WAIT": "1 or 0",
    "PLATFORM": "a platform such as linux/amd64",
    "HTTP_PROXY": "a URL such as http://proxy.example.com:3128",
    "HTTPS_PROXY": "a URL such as http://proxy.example.com:3128",
    "NO_PROXY": "hosts such as localhost,.example.com",
    "PIP_INDEX_URL": "an index such as https://pypi.example.com/simple",
    "CA_BUNDLE": "the path of a file with certificates (PEM), from / on",
    "KEEP": "a number of jobs, or all",
    "UPDATE": "0 or 1",
    "BUILD": "0 or 1",
    "PDB": "0 or 1",
}
VALUES = {
    "ENGINE": ("auto docker podman sandbox", ["Docker", "dock", "docker,podman", "auto|docker"]),
    "GPU": (
        "auto none required all 0 1 0,1 10,2,3",
        ["yes", "0,", ",1", "-1", "0-1", "all,0", "٣", "0;id"],
    ),
    "IMAGE": (
        f"churn churn:latest a/b:1 host:5000/a/b:1.2_3-x a@sha256:{'0' * 64} sha256:ab12 "
        "a__b/c--d:X",
        ["-v", "a b", ":latest", "$x", "a;id", "é", "a:b:c", "a//b", "a/B", "a@sha256:00", "a/"],
    ),
    "BASE_IMAGE": ("debian:bookworm ghcr.io/a/b", ["--pull", "a b", "a\nRUN id"]),
    "DLC": ("pytorch-training:2.8.0-cpu-py312-ubuntu22.04-sagemaker", ["/pytorch", "a b"]),
    "DLC_REGISTRY": (
        "763104351884.dkr.ecr.us-west-2.amazonaws.com localhost:5000",
        ["https://a", "a/b", "a b"],
    ),
    "REGION": (
        "us-west-2 us-gov-west-1 cn-north-1 eusc-de-east-1 us-iso-east-1",
        ["us-west", "US-WEST-2", "us_west_2", "uswest2", "us-west-2a", "us-west-٢"],
    ),
    "HOST_GPUS": ("all split mps", ["0", "none"]),
    "CODE": ("auto mount baked", ["bake", "off"]),
    "CONFIG_FILES": ("today 2020", ["2021", "all"]),
    "CHANNELS": ("cow ro rw", ["rwx", "copy"]),
    "MANIFESTS": ("off on", ["yes", "1"]),
    "SAMPLE": (
        "1 100 1% 0.5% 99.999999% 100%",
        ["0", "08", "0%", "0.0%", "101%", "1.5", "-1", "%", "1 %", "half", "100rows", "٣%"],
    ),
    "SAMPLE_SEED": ("0 7 123456789", ["-1", "x", "1234567890"]),
    "MAX_SECONDS": ("1 60 2419200", ["0", "60s", "-1", "1.5", "08", "12345678"]),
    "NETWORK": ("bridge own", ["host", "none"]),
    "LIMITS": ("off on cpus memory,gpus gpus,cpus,memory", ["1", "true", "memory,", "on,off"]),
    "CREDENTIALS": ("off session role", ["on", "arn:aws:iam::1:role/a"]),
    "SHM": ("512m 8g 1024 5k 7b", ["8gb", "1.5g", "g", "-1", "٣g", "0", "9999999999g"]),
    "NOFILE": ("1024 1048576", ["1024:2048", "unlimited", "-1", "1e5", "0", "08"]),
    "STOP_GRACE": ("0 30 999999", ["30s", "-1", "1.5", "१", "08", "1000000"]),
    "INTERRUPT_GRACE": ("0 30", ["30s", "-1", "1.5", "09"]),
    "PACK": ("auto always never", ["yes", "no"]),
    "FAST": ("0 1", ["yes", "2"]),
    "PARK": ("90s 15m 2h", ["15", "0m", "1.5h", "1d"]),
    "PRELOAD": ("torch numpy,pandas a.b", ["a,,b", "1x", "a b", "a;b", "torch,"]),
    "DEBUG_PORT": ("1 5678 65535", ["0", "05678", "-1", "123456", "a"]),
    "WAIT": ("1 0", ["yes", "2"]),
    "PLATFORM": (
        "linux/amd64 linux/arm64/v8",
        ["amd64", "linux", "windows/amd64", "linux/amd64,linux/arm64"],
    ),
    "HTTP_PROXY": ("http://p:3128 https://me:a%20b@p", ["p:3128", "socks5://p", "http://"]),
    "HTTPS_PROXY": ("http://p:3128", ["proxy", "http://a b"]),
    "NO_PROXY": ("localhost localhost,.example.com,10.0.0.0/8", ["a, b", ",a", "a,"]),
    "PIP_INDEX_URL": ("https://me:token@h/simple", ["h/simple", "file:///wheels", "https://'h"]),
    "CA_BUNDLE": ("/etc/ssl/ca.pem", ["ca.pem", "~/ca.pem"]),
    "KEEP": ("1 20 all", ["0", "none", "-1", "1e3", "5 jobs"]),
    "UPDATE": ("0 1", ["2", "yes"]),
    "BUILD": ("0 1", ["2", "yes"]),
    "PDB": ("0 1", ["2", "on"]),
}


def test_every_setting_has_its_cases():
    assert (list(settings.RULES), VALUES.keys(), WANTED.keys()) == (
        list(DEFAULTS),
        DEFAULTS.keys() - {"DOCKER_ARGS", "BUILD_ARGS"},
        DEFAULTS.keys() - {"DOCKER_ARGS", "BUILD_ARGS"},
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(key, value, id=f"{key}={value}")
        for key, (good, _) in VALUES.items()
        for value in good.split()
    ],
)
def test_a_good_value_is_taken(tmp_path, key, value):
    assert (
        read(tmp_path, f"{key}={value}\n")
        == read(tmp_path, **{key: value})
        == ({} if value == DEFAULTS[key] else {key: value})
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(key, value, id=f"{key}={ascii(value)}")
        for key, (_, bad) in VALUES.items()
        for value in bad
    ],
)
def test_a_bad_value_is_refused_with_what_to_write(tmp_path, key, value):
    assert refused(tmp_path, **{key: value}) == f"{key} is {value!r}; write {WANTED[key]}"


def test_a_newline_on_the_command_line_is_no_end_of_a_value(tmp_path):
    assert (
        refused(tmp_path, ENGINE="docker\n")
        == "ENGINE is 'docker\\n'; write auto, docker, podman or sandbox"
    )


def test_arguments_on_the_command_line_may_span_lines(tmp_path):
    assert read(tmp_path, DOCKER_ARGS="-e A='b\nc'") == {"DOCKER_ARGS": "-e A='b\nc'"}


def test_an_open_quote_on_the_command_line_is_refused(tmp_path):
    assert (
        refused(tmp_path, DOCKER_ARGS='"a') == "DOCKER_ARGS has a quote that is never closed: '\"a'"
    )


def test_every_problem_is_named_in_its_order(tmp_path):
    assert refused(
        tmp_path, "GPU=yes\nSHM=1g\nEGNINE=docker\n", "PACK=no\nGPU", SHM="big", NETWORK="own"
    ).splitlines() == [
        "settings.env:1: GPU is 'yes'; write auto, none, required, all, or devices such as 0,1",
        "settings.env:3: EGNINE is not a setting; did you mean ENGINE?",
        "settings.local.env:1: PACK is 'no'; write auto, always or never",
        "settings.local.env:2: 'GPU' has no '='; write KEY=value, or # in front of a comment",
        "SHM is 'big'; write a size such as 512m or 8g",
    ]


def test_a_bad_value_is_refused_even_where_it_is_overridden(tmp_path):
    assert (
        refused(tmp_path, "GPU=yes\n", "GPU=none\n", GPU="all")
        == "settings.env:1: GPU is 'yes'; write auto, none, required, all, or devices such as 0,1"
    )


def test_a_file_that_is_not_utf_8_is_refused(tmp_path):
    said = "1: byte 0xe9 is not UTF-8; save the file as UTF-8"
    assert refused(tmp_path, b"# \xe9\n", b"# \xe9\n").splitlines() == [
        f"settings.env:{said}",
        f"settings.local.env:{said}",
    ]


def test_a_link_that_leads_nowhere_is_refused(tmp_path):
    (tmp_path / "settings.local.env").symlink_to("/nowhere/x")
    with pytest.raises(
        SmLocalError,
        match=(
            "^settings.local.env: is a link to /nowhere/x, which is not there; correct "
            "the link or remove it$"
        ),
    ):
        settings.read(tmp_path, {})
