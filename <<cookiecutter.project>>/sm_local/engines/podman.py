"""Podman."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

from ..plan import Container, Plan
from .oci import OCI


class Podman(OCI):
    """Podman, whose containers belong to the caller."""

    def before(self, plan: Plan) -> list[str]:
        """Set one more limit; the rest as every engine of images."""
        first, *rest = super().before(plan)
        return [first, "limit_processes", *rest]

    def look(self, plan: Plan, container: Container) -> list[str]:
        """Return one more option, the limit of lib/podman.sh, where this machine is the one."""
        options = super().look(plan, container)
        with contextlib.suppress(OSError):
            most = int(Path("/proc/sys/kernel/pid_max").read_text())
            own = resource.getrlimit(resource.RLIMIT_NPROC)[1]
            processes = most if own < 0 else min(own, most)
            return ["--ulimit", f"nproc={processes}:{processes}", *options]
        return options

    def scratch(self, container: Container) -> tuple[str, ...]:
        """Return nothing: Podman's own overlay keeps what a job writes with the container."""
        return ()

    def gpus(self, wanted: str) -> list[str]:
        """Return CDI devices, whatever was found: 4.x ignores --gpus without a word."""
        devices = "all" if wanted in ("auto", "required", "all") else wanted
        names = [f"nvidia.com/gpu={one}" for one in devices.split(",") if wanted != "none"]
        return [word for name in names for word in ("--device", name)]
