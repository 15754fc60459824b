"""What the kinds of job have in common: names, regions, hosts, images."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from .. import images
from ..errors import SmLocalError
from ..plan import STAMP
from ..request import reading
from ..settings import IMAGE_NAME

# A job's name has at most 63 characters (API:TrainingJobName, API:ProcessingJobName); -99 is for
# jobs of one second.
NAME_ROOM = 63 - len("-20261123-104512") - len("-99")
MOST_HOSTS = 64
PARTITIONS = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
    ("eu-isoe-", "aws-iso-e"),
    ("eusc-", "aws-eusc"),
)


@dataclass(frozen=True)
class Host:
    """One of a job's containers."""

    name: str
    group: str
    instance_type: str


@dataclass(frozen=True)
class Image:
    """The image of a job, and where it comes from."""

    name: str
    source: str  # as Plan.image_source
    remedy: str  # what to do when it is missing; '' where that depends on the engine


def compact(value: object) -> str:
    """Return JSON as the platform writes it: compact, one line, no newline at its end (captured).

    STAMP in it stays STAMP. Two escaped NULs stand for nothing else: a backslash of a value's own
    is doubled.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace(json.dumps(STAMP).strip('"'), STAMP)


def stem(name: str) -> str:
    """Return a job's name without its time: what the API allows, and short enough."""
    legal = re.fullmatch(r"[A-Za-z0-9](-*[A-Za-z0-9])*", name)
    return (name if legal else re.sub(r"[^A-Za-z0-9]+", "-", name))[:NAME_ROOM].strip("-") or "job"


def account(role: str) -> str:
    """Return the account of a role, or the one that AWS uses in its examples."""
    found = re.match(r"arn:[^:]+:iam::(\d{12}):", role)
    return found.group(1) if found else "123456789012"


def partition(region: str) -> str:
    """Return the partition of a region."""
    return next((name for prefix, name in PARTITIONS if region.startswith(prefix)), "aws")


def hostname(region: str, host: str = "algo-1") -> str:
    """Return the kernel's host name: never algo-1, which is only a name that resolves (captured).

    Hosts are algo-1, algo-2 and so on, without padding
    (DG:your-algorithms-training-algo-running-container).
    """
    domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-10-0-0-{host.rpartition('-')[2]}.{domain}"


def choose_image(
    request: reading.Request, path: str, asked: str, settings: dict[str, str], given: dict[str, str]
) -> Image:
    """Return the image. The command line wins over the request, the request over the settings.

    `asked` is the request's, at `path`. Raises SmLocalError.
    """
    image, dlc = given.get("IMAGE") or asked or settings["IMAGE"], settings["DLC"]
    if image == "dlc":
        return Image(images.dlc_local(dlc), "dlc", "run 'make pull-dlc'")
    if not image:
        raise SmLocalError(
            "settings.env: IMAGE is empty; name the image that 'make build' makes, "
            "such as IMAGE=my-model:latest"
        )
    if not re.fullmatch(IMAGE_NAME, image):  # a `-` in front would make it an option of the engine
        where = "IMAGE" if given.get("IMAGE") else f"{request.where(path)}: {path}"
        raise SmLocalError(f"{where} is {image!r}; write an image name such as my-model:latest")
    if image == settings["IMAGE"]:
        return Image(image, "named" if given.get("IMAGE") else "own", "run 'make build'")
    if not images.is_dlc(image):
        return Image(image, "other", _remedy(image, settings["IMAGE"]))
    named = "" if image == images.dlc_local(dlc) else f" DLC={image}"
    return Image(image, "dlc", f"run 'make pull-dlc{named}'")


def _remedy(image: str, own: str) -> str:
    """Return what to do when an image of ECR is missing, as built-in algorithms' mostly are."""
    in_ecr = re.match(images.ECR_HOST, image.partition("/")[0])
    pulls = f"pull it, or run the project's own in its place: 'make train IMAGE={own}'"
    return pulls if in_ecr and own else ""


def check_host_count(count: int, request: reading.Request, path: str, what: str) -> None:
    """Raise SmLocalError for more hosts than this machine runs."""
    if not 1 <= count <= MOST_HOSTS:
        raise SmLocalError(
            f"{request.where(path)}: {what} asks for {count} hosts; "
            f"this machine runs 1 to {MOST_HOSTS}"
        )
