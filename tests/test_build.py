"""`make build`: pip's cache, a company's network, and what a failed build leaves.

Each of the three builders is tried: Podman, Docker's BuildKit where a client here can use it, and
Docker's legacy builder. Packages come from an index on the engine's own bridge, which counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import PROJECT, clean_environment, last_job, make, need_podman, script
from toolkit import packages

pytestmark = [pytest.mark.engine, pytest.mark.linux]
PACKAGES = ("sm-big", "sm-small")
IMAGE = f"{PROJECT}-of-test-build:1"  # the other tests keep theirs
OURS = f"TESTED_IN={PROJECT}"  # in all that comes from the base image of this worker


class Index:
    """An index of Python packages, and the paths that were asked for."""

    def __init__(self, folder: Path, address: str) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_):
                asked.append(self.path)

            def end_headers(self):
                if self.path.endswith(".whl"):  # as PyPI says of files: pip may keep them
                    self.send_header("Cache-Control", "max-age=365000000, immutable, public")
                super().end_headers()

        handler = partial(Handler, directory=str(folder))
        self.server = ThreadingHTTPServer((address, 0), handler)
        self.url = f"http://{address}:{self.server.server_port}/simple"

    def wheels(self) -> list[str]:
        """Return the wheels that were fetched since the last time, each with its number."""
        found = sorted(Path(path).name for path in self.asked if path.endswith(".whl"))
        self.asked.clear()
        return found


def wheel(folder: Path, name: str) -> None:
    """Write a package of one module into an index."""
    module = name.replace("-", "_")
    place = folder / "simple" / name
    place.mkdir(parents=True)
    info = f"{module}-1.0.dist-info"
    with zipfile.ZipFile(place / f"{module}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    (place / "index.html").write_text(
        f'<a href="{module}-1.0-py3-none-any.whl">{module}-1.0-py3-none-any.whl</a>'
    )


def own_address() -> str:
    """Return this machine's address, which containers reach on every engine's bridge."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return probe.getsockname()[0]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    for name in PACKAGES:
        wheel(folder, name)
    index = Index(folder, own_address())
    thread = threading.Thread(target=index.server.serve_forever, daemon=True)
    thread.start()
    yield index
    index.server.shutdown()
    thread.join(30)


@pytest.fixture(scope="module")
def with_pip(docker, base_image, tmp_path_factory) -> str:
    """Return an image with pip."""
    name, folder = f"{PROJECT}-pip:1", tmp_path_factory.mktemp("pip")
    shutil.copytree(packages("pip==25.3", "3.11") / "pip", folder / "pip")
    variables = f"{OURS} PYTHONPATH=/opt/pip PIP_BREAK_SYSTEM_PACKAGES=1"  # Debian: PEP 668
    (folder / "Dockerfile").write_text(
        f"FROM {base_image}\nCOPY pip /opt/pip/pip\nENV {variables}\n"
    )
    command = ["docker", "build", "--quiet", "--tag", name, folder]
    subprocess.run(command, check=True, capture_output=True)
    yield name
    docker.images.remove(name, force=True)


def client_with_buildkit() -> str:
    """Return the folder of a docker client that can use BuildKit, '' if none is here."""
    for folder in os.environ["PATH"].split(os.pathsep):
        client = Path(folder, "docker")
        if client.exists():
            done = subprocess.run(
                [client, "build", "--help"],
                capture_output=True,
                text=True,
                check=False,
                env=clean_environment(DOCKER_BUILDKIT="1"),
            )
            if "--secret" in done.stdout:
                return folder
    return ""


