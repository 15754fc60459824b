"""Pipe mode: a FIFO an epoch, key order, RecordIO, Gzip, shuffling, manifests, shards."""

import gzip
import json
import os
import struct
import subprocess
import time

import pytest
from conftest import clean_environment, jobs, last_job, make, script
from terminal import eventually, processes
from test_ownership import hand_over, roots, run

pytestmark = pytest.mark.linux
READ = """
import json
def epoch(n, size=-1):
    path = f"/opt/ml/input/data/stream_{n}"
    while not os.path.exists(path): time.sleep(0.01)
    with open(path, "rb") as fifo: return fifo.read(size)
"""
SHOW = (
    READ + "json.dump([epoch(n).decode('latin-1') for n in range(3)], "
    "open('/opt/ml/model/read.json', 'w'))"
)


def stream(project, files: dict[str, bytes], **channel) -> None:
    """Give a project one Pipe channel of these files."""
    for name, content in files.items():
        path = project / "opt/ml/input/data/stream" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    entry = {"ChannelName": "stream", "InputMode": "Pipe", **channel}
    (project / "job.yaml").write_text(
        json.dumps({"InputDataConfig": [{"ChannelName": "training"}, entry]})
    )


def read(project, *arguments: str) -> list[str]:
    """Train in the sandbox and return what the job read in three epochs."""
    script(project, SHOW)
    done = make(project, "train", *(arguments or ["ENGINE=sandbox"]))
    assert done.returncode == 0, done.stdout
    return json.loads((last_job(project) / "model/read.json").read_text())


def record(data: bytes) -> str:
    return (struct.pack("<II", 0xCED7230A, len(data)) + data + b"\0" * (-len(data) % 4)).decode(
        "latin-1"
    )


def data_source(**s3) -> dict:
    return {"DataSource": {"S3DataSource": s3}}


@pytest.mark.parametrize(
    "engine",
    [
        "sandbox",
        pytest.param("docker", marks=pytest.mark.engine),
        pytest.param("podman", marks=pytest.mark.engine),
    ],
)
def test_every_epoch_streams_the_objects_in_the_order_of_their_keys(engine, request, tmp_path):
    given = [f"ENGINE={engine}"]
    if engine == "docker":
        request.getfixturevalue("built")
    if engine == "podman":
        given.append(f"IMAGE={request.getfixturevalue('in_podman')}")
    project = request.getfixturevalue("project")  # a copy of what is built by now
    stream(project, {"b": b"2", "a/z": b"1", "c d": b"3\n", "Z": b"0"})
    assert read(project, *given) == ["0123\n"] * 3
    assert (
        sorted(
            path.name
            for path in last_job(project).iterdir()
            if path.name.startswith((".", "pipes"))
        )
        == []
    )


def test_there_is_a_fifo_and_no_folder(project):
    stream(project, {"a": b"1"})
    script(
        project,
        READ
        + """
import stat
begin = sorted(os.listdir("/opt/ml/input/data"))
kind = stat.S_ISFIFO(os.stat("/opt/ml/input/data/stream_0").st_mode)
epoch(0); epoch(1)
config = json.load(open("/opt/ml/input/config/inputdataconfig.json"))["stream"]
json.dump([begin, kind, config], open("/opt/ml/model/seen.json", "w"))
""",
    )
    assert make(project, "train", "ENGINE=sandbox").returncode == 0
    assert json.loads((last_job(project) / "model/seen.json").read_text()) == [
        ["stream_0", "training"],
        True,
        {
            "TrainingInputMode": "Pipe",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        },
    ]


def test_closing_early_gives_the_next_epoch_from_its_start(project):
    stream(project, {"a": b"begin" + b"x" * 3_000_000, "b": b"end"})
    script(
        project,
        READ + "json.dump([epoch(0, 5).decode(), epoch(1, 5).decode(), len(epoch(2))], "
        "open('/opt/ml/model/read.json', 'w'))",
    )
    assert make(project, "train", "ENGINE=sandbox").returncode == 0
    assert json.loads((last_job(project) / "model/read.json").read_text()) == [
        "begin",
        "begin",
        3_000_008,
    ]


@pytest.mark.parametrize(
    ("files", "channel", "epoch"),
    [
        pytest.param(
            {"a": gzip.compress(b"one"), "b": gzip.compress(b"two")},
            {"CompressionType": "Gzip"},
            "onetwo",
            id="gzip",
        ),
        pytest.param(
            {"a": b"one", "b": b"four", "c": b""},
            {"RecordWrapperType": "RecordIO"},
            record(b"one") + record(b"four") + record(b""),
            id="recordio",
        ),
        pytest.param(
            {"a": gzip.compress(b"one")},
            {"CompressionType": "Gzip", "RecordWrapperType": "RecordIO"},
            record(b"one"),
            id="gzip-in-recordio",
        ),
        pytest.param({}, {}, "", id="nothing"),
    ],
)
def test_what_an_epoch_is(project, files, channel, epoch):
    (project / "opt/ml/input/data/stream").mkdir()
    stream(project, files, **channel)
    assert read(project) == [epoch] * 3


