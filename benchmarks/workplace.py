"""What the rows run in: a temporary folder, an image, baked projects, a clean environment.

Everything is made the way a user makes it: cookiecutter bakes, `make build` builds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import docker as docker_sdk

REPO = Path(__file__).resolve().parent.parent
BASES = ("python:3.12-slim", "sm-local-test-base:bookworm", "base:bookworm")
USER = 12345  # a user id without an account

TRIVIAL = """import pathlib
print("training", flush=True)
pathlib.Path("/opt/ml/model/model.txt").write_text("trained")
"""
TWO_SECONDS = "import time\ntime.sleep(2)\n" + TRIVIAL


class Workplace:
    """A temporary folder, an image and projects; a context manager that leaves nothing behind."""

    def __init__(self, template: Path, base: str, say: Callable[[str], None]):
        """Make nothing yet: rows that need no engine must run without one."""
        self.template, self.base, self.say = template, base, say
        self.folder = Path(tempfile.mkdtemp(prefix="sm-local-bench-"))
        self.folder.chmod(0o755)  # the unprivileged user works here too
        (self.folder / "home").mkdir()
        (self.folder / "home").chmod(0o777)
        # Of projects, image and network; two benchmarks at once do not share anything.
        self.name = f"sm-local-bench-{os.getpid()}"
        self.image = f"{self.name}:latest"
        self._baked: Path | None = None
        self._built = False

    def __enter__(self) -> Workplace:
        return self

    def __exit__(self, *_) -> None:
        if self._built:
            self.remove_containers()
            client = docker_sdk.from_env()
            for network in client.networks.list(names=[self.name]):
                network.remove()
            with contextlib.suppress(docker_sdk.errors.ImageNotFound):
                client.images.remove(self.image, force=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_containers(self) -> None:
        """Remove all containers of our image, running or not, with their volumes.

        But for one that is parked, which is a row of its own.
        """
        client = docker_sdk.from_env()
        for _ in range(50):
            there = client.api.containers(all=True, filters={"ancestor": self.image})
            found = [one for one in there if "sm-local.parked" not in one["Labels"]]
            if not found:
                return
            for container in found:
                # `docker run --rm` may be removing it at this moment.
                with contextlib.suppress(docker_sdk.errors.APIError):
                    client.api.remove_container(container["Id"], force=True, v=True)
            time.sleep(0.1)

    def environment(self, **changes: str) -> dict[str, str]:
        """Return our environment without variables that would change what make or Python does.

        A real python3, not a shim, comes first on PATH.
        """
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AWS_", "MAKE", "MFLAGS", "PYTHON"))
        }
        kept.pop("VIRTUAL_ENV", None)
        path = os.pathsep.join((str(Path(sys.base_prefix) / "bin"), kept["PATH"]))
        return {**kept, "PATH": path, "HOME": str(self.folder / "home"), **changes}

    def run(self, *command: str, folder: Path | None = None, **changes: str) -> None:
        """Run a preparation step; end with its output if it fails."""
        done = subprocess.run(
            command,
            cwd=folder or self.folder,
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            raise SystemExit(
                f"bench: {' '.join(command)} failed with {done.returncode}:\n{done.stdout[-3000:]}"
            )

    def bake_command(self, output: str, *options: str) -> list[str]:
        """Return cookiecutter's command line for a bake without questions."""
        config = self.folder / "cookiecutter.yaml"
        config.write_text(
            f"cookiecutters_dir: {self.folder}/templates\nreplay_dir: {self.folder}/replay\n"
        )
        return [
            sys.executable,
            "-m",
            "cookiecutter",
            "--no-input",
            "--overwrite-if-exists",
            "--config-file",
            str(config),
            "--output-dir",
            str(self.folder / output),
            *options,
        ]

    def baked(self) -> Path:
        """Return the project as the template bakes it, with its venv made."""
        if not self._baked:
            self.say("baking, making the project's environment")
            self.run(
                *self.bake_command(
                    "baked", "--accept-hooks", "no", str(self.template), f"project={self.name}"
                )
            )
            self._baked = self.folder / "baked" / self.name
            self.run("make", "sm_local/.venv/ready", folder=self._baked)
        return self._baked

    def project(
        self, name: str, code: str | None = None, settings: str = "", job: str | None = None
    ) -> Path:
        """Return a copy of the project with its recipe written.

        `code`, `settings` and `job` replace code/train.py, settings.local.env and job.yaml.
        """
        copy = self.folder / name
        shutil.copytree(self.baked(), copy, symlinks=True)
        for path, text in (
            ("code/train.py", code),
            ("settings.local.env", settings),
            ("job.yaml", job),
        ):
            if text is not None:
                (copy / path).write_text(text)
        self.run("make", "recipe", folder=copy)
        return copy

    def trained(self, name: str, code: str, job: str | None = None) -> Path:
        """Return such a project, with its image, which counts as built in that folder."""
        self.build()
        project = self.project(name, code, job=job)
        shutil.copy(self.folder / "image/recipes/.built-docker", project / "recipes")
        return project

    def build(self) -> None:
        """Build the image once, with `make build` and the trivial script: peers mount no code."""
        if not self._built:
            self.say(f"building {self.image}")
            self._built = True
            self.run(
                "make",
                "build",
                f"BASE_IMAGE={self.base_image()}",
                folder=self.project("image", TRIVIAL),
            )

    def base_image(self) -> str:
        """Return an image with python3 that is already here; a benchmark pulls nothing."""
        client, wanted = docker_sdk.from_env(), [self.base] if self.base else BASES
        for name in wanted:
            if client.images.list(name):
                return name
        raise SystemExit(
            f"bench: no image {' or '.join(wanted)} is here; 'docker pull {BASES[0]}' fetches "
            "one, --base names another"
        )

    def imports(self, module: str) -> bool:
        """Return whether the base image's Python has a module."""
        command = ["docker", "run", "--rm", "--pull", "never", self.base_image()]
        done = subprocess.run(
            [*command, "python3", "-c", f"import {module}"], capture_output=True, check=False
        )
        return done.returncode == 0

    def as_user(self, project: Path) -> list[str]:
        """Give a project to a member of the docker group; return that user's command prefix."""
        if os.geteuid():
            return []
        socket = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix(
            "unix://"
        )
        subprocess.run(["chown", "-hR", f"{USER}:{USER}", project], check=True)
        return [
            "setpriv",
            f"--reuid={USER}",
            f"--regid={USER}",
            f"--groups={os.stat(socket).st_gid}",
        ]
