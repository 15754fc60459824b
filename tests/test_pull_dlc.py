"""`make pull-dlc` with a real registry (docker-registry), a real ECR API (moto), real AWS CLI v2.

Fakes stand in only for what cannot be had here: an old AWS CLI, a credential helper and the
refusals of the real ECR.
"""

import http.server
import io
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest
from conftest import TEMPLATE, clean_environment, make, need
from servers import free_port, moto_serving, serving

pytestmark = pytest.mark.engine

PASSWORD = "123456789012-auth-token"  # what moto gives for its account
TAG = "2.13-cpu-test"
LOCAL = f"sm-local/dlc/pytorch:{TAG}"
SSO = (
    "[profile corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-west-2\n"
    "sso_account_id = 123456789012\nsso_role_name = ds\n"
)


def executable(path: Path, text: str) -> Path:
    """Write an executable file; return its path."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def registry_serving(folder: Path, port: int, password: str):
    """Run Debian's docker-registry, which only lets user AWS in, with a password, for the block."""
    program, htpasswd = (
        need("docker-registry", "docker-registry"),
        need("htpasswd", "apache2-utils"),
    )
    folder.mkdir(exist_ok=True)
    users = subprocess.run(
        [htpasswd, "-Bbn", "AWS", password], capture_output=True, text=True, check=True
    ).stdout
    (folder / "htpasswd").write_text(users)  # bcrypt: the registry reads nothing else
    (folder / "config.yml").write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "error"},
                "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
                "http": {"addr": f"127.0.0.1:{port}"},
                "auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}},
            }
        )
    )
    return serving(
        [program, "serve", str(folder / "config.yml")],
        f"http://127.0.0.1:{port}/v2/",
        folder / "log",
    )


def forget(docker, *names: str) -> None:
    """Remove tags; an image without a tag goes away."""
    for name in names:
        if docker.images.list(name):
            docker.images.remove(name)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Return the host of a registry that asks for ECR's password."""
    port = free_port()
    with registry_serving(tmp_path_factory.mktemp("registry"), port, PASSWORD):
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def ecr(tmp_path_factory):
    """Return the address of an ECR API that hands out tokens."""
    with moto_serving(tmp_path_factory.mktemp("ecr")) as url:
        yield url


@pytest.fixture(scope="module")
def pushed(registry, docker) -> str:
    """Return the id of an image in the registry: random bytes, so no layer is here yet."""
    name = f"{registry}/pytorch:{TAG}"
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for file, content in {
            "Dockerfile": b"FROM scratch\nCOPY one /one\nCOPY two /two\n",
            "one": os.urandom(200_000),
            "two": os.urandom(200_000),
        }.items():
            member = tarfile.TarInfo(file)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    image, _ = docker.images.build(
        fileobj=io.BytesIO(context.getvalue()), custom_context=True, tag=name, rm=True
    )
    said = docker.images.push(name, auth_config={"username": "AWS", "password": PASSWORD})
    assert "errorDetail" not in said, said
    docker.images.remove(name)
    return image.id


@pytest.fixture(scope="module")
def aws_v2() -> str:
    """Return the path of the real AWS CLI v2, which may not be the first `aws` on PATH."""
    need("aws", "awscli")
    for folder in [*os.environ["PATH"].split(":"), "/usr/bin"]:
        path = shutil.which("aws", path=folder)
        if (
            path
            and "aws-cli/2."
            in subprocess.run(
                [path, "--version"], capture_output=True, text=True, check=False
            ).stdout
        ):
            return path
    pytest.fail("AWS CLI v2 is missing; install the package awscli (Debian 12 or newer)")


@pytest.fixture(scope="module")
def tools(tmp_path_factory) -> Path:
    """Return a folder with all tools of this machine except docker and aws."""
    folder = tmp_path_factory.mktemp("tools")
    for path in [path for place in ("/usr/bin", "/bin") for path in Path(place).iterdir()]:
        if path.name not in ("aws", "docker") and not (folder / path.name).is_symlink():
            (folder / path.name).symlink_to(path)
    return folder


