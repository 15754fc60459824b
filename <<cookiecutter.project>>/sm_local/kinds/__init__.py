"""Kinds of job: each has plan(root, settings, given, alone) -> Plan. None knows an engine."""

from __future__ import annotations

from types import ModuleType

from . import processing, training

KINDS: dict[str, ModuleType] = {"training": training, "processing": processing}
