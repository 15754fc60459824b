"""The checks of `make conform`: what SageMaker gives a container, and whether the probe saw it.

Nothing runs here. A check is a number, what SageMaker gives, and a judge: a pure function of what
the probe saw. It returns what was seen when that is as there, raises Differs with what was seen
when it is not, and Untold with the reason when nobody can tell here. The constants are what the
probe's jobs ask for. docs/contract.md of the template has the sources.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..engines import Engine
from ..errors import SmLocalError
from ..kinds import contract
from ..kinds import job as jobs
from ..kinds.common import compact
from ..request import reading

PROBE = "/opt/ml/input/data/probe/probe.sh"
ARGUMENTS = ["$HOME", "two words", "--flag"]
ENVIRONMENT = {"LINES_AND_SIGNS": "a\nb=c 'd' \"e\" $f `g` \\h é", "LONG": "x" * 512}
HYPERPARAMETERS = {"epochs": "3", "name": 'it\'s "quoted"', "flag": "true"}
SHELLS = (
    "sh",
    "bash",
    "dash",
    "ash",
    "busybox",
    "env",
    "tini",
    "dumb-init",
)  # an ENTRYPOINT of these may run what it is given
THREE = {
    "hyperparameters.json",
    "inputdataconfig.json",
    "resourceconfig.json",
    "metric-definition-regex.json",
}


class Differs(Exception):
    """What was seen is not what SageMaker gives."""


class Untold(Exception):
    """Why nobody can tell here."""


@dataclass(frozen=True)
class Run:
    """One job of the probe: how it ended, what was said, its folder, or why it did not run."""

    status: int = 0
    said: str = ""
    folder: Path = Path()
    untold: str = ""

    def seen(self, name: str, host: str = "") -> str:
        """Return what the probe wrote to a file."""
        if self.untold:
            raise Untold(self.untold)
        path = self.folder / host / "output/data/seen" / name
        if not path.exists():
            started = (path.parent / "argv").exists()
            raise (
                Differs(f"the probe did not get so far: {self.last_words()}")
                if started
                else Untold(f"the probe did not run: {self.last_words()}")
            )
        return path.read_bytes().decode("utf-8", "surrogateescape")

    def last_words(self) -> str:
        """Return what the job said last, or what the recipe said of it."""
        if self.status == 127:
            return "no /bin/sh in the image"
        lines = self.said.splitlines() or [""]
        return [*lines[-1:], *(line for line in lines if not line.startswith("sm-local: "))][
            -1
        ].replace("sm-local: ", "")

    def words(self, name: str, host: str = "") -> list[str]:
        """Return the words of a file that has a NUL behind each."""
        return self.seen(name, host).split("\0")[:-1]

    def lines(self, name: str, host: str = "") -> list[str]:
        """Return a file's lines."""
        return self.seen(name, host).splitlines()


@dataclass(frozen=True)
class Image:
    """What an image says of itself; nothing in the sandbox."""

    entrypoint: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    environment: tuple[str, ...] = ()  # NAME=value

    @property
    def path(self) -> str:
        """Return the folder in which a program is looked for first."""
        return next(
            (text[5:].split(":")[0] for text in self.environment if text.startswith("PATH=/")),
            "/usr/local/bin",
        )

    @property
    def takes_no_words(self) -> bool:
        """Return whether the ENTRYPOINT is a shell's text that leaves out what it is given."""
        shell, dash, text = (*self.entrypoint, "", "", "")[:3]
        return shell.endswith("sh") and dash == "-c" and not re.search(r"\$\{?[@*1]", text)

    @property
    def program(self) -> str:
        """Return the ENTRYPOINT's program; '' for a shell, which may run what it is given."""
        return (
            ""
            if not self.entrypoint or self.entrypoint[0].rpartition("/")[2] in SHELLS
            else self.entrypoint[0]
        )


@dataclass(frozen=True)
class Context:
    """All that judges look at."""

    runs: dict[str, Run]
    place: Path
    engine: Engine
    values: dict[str, str]
    image: Image


def same(seen: object, there: object) -> str:
    """Return what was seen, if it is what SageMaker gives."""
    if seen != there:
        raise Differs(f"{short(seen)}, not {short(there)}")
    return short(seen)


