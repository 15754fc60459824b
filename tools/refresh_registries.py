#!/usr/bin/env python3
"""Rewrite sm_local/registries.tsv from a sagemaker-core wheel.

usage: refresh_registries.py [WHEEL]    without WHEEL: the newest one, by `pip download`

The old file stays as it is if anything is odd: two images of a group disagree, an account is not
12 digits, a region has no known DNS suffix, or an account that was there is lost.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path

from plumbum import ProcessExecutionError, local

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "<<cookiecutter.project>>" / "sm_local" / "registries.tsv"
IMAGES = re.compile(r"sagemaker/core/image_uri_config/[^/]+\.json")
VERSION = re.compile(r"sagemaker_core-([^/]+)\.dist-info/METADATA")

# A group is every image whose account in us-east-1 is this one.
GROUPS = {"dlc": "763104351884", "sklearn_xgboost": "683313688378", "base_python": "081325390199"}

# botocore's partitions.json, without the partitions that have no SageMaker images.
SUFFIXES = {
    r"(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d+": "amazonaws.com",
    r"us-gov-[a-z]+-\d+": "amazonaws.com",
    r"cn-[a-z]+-\d+": "amazonaws.com.cn",
    r"eusc-de-[a-z]+-\d+": "amazonaws.eu",
    r"us-iso-[a-z]+-\d+": "c2s.ic.gov",
    r"us-isob-[a-z]+-\d+": "sc2s.sgov.gov",
    r"us-isof-[a-z]+-\d+": "csp.hci.ic.gov",
    r"eu-isoe-[a-z]+-\d+": "cloud.adc-e.uk",
}

Table = dict[str, dict[str, str]]  # group → region → account


def download(folder: Path) -> Path:
    """Fetch the newest sagemaker-core wheel into a folder; nothing is installed."""
    pip = local[sys.executable]["-m", "uv", "tool", "run", "--quiet", "pip"]
    options = ("--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder)
    pip["download", options, "sagemaker-core"]()
    return next(folder.glob("*.whl"))


def find_maps(value: object) -> list[dict[str, str]]:
    """Return every region → account map in a configuration file, at whatever depth."""
    if not isinstance(value, dict):
        return []
    own = [value["registries"]] if "registries" in value else []
    return own + [found for child in value.values() for found in find_maps(child)]


def merge(maps: list[dict[str, str]]) -> dict[str, str]:
    """Return one map out of all those of a group. Raises ValueError if two disagree."""
    merged: dict[str, str] = {}
    for one in maps:
        for region, account in one.items():
            if merged.setdefault(region, account) != account:
                raise ValueError(
                    f"two images disagree about {region}: {merged[region]} and {account}"
                )
            if not re.fullmatch(r"\d{12}", account):
                raise ValueError(f"the account of {region} is {account!r}, not 12 digits")
    return merged


def group(maps: list[dict[str, str]]) -> Table:
    """Sort the maps into groups and merge each."""
    return {
        name: merge([one for one in maps if one.get("us-east-1") == account])
        for name, account in GROUPS.items()
    }


def suffix(region: str) -> str:
    """Return a region's DNS suffix. Raises ValueError for a partition that is not known here."""
    for pattern, text in SUFFIXES.items():
        if re.fullmatch(pattern, region):
            return text
    raise ValueError(f"no DNS suffix is known for {region}; add its partition to SUFFIXES")


def render(version: str, table: Table) -> str:
    """Return registries.tsv's text: a region a line, `-` where a group has no account."""
    head = ["# region", "dns_suffix", *GROUPS, f"(sagemaker-core {version})"]
    rows = [
        [region, suffix(region), *(table[name].get(region, "-") for name in GROUPS)]
        for region in sorted(table["dlc"])
    ]
    return "".join("\t".join(row) + "\n" for row in [head, *rows])


def parse(text: str) -> Table:
    """Return the accounts that registries.tsv holds."""
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return {
        name: {row[0]: row[column] for row in rows if row[column] != "-"}
        for column, name in enumerate(GROUPS, 2)
    }


def check_nothing_lost(old: Table, new: Table) -> None:
    """Raise ValueError if a region lost its account."""
    lost = [
        f"{region} ({name})" for name in GROUPS for region in old[name] if region not in new[name]
    ]
    if lost:
        raise ValueError(f"known before, and now lost: {', '.join(lost)}")


def unpack(wheel: Path) -> tuple[str, list[dict[str, str]]]:
    """Return a sagemaker-core wheel's version and all its region → account maps."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        version = next((found[1] for found in map(VERSION.fullmatch, names) if found), None)
        if version is None:
            raise ValueError("it is not a sagemaker-core wheel")
        files = [json.loads(archive.read(name)) for name in names if IMAGES.fullmatch(name)]
    return version, [found for file in files for found in find_maps(file)]


def refresh(wheel: Path, path: Path) -> str:
    """Rewrite the table from a wheel; return what it is now, in a few words."""
    version, maps = unpack(wheel)
    new = group(maps)
    if path.exists():
        check_nothing_lost(parse(path.read_text(encoding="utf-8")), new)
    if not new["dlc"]:
        raise ValueError("it has no region at all")
    path.write_text(render(version, new), encoding="utf-8")
    return f"{len(new['dlc'])} regions from sagemaker-core {version}"


def main(arguments: list[str]) -> int:
    """Refresh registries.tsv from the wheel named, or from the newest."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    source = arguments[0] if arguments else "pip download"
    try:
        with local.tempdir() as folder:
            wheel = Path(source) if arguments else download(Path(folder))
            print(f"{TABLE.name}: {refresh(wheel, TABLE)}")
    except (OSError, ProcessExecutionError, zipfile.BadZipFile, ValueError) as error:
        print(f"refresh_registries: {source}: {error}; {TABLE.name} is as it was", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