class Desk:
    """A user's machine: a project, a home, and a PATH whose docker records how it is called."""

    def __init__(self, project: Path, tools: Path, registry: str, ecr: str, aws: str):
        self.project, self.registry, self.folder = project, registry, project.parent
        self.bin, self.home = self.folder / "bin", self.folder / "home"
        self.calls_file = self.folder / "calls"
        self.bin.mkdir()
        (self.home / ".aws").mkdir(parents=True)
        (self.home / ".aws/config").write_text(SSO)
        (self.bin / "aws").symlink_to(aws)
        executable(
            self.bin / "docker",
            f'#!/bin/sh\necho "$*" >> {self.calls_file}\nexec {need("docker", "docker.io")} "$@"\n',
        )
        keys = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL_ECR": ecr,
        }
        self.environment = clean_environment(
            PATH=f"{self.bin}:{tools}",
            HOME=str(self.home),
            DOCKER_CONFIG=str(self.home / ".docker"),
            TMPDIR=str(self.folder),
            AWS_EC2_METADATA_DISABLED="true",
            AWS_MAX_ATTEMPTS="1",
            **keys,
        )

    def pull(self, *arguments: str, **changes: str) -> tuple[int, str]:
        """Run `make pull-dlc`; return status and output. An empty value unsets a variable."""
        self.calls_file.write_text("")
        environment = {
            key: value for key, value in {**self.environment, **changes}.items() if value
        }
        done = make(
            self.project,
            "pull-dlc",
            f"DLC=pytorch:{TAG}",
            f"DLC_REGISTRY={self.registry}",
            "ENGINE=docker",
            *arguments,
            env=environment,
        )
        assert not list(self.folder.glob("sm-local.*")), "a temporary file was left"
        return done.returncode, done.stdout

    def calls(self) -> list[str]:
        """Return the recorded docker commands, without those that only inspect the machine."""
        return [
            call
            for call in self.calls_file.read_text().splitlines()
            if not call.startswith("info ")
        ]

    def aws(self, text: str) -> None:
        """Replace aws by a fake."""
        (self.bin / "aws").unlink()
        executable(self.bin / "aws", text)

    def before_aws(self, text: str) -> Path:
        """Put a fake aws in front of the real one; return its path."""
        first = self.folder / "first"
        first.mkdir()
        self.environment["PATH"] = f"{first}:{self.environment['PATH']}"
        return executable(first / "aws", text)


@pytest.fixture
def desk(project, tools, registry, ecr, aws_v2, docker):
    """Return a desk; remove what it pulled at the end."""
    yield Desk(project, tools, registry, ecr, aws_v2)
    forget(docker, f"{registry}/pytorch:{TAG}", LOCAL)


def last_line(said: str) -> str:
    """Return sm-local's last line."""
    return [line for line in said.splitlines() if line.startswith("sm-local: ")][-1]


def test_pull_dlc_logs_in_pulls_and_names_the_image(desk, pushed, docker):
    source = f"{desk.registry}/pytorch:{TAG}"
    status, said = desk.pull()
    assert status == 0, said
    assert last_line(said) == f"sm-local: pulled {source}; next: make train IMAGE=dlc"
    assert (docker.images.get(LOCAL).id, docker.images.get(source).id) == (pushed, pushed)
    assert desk.calls() == [
        f"image inspect --format {{{{.Created}}}} {source}",
        f"image inspect --format {{{{.Created}}}} {LOCAL}",
        f"login --username AWS --password-stdin {desk.registry}",
        f"pull {source}",
        f"tag {source} {LOCAL}",
    ]
    assert (
        PASSWORD not in said and PASSWORD not in (desk.project / "recipes/pull-dlc.sh").read_text()
    )


def test_an_image_that_is_here_is_not_pulled_again(desk, pushed, docker):
    desk.pull()
    forget(docker, LOCAL)
    desk.aws("#!/bin/sh\necho called > called\nexit 1\n")
    status, said = desk.pull()
    assert status == 0, said
    assert re.fullmatch(
        rf"sm-local: {desk.registry}/pytorch:{TAG} is here already, made on 20\d\d-\d\d-\d\d; "
        "UPDATE=1 pulls it again; next: make train IMAGE=dlc",
        said.strip(),
    )
    assert docker.images.get(LOCAL).id == pushed
    forget(docker, f"{desk.registry}/pytorch:{TAG}")
    status, said = desk.pull()
    assert (status, said.startswith(f"sm-local: {LOCAL} is here already")) == (0, True)
    assert not (desk.project / "called").exists()
    assert not [call for call in desk.calls() if not call.startswith("image inspect ")]