def short(value: object) -> str:
    """Return a value for a table's cell."""
    text = (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=sorted)
    )
    text = text.strip().replace("\n", " ")
    return text if len(text) <= 90 else f"{text[:60]}…{text[-25:]}"


def refused(place: Path, request: dict, words: str) -> str:
    """Return that a request is refused before a job starts, for this reason."""
    path = place / "refused.json"
    path.write_text(json.dumps(request))
    try:
        reading.read(path)
    except SmLocalError as error:
        if words in str(error):
            return f"refused ({words})"
        raise Differs(f"refused, but: {error}") from error
    raise Differs(f"accepted, though {words}")


def loaded(place: Path, values: dict[str, str], request: dict, name: str = "judged") -> jobs.Job:
    """Return a request as a job of the probe's project."""
    (place / f"{name}.json").write_text(json.dumps({"TrainingJobName": f"Probe-{name}", **request}))
    return jobs.load(place, values, {"JOB": f"{name}.json", "IMAGE": values["IMAGE"]})


# The judges, in the order of the checks


def train_word(c: Context) -> str:
    words = c.runs["train"].words("argv")
    after_entrypoint(
        c, [*words[:-1], words[-1].rpartition("/")[2]], ["train"]
    )  # the kernel makes a script's name its path
    return " ".join(words)


def after_entrypoint(c: Context, words: list[str], given: list[str]) -> str:
    """Return the command line, if it is the image's ENTRYPOINT and what it is given.

    A shell may have become just that.
    """
    wanted = (
        given if c.image.entrypoint and not c.image.program else [*c.image.entrypoint[1:], *given]
    )
    same(words[-len(wanted) :], wanted)
    return " ".join(words)


def entrypoint_alone(c: Context) -> str:
    return same(c.runs["entrypoint"].words("argv"), ["/bin/sh", PROBE])


def arguments_alone(c: Context) -> str:
    return after_entrypoint(c, c.runs["arguments"].words("argv"), ["/bin/sh", PROBE, "$HOME"])


def both_exactly(c: Context) -> str:
    return same(c.runs["both"].words("argv"), ["/bin/sh", PROBE, *ARGUMENTS])


def list_limits(c: Context) -> str:
    for words, value in (
        ("has 101 items", ["x"] * 101),
        ("has 0 items", []),
        ("has 257 characters", ["x" * 257]),
    ):
        for key in ("ContainerEntrypoint", "ContainerArguments"):
            refused(c.place, {"AlgorithmSpecification": {key: value}}, words)
    return "0 and 101 items, 257 characters: refused"


def no_program(c: Context) -> str:
    run = c.runs["no-program"]
    if run.untold:
        raise Untold(run.untold)
    found = re.search(r"AlgorithmError: .*, exit code: 12[67]", run.said)
    if not found or run.status not in (126, 127):
        raise Differs(f"exit code {run.status}: {run.said.strip().splitlines()[-1]}")
    return found[0]


def no_terminal(c: Context) -> str:
    run = c.runs["entrypoint"]
    return (
        same(
            [run.lines("tty"), run.lines("stdin"), run.words("argv")[0]],
            [["no"], ["end"], "/bin/sh"],
        )
        and "no TTY, stdin at its end, no init process"
    )


def who_and_where(c: Context) -> str:
    run = c.runs["entrypoint"]
    if c.image.user not in ("", "root", "0"):
        raise Untold(
            f"the image's USER is {c.image.user}; whether SageMaker honours it is not documented"
        )
    home = run.seen(
        "home"
    ).strip()  # Docker's is / where the image has no passwd file that says otherwise
    return same(
        [run.seen("uid").strip(), home, run.seen("pwd").strip()],
        ["0", "/" if home == "/" else "/root", c.image.workdir or "/"],
    )


def parts_are_mounts(c: Context) -> str:
    targets = [line.split()[1] for line in c.runs["entrypoint"].lines("mounts")]
    return (
        same([path for path in targets if path in ("/opt/ml", "/opt/ml/code")], [])
        and "/opt/ml is no mount, /opt/ml/code the image's own"
    )