def test_a_shuffled_channel_has_another_order_every_epoch_and_the_same_every_job(project):
    stream(project, {str(n): str(n).encode() for n in range(10)}, ShuffleConfig={"Seed": 7})
    first = read(project)
    assert [sorted(epoch) for epoch in first] == [list("0123456789")] * 3
    assert len({*first, "0123456789"}) == 4
    assert read(project) == first


@pytest.mark.parametrize(
    ("wrapper", "epoch"),
    [
        pytest.param("None", 'JPEG-1{"k":1}JPEG-20', id="joined"),
        pytest.param(
            "RecordIO",
            record(b"JPEG-1") + record(b'{"k":1}') + record(b"JPEG-2") + record(b"0"),
            id="recordio",
        ),
    ],
)
def test_an_augmented_manifest_streams_its_attributes(project, wrapper, epoch):
    lines = [
        {"label": {"k": 1}, "image-ref": "s3://b/set/img/1.jpg", "other": 9},
        {"image-ref": "s3://elsewhere/2.jpg", "label": 0},
    ]
    stream(
        project,
        {"m.jsonl": "\n".join(map(json.dumps, lines)).encode(), "img/1.jpg": b"JPEG-1"},
        RecordWrapperType=wrapper,
        **data_source(
            S3DataType="AugmentedManifestFile",
            S3Uri="s3://b/set/m.jsonl",
            AttributeNames=["image-ref", "label"],
        ),
    )
    (project / "data/s3/elsewhere").mkdir(parents=True)
    (project / "data/s3/elsewhere/2.jpg").write_bytes(b"JPEG-2")
    assert read(project) == [epoch] * 3


def augmented(**channel) -> dict:
    """Return a channel of an augmented manifest with the attributes `image-ref` and `label`."""
    return {
        **data_source(
            S3DataType="AugmentedManifestFile",
            S3Uri="s3://b/set/m.jsonl",
            AttributeNames=["image-ref", "label"],
        ),
        **channel,
    }


STREAM = "opt/ml/input/data/stream"


@pytest.mark.parametrize(
    ("files", "channel", "reason"),
    [
        pytest.param(
            {"a": b"no gzip"},
            {"CompressionType": "Gzip"},
            f"{STREAM}/a: Not a gzipped file (b'no')",
            id="no-gzip",
        ),
        pytest.param(
            {"a": gzip.compress(os.urandom(9999))[:5000]},
            {"CompressionType": "Gzip"},
            f"{STREAM}/a: Compressed file ended before the end-of-stream marker was reached",
            id="half-a-gzip",
        ),
        pytest.param(
            {"m.jsonl": b'{"image-ref": "s3://b/set/1"}', "1": b"1"},
            augmented(),
            f"{STREAM}/m.jsonl:1: there is no attribute 'label'",
            id="no-attribute",
        ),
        pytest.param(
            {"m.jsonl": b'{"image-ref": "s3://b/set/1", "label": 0}\n[1]', "1": b"1"},
            augmented(),
            f"{STREAM}/m.jsonl:2: the line is no JSON object",
            id="no-object",
        ),
        pytest.param(
            {"m.jsonl": b'{"image-ref": 5, "label": 0}'},
            augmented(),
            f"{STREAM}/m.jsonl:1: 5 is no S3 URI",
            id="no-uri",
        ),
        pytest.param(
            {"m.jsonl": b'{"image-ref": "s3://b/set/../../x", "label": 0}'},
            augmented(),
            f"{STREAM}/m.jsonl:1: '../../x' cannot be a file's path below {STREAM}",
            id="out-of-the-channel",
        ),
        pytest.param(
            {"m.jsonl": b'{"image-ref": "s3:///etc/passwd", "label": 0}'},
            augmented(),
            f"{STREAM}/m.jsonl:1: '/etc/passwd' cannot be a file's path below data/s3",
            id="out-of-the-mirror",
        ),
        pytest.param(
            {"a": b"1", "z": None},
            {},
            f"{STREAM}/z: No such file or directory",
            id="a-link-that-leads-nowhere",
        ),
    ],
)
def test_data_that_cannot_be_read_fail_the_job(project, files, channel, reason):
    """The end of a FIFO is the end of an epoch: a script would train on a part, and succeed."""
    links = [files.pop(name) or name for name in [*files] if files[name] is None]
    stream(project, files, **channel)
    for name in links:
        (project / STREAM / name).symlink_to("nowhere")
    script(project, READ + "print(epoch(0)); open('/opt/ml/model/trained', 'w')")
    done = make(project, "train", "ENGINE=sandbox", "INTERRUPT_GRACE=1")
    assert f"sm-local: channel stream: {reason}\n" in done.stdout and "Traceback" not in done.stdout
    assert (
        f": channel stream: {reason}; log, model and output are in" in done.stdout
        and "make: *** [Makefile" in done.stdout
    )
    assert done.returncode == 2 and not (last_job(project) / "model/trained").exists()


