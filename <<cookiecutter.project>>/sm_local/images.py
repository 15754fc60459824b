"""Image names: where a Deep Learning Container is pulled from, and what it is called here.

Standard library only: the template's hook runs this too, with cookiecutter's Python (3.9 or newer).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import SmLocalError

TABLE = Path(__file__).with_name("registries.tsv")
GALLERY = "public.ecr.aws/deep-learning-containers"
LOCAL = "sm-local/dlc"

WORD = r"[a-z0-9]+([._-]+[a-z0-9]+)*"
# What Docker takes for a registry: it has a dot, a port, or is localhost.
HOST = r"\w[\w-]*(\.[\w-]+)+(:\d+)?|\w[\w.-]*:\d+|localhost"
NAME = (
    rf"((?P<host>{HOST})/)?(?P<repo>{WORD}(/{WORD})*)"
    r"(?P<rest>(:\w[\w.-]{0,127})?(@sha256:[0-9a-f]{64})?)"
)
ECR_HOST = r"(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)\..+"

# Not in the public gallery: what has no `public_registry: true` in docs/src/data of
# aws/deep-learning-containers (2026-08).
PRIVATE = (
    r"huggingface-.*|autogluon.*|mxnet-.*|djl-.*|stabilityai-.*|sagemaker-.*"
    r"|.*neuron.*|.*trcomp.*|.*-eia"
)

# What is not in the registry of the Deep Learning Containers: repository → column of the table.
COLUMNS = {
    "sagemaker-scikit-learn": "sklearn_xgboost",
    "sagemaker-xgboost": "sklearn_xgboost",
    "sagemaker-base-python": "base_python",
}


@dataclass(frozen=True)
class Registry:
    """One region's accounts; the empty string where AWS has none. Strings: some begin with 0."""

    region: str
    suffix: str
    dlc: str
    sklearn_xgboost: str
    base_python: str


def registries() -> dict[str, Registry]:
    """Return the registries of all regions that have Deep Learning Containers."""
    rows = [
        line.split("\t")
        for line in TABLE.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    return {row[0]: Registry(*("" if text == "-" else text for text in row)) for row in rows}


def check_region(region: str) -> None:
    """Raise SmLocalError for a region whose registry is not known.

    No account could be a default: most new regions have their own.
    """
    known = registries()
    if region in known:
        return
    near = difflib.get_close_matches(region, known, 3)
    hint = f"nearest: {', '.join(near)}" if near else "regions are written like us-west-2"
    raise SmLocalError(
        f"no registry is known for region {region!r}; {hint}; "
        "to name one yourself set DLC_REGISTRY=HOST"
    )


def registry_host(region: str, override: str = "", repo: str = "") -> str:
    """Return the host of a region's registry; `override`, the setting DLC_REGISTRY, wins as it is.

    For most repositories, or without one, that is the registry of the Deep Learning Containers;
    scikit-learn and XGBoost have their own.
    """
    if override:
        return override
    check_region(region)
    registry = registries()[region]
    account = getattr(registry, COLUMNS.get(repo, "dlc"))
    if not account:
        raise SmLocalError(
            f"{repo} has no registry in {region}; take another REGION, "
            "or name one yourself: DLC_REGISTRY=HOST"
        )
    return f"{account}.dkr.ecr.{region}.{registry.suffix}"


def dlc_source(dlc: str, region: str = "", override: str = "") -> str:
    """Return the full name to pull for `repo:tag`; a complete image name is used as it is.

    Without region and override that is in the public gallery, which needs no AWS account.
    """
    host, repo, rest = _split(dlc)
    if host:
        return dlc
    if region or override:
        return f"{registry_host(region, override, repo)}/{repo}{rest}"
    if not _in_gallery(repo):
        raise SmLocalError(
            f"{repo} is not in the public gallery; "
            "with AWS credentials: make pull-dlc REGION=us-west-2"
        )
    return f"{GALLERY}/{repo}{rest}"


def dlc_local(dlc: str) -> str:
    """Return what `repo:tag` is called here, wherever it came from; a complete name stays."""
    host, repo, rest = _split(dlc)
    if host:
        return dlc
    tag, _, digest = rest.partition("@")
    if digest:  # a tag is too short for all of it
        tag = f":{digest[:19].replace(':', '-')}"
    return f"{LOCAL}/{repo}{tag}"


def dlc_login(source: str, region: str, override: str = "") -> tuple[str, str]:
    """Return the host and region of the ECR login that `source` needs, '' twice if it needs none.

    The region in a host's name goes before `region`: ECR's tokens open one region's registries.
    """
    host = source.partition("/")[0]
    found = re.fullmatch(ECR_HOST, host)
    if found:
        return host, found.group("region")
    return (host, region) if override and host == override else ("", "")


def is_dlc(image: str) -> bool:
    """Return whether an image is one of AWS's, judging by its name.

    `make pull-dlc` has pulled it, or it is in the gallery or in a registry of the table.
    """
    found = re.match(ECR_HOST, image.partition("/")[0])
    if found:
        return any(
            found.group("account") in (one.dlc, one.sklearn_xgboost, one.base_python)
            for one in registries().values()
        )
    return image.startswith((f"{LOCAL}/", f"{GALLERY}/"))


def _in_gallery(repo: str) -> bool:
    """Return whether a repository is in the public gallery, as far as its name tells."""
    return not re.fullmatch(PRIVATE, repo)


def _split(dlc: str) -> tuple[str, str, str]:
    """Return a name's host (empty for `repo:tag`), repository, and `:tag`, `@digest` or both.

    Raises SmLocalError.
    """
    found = re.fullmatch(NAME, dlc, re.ASCII)
    host, repo, rest = found.group("host", "repo", "rest") if found else ("", "", "")
    wrong = ""
    if not found:
        wrong = "is no image name"
    elif not rest:
        wrong = "has no tag"
    elif "/" in repo and not host:
        wrong = "names no registry"
    if wrong:
        raise SmLocalError(
            f"DLC={dlc} {wrong}; write repository:tag, "
            "such as pytorch:2.13-cpu-amzn2023-sagemaker, or a complete name"
        )
    return host or "", repo, rest