def the_tree(c: Context) -> str:
    run, wanted = (
        c.runs["entrypoint"],
        ["/opt/ml/input/config", "/opt/ml/input/data", "/opt/ml/model", "/opt/ml/output/data"],
    )
    same([path for path in wanted if path not in run.lines("writable")], [])
    return (
        same(
            [
                path
                for path in run.lines("tree")
                if path.startswith(("/opt/ml/model/", "/opt/ml/output/data/"))
            ],
            [],
        )
        and "there, writable, empty"
    )


def hyperparameters(c: Context) -> str:
    same(c.runs["entrypoint"].seen("config/hyperparameters.json"), "{}")
    refused(c.place, {"HyperParameters": {f"k{n}": "" for n in range(101)}}, "has 101 ")
    refused(c.place, {"HyperParameters": {"k": "x" * 2501}}, "has 2501 characters")
    refused(c.place, {"HyperParameters": {"k": 3}}, "the API wants a string")
    return same(c.runs["both"].seen("config/hyperparameters.json"), compact(HYPERPARAMETERS))


def input_data_config(c: Context) -> str:
    entry = (
        '{"TrainingInputMode":"File","S3DistributionType":"FullyReplicated",'
        '"RecordWrapperType":"None"}'
    )
    train = f'{{"ContentType":"text/csv",{entry[1:]}'
    there = f'{{"probe":{entry},"train":{train},"fast":{entry},"disk":{entry}}}'
    return same(c.runs["both"].seen("config/inputdataconfig.json"), there)