def test_data_that_cannot_be_read_fail_the_job_though_nobody_reads_what_it_says(project):
    stream(project, {"a": gzip.compress(b"1"), "z": b"no gzip"}, CompressionType="Gzip")
    script(project, READ + "time.sleep(1); epoch(0); open('/opt/ml/model/trained', 'w')")
    subprocess.run(
        "make train ENGINE=sandbox INTERRUPT_GRACE=1 2>&1 | head -n 1",
        shell=True,
        cwd=project,
        env=clean_environment(),
        check=True,
        timeout=60,
    )
    assert eventually(lambda: (last_job(project) / "status").read_text().startswith("Failed "))
    assert not (last_job(project) / "model/trained").exists()


def test_a_fifo_among_the_files_fails_the_job(project):
    stream(project, {"a": b"1"})
    os.mkfifo(project / STREAM / "b")
    script(
        project, READ + "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); epoch(0)"
    )  # a handler that calls it a success
    done = make(project, "train", "ENGINE=sandbox")
    assert (
        f"channel stream: {STREAM}/b: is no file; log, model" in done.stdout
        and done.returncode == 2
    )
    assert (last_job(project) / "exit-code").read_text() == "1\n"


def test_names_that_look_like_options_and_lines_that_python_would_split(project):
    stream(project, {"m.jsonl": '{"-a":"x\u2028y","b,c":1}\n'.encode()})
    source = data_source(
        S3DataType="AugmentedManifestFile", S3Uri="s3://b/set/m.jsonl", AttributeNames=["-a", "b,c"]
    )
    (project / "opt/ml/input/data/stream").rename(project / "opt/ml/input/data/-x")
    (project / "job.yaml").write_text(
        json.dumps({"InputDataConfig": [{"ChannelName": "-x", "InputMode": "Pipe", **source}]})
    )
    script(
        project, READ.replace("stream_", "-x_") + "open('/opt/ml/model/read', 'wb').write(epoch(0))"
    )
    done = make(project, "train", "ENGINE=sandbox")
    assert done.returncode == 0, done.stdout
    assert (last_job(project) / "model/read").read_text(encoding="utf-8") == "x\u2028y1"


@pytest.mark.engine
def test_two_hosts_share_the_objects_out(project, built):
    stream(
        project,
        {str(n): str(n).encode() for n in range(5)},
        **data_source(
            S3DataType="S3Prefix", S3Uri="s3://b/p", S3DataDistributionType="ShardedByS3Key"
        ),
    )
    request = json.loads((project / "job.yaml").read_text())
    (project / "job.yaml").write_text(
        json.dumps(
            {**request, "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2}}
        )
    )
    script(project, SHOW)
    done = make(project, "train", "ENGINE=docker")
    assert done.returncode == 0, done.stdout
    (job,) = jobs(project)
    assert [
        json.loads((job / host / "model/read.json").read_text()) for host in ("algo-1", "algo-2")
    ] == [["024"] * 3, ["13"] * 3]


@pytest.mark.engine
def test_an_unprivileged_caller_is_left_nothing_of_roots(project, built):
    stream(project, {"a": b"1"})
    script(project, SHOW)
    hand_over(project)
    done = run(project)
    assert done.returncode == 0, done.stdout
    assert json.loads((last_job(project) / "model/read.json").read_text()) == ["1"] * 3
    assert roots(project) == []


@pytest.mark.parametrize("kill", [False, True], ids=["ended", "killed"])
def test_the_feeder_ends_with_the_job(project, kill):
    stream(project, {"a": b"1"})
    script(project, READ + f"epoch(0); print('up', flush=True); time.sleep({2 if kill else 0})")
    make(project, "recipe", "ENGINE=sandbox")
    process = subprocess.Popen(
        ["bash", "recipes/train.sh"],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert process.stdout.readline() == "up\n"
    if kill:
        assert len(processes("[p]ipe.py", project)) == 1
        process.kill()
        time.sleep(0.3)
        assert len(processes("[p]ipe.py", project)) == 1  # the job still reads
    process.communicate(timeout=30)
    assert eventually(lambda: processes("[p]ipe.py", project) == [])


def test_a_missing_manifest_stops_the_job_with_one_line(project):
    stream(
        project,
        {"a": b""},
        **data_source(
            S3DataType="AugmentedManifestFile", S3Uri="s3://b/set/m.jsonl", AttributeNames=["x"]
        ),
    )
    done = make(project, "train", "ENGINE=sandbox")
    assert (
        "sm-local: channel stream: opt/ml/input/data/stream/m.jsonl is not there; put its data "
        "there\n" in done.stdout
    )
    assert done.returncode == 2 and jobs(project) == []
