"""Addresses of S3 in the forms that the API takes: s3:// and https://."""

from __future__ import annotations

import re
from urllib.parse import unquote

# Path-style, virtual-hosted, dual-stack, FIPS and the old forms with a dash or without a region
# (S3:VirtualHosting, S3:dual-stack-endpoints), with the DNS suffixes of all partitions.
REGION = r"[a-z]{2,4}(?:-[a-z]+)+-\d+|external-1"
SUFFIX = r"amazonaws\.com(?:\.cn)?|amazonaws\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov"
HOST = rf"s3(?:-fips)?(?:\.dualstack)?(?:[.-](?:{REGION}))?\.(?:{SUFFIX})"
ADDRESS = re.compile(rf"https://(?:(?P<bucket>[^/]+)\.)?{HOST}(?:/(?P<path>[^?#]*))?")


def from_https(uri: str) -> str:
    """Return an https address of S3 as s3://bucket/key; '' if it is none, or has a query."""
    found = ADDRESS.fullmatch(uri)
    if not found:
        return ""
    place = "/".join(part for part in found.group("bucket", "path") if part)
    return f"s3://{unquote(place)}" if place.strip("/") else ""