def test_update_pulls_what_is_here(desk, pushed):
    desk.pull()
    status, said = desk.pull("UPDATE=1")
    assert status == 0, said
    assert [call.split()[0] for call in desk.calls()] == ["login", "pull", "tag"]


def test_a_platform_reaches_the_pull(desk, pushed):
    status, said = desk.pull("PLATFORM=linux/amd64")
    assert status == 0, said
    assert f"pull --platform linux/amd64 {desk.registry}/pytorch:{TAG}" in desk.calls()


@pytest.mark.parametrize(
    ("changes", "words", "hint"),
    [
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "Unable to locate credentials",
            "run 'aws configure sso'",
            id="none",
        ),
        pytest.param(
            {"AWS_PROFILE": "nope"},
            "The config profile (nope) could not be found",
            "AWS_PROFILE is 'nope'",
            id="profile",
        ),
        pytest.param(
            {"AWS_PROFILE": "corp", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "Error loading SSO Token",
            "your SSO login is missing or has ended; run 'aws sso login --profile corp'",
            id="sso",
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL_ECR": "http://127.0.0.1:1"},
            "Could not connect to the endpoint URL",
            "check the network",
            id="network",
        ),
    ],
)
def test_a_token_that_aws_refuses_is_explained_and_nobody_logs_in(desk, changes, words, hint):
    status, said = desk.pull(**changes)
    assert status == 2
    assert words in said
    assert last_line(said).startswith(f"sm-local: no token for ECR in us-west-2: {hint}")
    assert [call for call in desk.calls() if not call.startswith("image inspect ")] == []
    assert "TTY" not in said


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            (
                "(ExpiredTokenException) when calling the GetAuthorizationToken operation: The "
                "security token included in the request is expired"
            ),
            "temporary",
        ),
        (
            (
                "(UnrecognizedClientException) when calling the GetAuthorizationToken operation: "
                "The security token included in the request is invalid."
            ),
            "a wrong key, a region that your account has not enabled",
        ),
        (
            "(AccessDeniedException) when calling the GetAuthorizationToken operation: User: "
            "arn:aws:iam::1:user/u is not authorized to perform: "
            "ecr:GetAuthorizationToken on resource: * because no identity-based policy allows "
            "the action",
            "AmazonEC2ContainerRegistryReadOnly",
        ),
        (
            (
                "(InvalidSignatureException) when calling the GetAuthorizationToken operation: "
                "Signature expired"
            ),
            "clock",
        ),
        ("something new", "above are AWS's own words"),
    ],
    ids=["expired", "unknown", "denied", "clock", "new"],
)
def test_ecr_refusals_are_explained(desk, words, hint):
    desk.aws(
        '#!/bin/sh\n[ "$1" = --version ] && exec echo aws-cli/2.36.7 Python/3.11\n'
        f'echo "An error occurred {words}" >&2\nexit 254\n'
    )
    status, said = desk.pull()
    assert (status, words in said, hint in last_line(said)) == (2, True, True), said
    assert not [call for call in desk.calls() if call.startswith(("login", "pull"))]


V1 = "#!/bin/sh\necho 'aws-cli/1.46.3 Python/3.11.7 Linux/6.1 botocore/1.43.62'\n"
V1_STDERR = "#!/bin/sh\necho 'aws-cli/1.10.46 Python/2.7.11 Darwin/15.6.0 botocore/1.4.36' >&2\n"
NO_VERSION = "#!/bin/sh\necho 'pyenv: aws: command not found' >&2\nexit 127\n"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param(V1, "1.46.3", id="v1"),
        pytest.param(V1_STDERR, "1.10.46", id="stderr"),
        pytest.param(NO_VERSION, "of unknown version", id="broken"),
    ],
)
def test_v2_is_found_behind_another_aws(desk, pushed, aws_v2, text, version):
    path = desk.before_aws(text)
    status, said = desk.pull()
    assert status == 0, said
    found = (
        rf"^sm-local: aws {re.escape(version)} at {path} is first on PATH and not v2; using aws "
        rf"2\.[\d.]+ at {desk.bin}/aws$"
    )
    assert re.search(found, said, re.MULTILINE), said