class Builder:
    """One of the ways to build a project, with the environment that leads to it."""

    def __init__(self, name: str, base: str, temp: Path) -> None:
        self.engine, self.base, self.temp = "podman" if name == "podman" else "docker", base, temp
        self.environment = clean_environment(
            DOCKER_BUILDKIT=str(int(name == "buildkit")), TMPDIR=str(temp)
        )
        self.environment.pop("PIP_INDEX_URL", None)
        self.name = name
        if name == "buildkit":
            path = f"{client_with_buildkit()}:{os.environ['PATH']}"
            self.environment["PATH"] = path

    def build(self, project: Path, *words: str, packages: tuple[str, ...] = ()):
        (project / "container/requirements.txt").write_text("".join(f"{x}\n" for x in packages))
        return make(
            project,
            "build",
            f"ENGINE={self.engine}",
            f"BASE_IMAGE={self.base}",
            *words,
            env=self.environment,
            timeout=300,
        )

    def ask(self, *words: str) -> str:
        command = [self.engine, *words]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self.environment
        )
        print(done.stderr)  # shown where a test fails
        return done.stdout

    def untagged(self) -> set[str]:
        listed = self.ask("images", "--quiet", "--no-trunc", "--filter", "dangling=true")
        return set(listed.split())

    def everything_in(self, image: str) -> str:
        """Return what an image says of itself, and its history."""
        return self.ask("image", "inspect", image) + self.ask("history", "--no-trunc", image)

    def run(self, image: str, *words: str) -> str:
        limits = ["--ulimit", "nofile=512:512", "--ulimit", "nproc=512:512"]  # as many as we have
        return self.ask("run", "--rm", "--network", "none", *limits, image, *words)


@pytest.fixture(params=["legacy", "buildkit", "podman"])
def builder(request, docker, with_pip, tmp_path, project):
    if request.param == "buildkit" and not client_with_buildkit():
        pytest.fail("no docker client here can use BuildKit; install docker-buildx-plugin")
    base = with_pip
    if request.param == "podman":
        need_podman()
        archive = tmp_path / "base.tar"
        subprocess.run(["docker", "save", "--output", archive, base], check=True)
        subprocess.run(["podman", "load", "--input", archive], check=True, capture_output=True)
        base = f"localhost/{base}"
    temp = tmp_path / "temp"
    temp.mkdir()
    settings = project / "settings.env"
    settings.write_text(settings.read_text().replace(f"IMAGE={PROJECT}:latest", f"IMAGE={IMAGE}"))
    one = Builder(request.param, base, temp)
    yield one
    one.ask("rmi", "--force", IMAGE)
    if request.param == "podman":
        one.ask("rmi", "--force", base)
    if request.param == "buildkit":
        one.ask("builder", "prune", "--all", "--force", "--filter", "type=exec.cachemount")


def test_one_more_package_is_all_that_is_fetched(builder, project, index):
    url = f"PIP_INDEX_URL={index.url}"
    done = builder.build(project, url, packages=PACKAGES[:1])
    assert done.returncode == 0, done.stdout
    assert index.wheels() == ["sm_big-1.0-py3-none-any.whl"]
    done = builder.build(project, url, packages=PACKAGES)
    assert done.returncode == 0, done.stdout
    fetched = index.wheels()
    if builder.name == "legacy":
        assert "no BuildKit here" in done.stdout and len(fetched) == 2
    else:
        assert fetched == ["sm_small-1.0-py3-none-any.whl"], done.stdout
    ran = builder.run(IMAGE, "python3", "-c", "import sm_big, sm_small; print('in')")
    assert ran == "in\n"
    cached = builder.run(IMAGE, "find", "/run/pip-cache", "/root/.cache", "-type", "f")
    assert cached == ""
    assert not list(project.glob("recipes/.build-*"))