def resource_config(c: Context) -> str:
    job = loaded(
        c.place, c.values, {"ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 11}}
    )
    config = json.loads(contract.config_files(job, job.hosts[1])["resourceconfig.json"])
    same(
        config["hosts"][:4] + [config["current_host"]],
        ["algo-1", "algo-10", "algo-11", "algo-2", "algo-2"],
    )
    return same(
        c.runs["entrypoint"].seen("config/resourceconfig.json"),
        (
            '{"current_host":"algo-1","current_instance_type":"ml.c5.xlarge",'
            '"current_group_name":"homogeneousCluster","hosts":["algo-1"],"instance_groups":'
            '[{"instance_group_name":"homogeneousCluster","instance_type":"ml.c5.xlarge",'
            '"hosts":["algo-1"]}],"network_interface_name":"eth0","topology":null}'
        ),
    )


def groups(c: Context) -> str:
    run = c.runs["hosts"]
    configs = [
        json.loads(run.seen("config/resourceconfig.json", host)) for host in ("algo-1", "algo-2")
    ]
    same([config["current_group_name"] for config in configs], ["one", "two"])
    same(
        sorted(name for group in configs[0]["instance_groups"] for name in group["hosts"]),
        configs[0]["hosts"],
    )
    return (
        same(
            ["/opt/ml/input/data/only" in run.lines("tree", host) for host in ("algo-1", "algo-2")],
            [False, True],
        )
        and "the channel is on algo-2 alone"
    )


def config_files(c: Context) -> str:
    found = {}
    for name in ("entrypoint", "both"):
        c.runs[name].seen("argv")  # whether it ran at all
        found[name] = {
            path.name for path in (c.runs[name].folder / "output/data/seen/config").iterdir()
        }
    same(found["entrypoint"], THREE)
    asked = found["both"]
    for name in asked:
        json.loads(c.runs["both"].seen(f"config/{name}"))
    return same(
        asked - THREE,
        {"checkpointconfig.json", "debughookconfig.json", "tensorboardoutputconfig.json"},
    )


def environment(c: Context) -> dict[str, str]:
    return dict(word.split("=", 1) for word in c.runs["both"].words("environ"))


def platform_variables(c: Context) -> str:
    values = environment(c)
    name = c.runs["both"].folder.name
    same([values.get("TRAINING_JOB_NAME"), values.get("AWS_REGION")], [name, c.values["REGION"]])
    own = {
        text.partition("=")[0] for text in c.image.environment
    }  # what the image sets is there on SageMaker, too
    same(
        [
            key
            for key in values
            if (key.startswith("SM_") or key == "AWS_DEFAULT_REGION") and key not in own
        ],
        [],
    )
    return same(values.get("TRAINING_JOB_ARN", "").rpartition("/")[2], name.lower())


def user_variables(c: Context) -> str:
    same({key: environment(c).get(key) for key in ENVIRONMENT}, ENVIRONMENT)
    refused(c.place, {"Environment": {f"K{n}": "" for n in range(101)}}, "has 101 ")
    refused(c.place, {"Environment": {"K": "x" * 513}}, "has 513 characters")
    refused(c.place, {"Environment": {"1K": ""}}, "1K")
    return "byte for byte; 101 entries, 513 characters, a key 1K: refused"


def credentials(c: Context) -> str:
    given = (
        {word.partition("=")[0] for word in c.runs["isolated"].words("environ")}
        if not c.runs["isolated"].untold
        else set()
    )
    same(sorted(name for name in given if name.startswith("AWS_C")), [])
    run = c.runs["credentials"]
    names = [
        word.partition("=")[0]
        for word in run.words("environ")
        if word.startswith("AWS_CONTAINER_CREDENTIALS_")
    ]
    same(len(names), 1)
    if not run.seen("credentials").strip():
        raise Untold("nothing in the image speaks HTTP: no wget, curl or python3")
    return (
        same(
            sorted(run.seen("credentials").split()),
            ['"AccessKeyId":', '"Expiration":', '"SecretAccessKey":', '"Token":'],
        )
        and f"served by {names[0]}"
    )


def names(c: Context) -> str:
    run, several = c.runs["entrypoint"], c.runs["hosts"]
    name = run.seen("hostname").strip()
    if not re.fullmatch(r"ip-10-0-\d+-\d+\.(ec2|[a-z0-9-]+\.compute)\.internal", name):
        raise Differs(f"the host's name is {name}")
    same(run.lines("resolved"), ["algo-1"])
    if not several.untold:
        same(
            [several.lines("resolved", host) for host in ("algo-1", "algo-2")],
            [["algo-1", "algo-2"]] * 2,
        )
    return f"{name}; algo-N resolves" + (
        " (one host: " + several.untold + ")" if several.untold else " on every host"
    )


def files(c: Context, channel: str, run: str = "data", host: str = "") -> list[str]:
    """Return the files of one channel, as the probe listed them."""
    return [line[2:] for line in c.runs[run].lines(f"files-{channel}", host)]


def prefixes(c: Context) -> str:
    same(files(c, "whole"), files(c, "noslash"))
    return same(files(c, "whole"), ["a", "deep/b"])


def partial_prefixes(c: Context) -> str:
    same(files(c, "single"), ["file"])
    return same(files(c, "partial"), ["train-data.csv", "x"])


def manifests(c: Context) -> str:
    run = c.runs["bad-manifest"]
    if not run.untold and "it must be a list that begins with" not in run.said:
        raise Differs(f"a bad manifest: {run.said.strip()}")
    return same(files(c, "listed"), ["p/a", "p/deep/b"])


def manifest_files(c: Context) -> str:
    same(c.runs["data"].seen("manifest-whole"), "p/\ns3://bkt/p/a\ns3://bkt/p/deep/b\n")
    if c.runs["hosts"].untold:
        return "as there (one host)"
    return same(
        c.runs["hosts"].seen("manifest-many", "algo-2"),
        "many/\n" + "".join(f"s3://bkt/many/{n}\n" for n in range(5)),
    )


def shards(c: Context) -> str:
    both = [files(c, "many", "hosts", host) for host in ("algo-1", "algo-2")]
    same(sorted(both[0] + both[1]), [str(n) for n in range(5)])
    same(abs(len(both[0]) - len(both[1])) <= 1, True)
    same([files(c, "few", "hosts", host) for host in ("algo-1", "algo-2")], [["one"], []])
    return " and ".join(",".join(part) for part in both)


def fast_file(c: Context) -> str:
    run = c.runs["fast-partial"]
    same("/opt/ml/input/data/fast" in c.runs["both"].lines("tree"), True)
    same("/opt/ml/input/data/fast/" in c.runs["both"].lines("writable"), False)
    if not run.untold and "For FastFile mode, partial S3 prefix is not supported." not in run.said:
        raise Differs(f"a partial prefix: {run.said.strip()}")
    return "read-only; a partial prefix is refused"


def pipes(c: Context) -> str:
    run = c.runs["pipe"]
    same(
        [run.seen("early-stream"), run.seen("epoch-stream-1"), run.seen("epoch-stream-2")],
        ["012", "01234", "01234"],
    )
    return same(
        [path for path in run.lines("tree") if path.startswith("/opt/ml/input/data/stream")][:1],
        ["/opt/ml/input/data/stream_0"],
    )


def framed_pipes(c: Context) -> str:
    run = c.runs["pipe"]
    record = b"".join(struct.pack("<II", 0xCED7230A, 1) + b"%d\0\0\0" % n for n in range(5)).decode(
        "utf-8", "surrogateescape"
    )
    same(run.seen("epoch-records-1"), record)
    return same(run.seen("epoch-zipped-1"), "firstsecond")


def toolkits(c: Context) -> str:
    run = c.runs["toolkit"]
    own = [word.partition("=")[0] for word in run.words("own-environ")]
    same(
        [
            name
            for name in (
                "SM_HOSTS",
                "SM_CURRENT_HOST",
                "SM_CHANNEL_PROBE",
                "SM_MODEL_DIR",
                "SM_NUM_CPUS",
                "SM_TRAINING_ENV",
            )
            if name not in own
        ],
        [],
    )
    same([run.status, "ExitCode 7" in run.said], [1, True])
    count = sum(name.startswith("SM_") for name in own)
    return f"{count} SM_* variables; exit code 7 of a script is 1, and ExitCode 7 in the reason"


CHECKS: list[tuple[int, str, Callable[[Context], str]]] = [
    (
        1,
        "without entrypoint and arguments the command is the image's ENTRYPOINT and `train`",
        train_word,
    ),
    (
        2,
        "ContainerEntrypoint alone: that list, without `train` or the image's CMD",
        entrypoint_alone,
    ),
    (
        3,
        "ContainerArguments alone: the image's ENTRYPOINT and they, without `train`",
        arguments_alone,
    ),
    (4, "both: both lists, no shell expands them", both_exactly),
    (5, "lists of 1 to 100 items of at most 256 characters", list_limits),
    (6, "a program that is not there: Failed, AlgorithmError: …, exit code: 127", no_program),
    (7, "no TTY, stdin at its end, no init process", no_terminal),
    (8, "root, HOME=/root, the image's WORKDIR", who_and_where),
    (9, "/opt/ml is no mount: what an image has in /opt/ml/code stays visible", parts_are_mounts),
    (
        10,
        "input/config, input/data, model, output/data: there, writable, the last two empty",
        the_tree,
    ),
    (11, "hyperparameters.json: flat, strings, {} when none; the API's limits", hyperparameters),
    (12, "inputdataconfig.json: exact keys, FastFile as File, no URI", input_data_config),
    (13, "resourceconfig.json: seven keys, hosts sorted as text", resource_config),
    (14, "instance groups: each host its own, channels where they belong", groups),
    (15, "other config files only when asked for", config_files),
    (
        16,
        "TRAINING_JOB_NAME, _ARN in lower case, AWS_REGION; no SM_*, no AWS_DEFAULT_REGION",
        platform_variables,
    ),
    (17, "Environment byte for byte; the API's limits", user_variables),
    (18, "credentials from the container endpoint; none with network isolation", credentials),
    (19, "the host is called ip-10-0-…; algo-N resolves everywhere", names),
    (20, "s3://b/p and s3://b/p/ give the same tree", prefixes),
    (21, "a partial prefix keeps base names; one object is one file", partial_prefixes),
    (22, "ManifestFile: prefix and rest, the key's path kept; a bad one is refused", manifests),
    (23, "<channel>-manifest: the prefix and all objects, also when sharded", manifest_files),
    (
        24,
        "shards: all objects, none twice, sizes differ by at most one; a host may get none",
        shards,
    ),
    (25, "FastFile is read-only, and takes no partial prefix", fast_file),
    (26, "Pipe: <channel>_0, _1, …; closing early begins the next epoch; no folder", pipes),
    (27, "Pipe: Gzip is inflated, RecordIO frames each object", framed_pipes),
    (
        40,
        "sagemaker-training, where the image has it, runs a script; its exit code N is 1 and "
        "`ExitCode N`",
        toolkits,
    ),
]


def judge(check: Callable[[Context], str], context: Context) -> tuple[str, str]:
    """Return a verdict and what was seen."""
    try:
        return "as there", check(context)
    except Differs as error:
        return "differs", str(error)
    except Untold as error:
        return "cannot tell", str(error)