def test_v1_alone_is_refused_with_its_path(desk):
    desk.aws(V1)
    status, said = desk.pull()
    assert status == 2
    assert last_line(said) == (
        f"sm-local: aws 1.46.3 at {desk.bin}/aws is not v2; ECR needs AWS CLI v2 (SSO login "
        "exists in v2 alone), "
        "get it: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
    )
    assert not [call for call in desk.calls() if call.startswith("login")]


def test_no_aws_is_refused_with_the_remedy(desk):
    (desk.bin / "aws").unlink()
    status, said = desk.pull()
    assert (
        status,
        last_line(said).startswith("sm-local: no aws is on PATH; ECR needs AWS CLI v2 "),
    ) == (2, True), said


def test_a_later_major_version_will_do(desk):
    desk.aws(
        '#!/bin/sh\n[ "$1" = --version ] && exec echo aws-cli/3.0.1 Python/3.15\n'
        "echo no >&2; exit 254\n"
    )
    assert "no token for ECR" in desk.pull()[1]


def test_an_unknown_tag_is_explained_at_once(desk, pushed):
    status, said = desk.pull("DLC=pytorch:2.99-cpu")
    assert status == 2
    assert "manifest unknown" in said
    assert last_line(said).startswith(
        f"sm-local: {desk.registry}/pytorch:2.99-cpu was not pulled: there is no such tag; tags "
        "are listed at https://"
    )
    assert len([call for call in desk.calls() if call.startswith("pull")]) == 1


def test_a_token_for_another_registry_is_explained(desk, tmp_path):
    port = free_port()
    with registry_serving(tmp_path / "other", port, "another password"):
        status, said = desk.pull(f"DLC_REGISTRY=127.0.0.1:{port}")
    assert status == 2
    assert "401 Unauthorized" in said
    assert last_line(said).startswith(
        f"sm-local: no login to 127.0.0.1:{port}: it refused the token; "
    )
    assert not [call for call in desk.calls() if call.startswith("pull")]


def test_a_credential_store_that_is_missing_is_explained(desk):
    (desk.home / ".docker").mkdir()
    (desk.home / ".docker/config.json").write_text('{"credsStore": "gone"}')
    status, said = desk.pull()
    assert (status, "does not work; install it, or remove its line" in last_line(said)) == (
        2,
        True,
    ), said


def helper(desk, host: str) -> None:
    """Install a credential helper for a host, as amazon-ecr-credential-helper does."""
    answer = json.dumps({"ServerURL": host, "Username": "AWS", "Secret": PASSWORD})
    executable(desk.bin / "docker-credential-ecr-login", f"#!/bin/sh\necho '{answer}'\n")
    (desk.home / ".docker").mkdir()
    (desk.home / ".docker/config.json").write_text(
        json.dumps({"credHelpers": {host: "ecr-login"}}, indent="\t")
    )


def test_a_credential_helper_makes_the_login(desk, pushed):
    helper(desk, desk.registry)
    (desk.bin / "aws").unlink()
    status, said = desk.pull()
    assert status == 0, said
    assert [call.split()[0] for call in desk.calls()] == ["image", "image", "pull", "tag"]


def test_a_network_that_fails_is_tried_again(desk, tmp_path):
    """The registry starts while the recipe sleeps before its second try."""
    port, slept, up, over = free_port(), tmp_path / "slept", tmp_path / "up", threading.Event()
    helper(desk, f"127.0.0.1:{port}")
    executable(
        desk.bin / "sleep",
        f"""#!/bin/sh
echo "$1" >> {slept}
for try in $(seq 600); do if [ ! -e {up} ]; then /bin/sleep 0.1; fi; done
""",
    )

    def come_up():
        while not slept.exists():
            if over.wait(0.1):
                return
        with registry_serving(tmp_path / "late", port, PASSWORD):
            up.touch()
            over.wait()

    thread = threading.Thread(target=come_up)
    thread.start()
    try:
        status, said = desk.pull(f"DLC_REGISTRY=127.0.0.1:{port}")
    finally:
        over.set()
        thread.join()
    assert (status, slept.read_text()) == (2, "5\n"), said
    assert re.search(
        "connection refused.*\nsm-local: the network failed; trying again in 5 s\n", said
    ), said
    # The second try got an answer: the late registry is empty.
    assert "there is no such tag" in last_line(said)