def test_an_environment_that_asks_for_buildkit(project, docker, with_pip):
    """Where the client has no buildx, the legacy builder makes the image all the same."""
    environment = clean_environment(DOCKER_BUILDKIT="1")
    words = ["ENGINE=docker", f"BASE_IMAGE={with_pip}", f"IMAGE={IMAGE}"]
    done = make(project, "build", *words, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout
    subprocess.run(["docker", "rmi", "--force", IMAGE], check=True)


def test_a_failed_build_leaves_nothing(builder, project, index):
    """Neither an image without a name nor a container; the base image stays."""
    before = builder.untagged()
    with open(project / "container/Dockerfile", "a") as file:
        file.write("RUN echo made > /made\nRUN exit 3\n")
    done = builder.build(project, f"PIP_INDEX_URL={index.url}", packages=PACKAGES[:1])
    assert done.returncode == 2, done.stdout
    assert "sm-local: the image was not built (above says why); it is made from" in done.stdout
    made = [one for one in builder.untagged() - before if is_ours(builder, one)]
    assert made == []
    stopped = builder.ask("ps", "--all", "--quiet", "--filter", "status=exited")
    assert [
        one
        for one in stopped.split()
        if "exit 3" in (seen := builder.ask("inspect", one)) and OURS in seen
    ] == []
    assert builder.ask("image", "inspect", builder.base) != "[]\n"
    assert not list(project.glob("recipes/.build-*"))


def is_ours(builder: Builder, image: str) -> bool:
    """Return whether an image comes from this module: others build on the engine meanwhile."""
    return OURS in builder.ask("image", "inspect", image)


SECRET = "http://tester:hunter2@"  # a password in a URL


def test_a_password_is_in_no_image_and_no_recipe(builder, project, index):
    url = index.url.replace("http://", SECRET)
    (project / "settings.local.env").write_text(f"PIP_INDEX_URL={url}\n")
    done = builder.build(project, packages=PACKAGES[:1])
    if builder.name == "legacy":
        assert done.returncode == 2
        assert (
            "sm-local: PIP_INDEX_URL has a password, which Docker's legacy builder" in done.stdout
        )
        return
    assert done.returncode == 0, done.stdout
    image = IMAGE
    assert "hunter2" not in builder.everything_in(image)
    inside = builder.run(image, "sh", "-c", "grep -rl hunter2 /etc /run /tmp /opt /usr/local /root")
    assert inside == ""
    recipe = make(project, "recipe", "VERB=build", f"ENGINE={builder.engine}").stdout
    assert "build_image" in recipe and "hunter2" not in recipe
    assert list(builder.temp.glob("sm-local-build*")) == []


def test_a_proxy_of_the_settings_is_the_builds(builder, project):
    """Given by name: the value is not in the image, which it would be as an ordinary argument."""
    (project / "settings.local.env").write_text("HTTPS_PROXY=http://proxy.test:3128\n")
    with open(project / "container/Dockerfile", "a") as file:
        file.write('RUN echo "$HTTPS_PROXY" | sha256sum > /proxy\n')
    done = builder.build(project, packages=())
    assert done.returncode == 0, done.stdout
    there = builder.run(IMAGE, "cat", "/proxy")
    assert there.startswith(sha256("http://proxy.test:3128\n")), there
    assert "proxy.test" not in builder.everything_in(IMAGE)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_certificates_are_there_while_pip_runs_alone(builder, project, tmp_path, index):
    bundle = tmp_path / "a company's, ca.pem"
    bundle.write_text("# of a company\n")
    url = index.url.replace("http://", "http://me:p%40ss@")  # pip.conf has no escape of a %
    with open(project / "settings.local.env", "w") as file:
        file.write(f"CA_BUNDLE={bundle}\nPIP_INDEX_URL={url}\n")
    dockerfile = project / "container/Dockerfile"
    seen = "cat /run/secrets/ca /run/secrets/pip > /seen"
    dockerfile.write_text(dockerfile.read_text().replace("    if grep", f"    {seen}; if grep"))
    done = builder.build(project, packages=())
    if builder.name == "legacy":
        assert done.returncode == 2
        assert (
            "sm-local: Docker's legacy builder cannot be handed CA_BUNDLE; install" in done.stdout
        )
        return
    assert done.returncode == 0, done.stdout
    assert builder.run(IMAGE, "cat", "/seen") == (
        "# of a company\n[global]\n"
        f"index-url = {url}\ntrusted-host = {index.url.split('/')[2]}\n"
        "cert = /run/secrets/ca\n"
    )
    assert builder.run(IMAGE, "sh", "-c", "ls -A /run/secrets 2> /dev/null") == ""


def test_build_args_are_words_of_the_command_line(builder, project):
    with open(project / "container/Dockerfile", "a") as file:
        file.write('ARG WORDS\nRUN echo "$WORDS" > /words\n')
    done = builder.build(project, "BUILD_ARGS=--build-arg 'WORDS=two $words'", packages=())
    assert done.returncode == 0, done.stdout
    assert builder.run(IMAGE, "cat", "/words") == "two $words\n"


# What a job gets of it

LOOK = """
import hashlib
import json
wanted = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL", "PIP_CERT")
seen = {name: os.environ.get(name) for name in wanted}
if seen["PIP_CERT"]:
    seen["certificates"] = open(os.environ["SSL_CERT_FILE"]).read()
json.dump(seen, open("/opt/ml/model/seen", "w"))
"""


@pytest.mark.parametrize("engine", ["docker", "sandbox"])
def test_a_job_gets_what_the_settings_say(engine, project, built, tmp_path):
    bundle = tmp_path / "a company's, ca.pem"
    bundle.write_text("# of a company\n")
    (project / "settings.local.env").write_text(
        f"HTTP_PROXY=http://me:hunter2@proxy.test:3128\nNO_PROXY=localhost,.test\n"
        f"CA_BUNDLE={bundle}\n"
    )
    script(project, LOOK)
    index = "PIP_INDEX_URL=https://x:hunter3@index.test/simple?a=$b"
    done = make(project, "train", f"ENGINE={engine}", index)
    assert done.returncode == 0, done.stdout
    seen = json.loads((last_job(project) / "model/seen").read_text())
    assert seen == {
        "HTTP_PROXY": "http://me:hunter2@proxy.test:3128",
        "http_proxy": "http://me:hunter2@proxy.test:3128",
        "HTTPS_PROXY": None,
        "NO_PROXY": "localhost,.test",
        "PIP_INDEX_URL": "https://x:hunter3@index.test/simple?a=$b",
        "PIP_CERT": str(bundle) if engine == "sandbox" else "/etc/ssl/certs/sm-local-ca-bundle.pem",
        "certificates": "# of a company\n",
    }
    assert "hunter" not in (last_job(project) / "recipe.sh").read_text()


@pytest.mark.linux
def test_a_password_is_in_no_argument_while_a_job_runs(project):
    """Every user of a machine can read the arguments of all processes."""
    (project / "settings.local.env").write_text("HTTP_PROXY=http://me:hunter4@proxy.test:3128\n")
    script(project, "import time\nopen('/opt/ml/model/seen', 'w')\ntime.sleep(3)\n")
    words = ["make", "train", "ENGINE=sandbox"]
    job = subprocess.Popen(words, cwd=project, env=clean_environment(HTTP_PROXY=""))
    while job.poll() is None and not list(project.glob("output/*/model/seen")):
        time.sleep(0.05)
    shown = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True)
    assert "hunter4" not in shown.stdout
    assert job.wait() == 0


def test_a_job_gets_nothing_that_the_settings_do_not_name(project, built):
    script(project, LOOK)
    environment = clean_environment(HTTPS_PROXY="http://proxy.test:3128")
    done = make(project, "train", "ENGINE=docker", env=environment)
    assert done.returncode == 0, done.stdout
    seen = json.loads((last_job(project) / "model/seen").read_text())
    assert set(seen.values()) == {None}


def test_certificates_that_are_not_there_are_one_line(project, built):
    done = make(project, "train", "ENGINE=docker", "CA_BUNDLE=/nowhere/ca.pem")
    said = "sm-local: CA_BUNDLE is /nowhere/ca.pem, which is no file here; name one with"
    assert done.returncode == 2 and said in done.stdout