def test_three_tries_are_enough(desk, tmp_path):
    port = free_port()
    helper(desk, f"127.0.0.1:{port}")
    executable(desk.bin / "sleep", f'#!/bin/sh\necho "$1" >> {tmp_path}/slept\n')
    status, said = desk.pull(f"DLC_REGISTRY=127.0.0.1:{port}")
    assert (status, (tmp_path / "slept").read_text()) == (2, "5\n10\n")
    assert last_line(said).endswith(
        "was not pulled: check the network and the proxy; then pull again"
    )


# The real ECR's answers through the real engine: a registry that only refuses.

REFUSALS = {
    "expired": (
        403,
        "DENIED",
        "Your authorization token has expired. Reauthenticate and try again.",
        "the login is older than 12 hours",
    ),
    "foreign": (
        403,
        "DENIED",
        "User: arn:aws:iam::1:user/u is not authorized to perform: ecr:BatchGetImage on "
        "resource: arn:aws:ecr:us-west-2:1:repository/x "
        "because no resource-based policy allows the ecr:BatchGetImage action",
        "that registry does not let you; is it a Deep Learning Container?",
    ),
    "mine": (
        403,
        "DENIED",
        "User: arn:aws:iam::1:user/u is not authorized to perform: ecr:BatchGetImage on "
        "resource: arn:aws:ecr:us-west-2:1:repository/x "
        "because no identity-based policy allows the ecr:BatchGetImage action",
        "ask for the policy AmazonEC2ContainerRegistryReadOnly",
    ),
    "family": (
        404,
        "NAME_UNKNOWN",
        "The repository with name 'family' does not exist in the registry with id '1'",
        "there is no such repository there",
    ),
    "tag": (404, "MANIFEST_UNKNOWN", "Requested image not found", "there is no such tag"),
    "busy": (429, "TOOMANYREQUESTS", "Rate exceeded", "the registry limits the rate"),
}


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answer every request for a repository with the refusal that it is named after."""

    def do_GET(self):
        status, code, message, _ = REFUSALS.get(self.path.split("/")[2], (200, "", "", ""))
        body = json.dumps({"errors": [{"code": code, "message": message}]} if code else {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        """Log nothing."""


@pytest.fixture(scope="module")
def refusing():
    """Return the host of a registry that refuses as ECR does."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("repo", REFUSALS)
def test_a_refused_pull_is_explained(desk, refusing, repo):
    helper(desk, refusing)
    executable(desk.bin / "sleep", "#!/bin/sh\n")
    status, said = desk.pull(f"DLC={repo}:1", f"DLC_REGISTRY={refusing}")
    _, _, words, hint = REFUSALS[repo]
    assert (status, words in said) == (2, True), said
    assert last_line(said).startswith(f"sm-local: {refusing}/{repo}:1 was not pulled: {hint}")
    assert len([call for call in desk.calls() if call.startswith("pull")]) == (
        3 if repo == "busy" else 1
    )


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            "pull access denied for public.ecr.aws/x, repository does not exist or may require "
            "'docker login': denied: "
            "Your authorization token has expired. Reauthenticate and try again.",
            "run 'docker logout public.ecr.aws'",
        ),
        (
            (
                "unexpected status from HEAD request to https://public.ecr.aws/v2/x/manifests/1: "
                "403 Forbidden"
            ),
            "run 'docker logout public.ecr.aws'",
        ),
        (
            (
                "repository public.ecr.aws/x not found: name unknown: The repository with name "
                "'x' does not exist"
            ),
            "make pull-dlc REGION=",
        ),
    ],
    ids=["expired", "containerd", "unknown"],
)
def test_the_public_gallery_has_its_own_hints(words, hint):
    program = (
        '. "$0/say.sh"; . "$0/pull.sh"; engine=docker host="" image=public.ecr.aws/x:1; '
        'pull_hint "$1"'
    )
    done = subprocess.run(
        ["bash", "-euc", program, str(TEMPLATE / "sm_local/lib"), words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert hint in done.stdout
    assert done.stderr == ""


def test_the_login_is_kept_where_others_cannot_read_it(desk, pushed):
    desk.pull()
    assert stat.S_IMODE((desk.home / ".docker/config.json").stat().st_mode) == 0o600
