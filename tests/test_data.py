"""Input data from S3: `make data` against moto, and what channels show of it."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace

import boto3
import pytest
from conftest import clean_environment, containers, jobs, last_job, make, script
from s3_proxy import proxying
from servers import moto_serving
from sm_local import progress
from sm_local.errors import SmLocalError
from sm_local.kinds.job import Channel
from sm_local.libexec import objects
from sm_local.libexec.objects import below, manifest_uris
from sm_local.s3 import listing, transfer, wording
from sm_local.s3.pool import DaemonPool
from terminal import CTRL_C, Terminal, eventually
from test_ownership import as_user, hand_over, roots, run

pytestmark = pytest.mark.linux
KEYS = {
    "p/a.csv": "a",
    "p/deep/b.csv": "b",
    "p/Z": "Z",
    "data/train-data.csv": "td",
    "data/train/x": "x",
    "data/other": "o",
    "one.csv": "1",
    "p-other/y": "y",
}
LIST = """
import json
top = "/opt/ml/input/data"
paths = [os.path.join(at, name) for at, _, names in os.walk(top) for name in names]
seen = {os.path.relpath(path, top): open(path).read() for path in paths}
json.dump(seen, open("/opt/ml/model/seen.json", "w"))
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """Return the environment in which S3 is moto, with a bucket of a few objects."""
    with moto_serving(tmp_path_factory.mktemp("s3")) as url:
        given = {
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "y",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-west-2",
            aws_access_key_id="x",
            aws_secret_access_key="y",
        )
        client.create_bucket(
            Bucket="bkt", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
        )
        for key, text in KEYS.items():
            client.put_object(Bucket="bkt", Key=key, Body=text)
        client.put_object(Bucket="bkt", Key="p/folder/", Body="")
        client.put_object(
            Bucket="bkt",
            Key="m.manifest",
            Body=json.dumps([{"prefix": "s3://bkt/p/"}, "deep/b.csv", "a.csv"]),
        )
        client.put_object(
            Bucket="bkt",
            Key="twice.manifest",
            Body=json.dumps([{"prefix": "s3://bkt/p/"}, "a.csv", "a.csv"]),
        )
        client.put_object(Bucket="bkt", Key="bad.manifest", Body="{}")
        for number in range(7):
            client.put_object(Bucket="bkt", Key=f"many/{number}", Body=str(number))
        client.put_object(Bucket="bkt", Key="big/file", Body=os.urandom(3_000_000))
        yield {**given, "client": client}


def environment(s3: dict) -> dict[str, str]:
    return clean_environment(
        HOME="/nonexistent", **{key: value for key, value in s3.items() if key != "client"}
    )


def request(project, *channels: dict, **more) -> None:
    """Write a request of some S3 channels."""
    entries = [
        {
            "ChannelName": one["name"],
            **({"InputMode": one["mode"]} if "mode" in one else {}),
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": one.get("type", "S3Prefix"),
                    "S3Uri": one["uri"],
                    "S3DataDistributionType": one.get("share", "FullyReplicated"),
                }
            },
        }
        for one in channels
    ]
    (project / "job.yaml").write_text(json.dumps({"InputDataConfig": entries, **more}))


def fetch(project, s3: dict) -> str:
    done = make(project, "data", env=environment(s3), timeout=180)
    assert done.returncode == 0, done.stdout
    return done.stdout


def seen(project, *arguments: str) -> dict[str, str]:
    """Train and return the files that the job found, and what was in them."""
    script(project, LIST)
    done = make(project, "train", *(arguments or ["ENGINE=sandbox"]))
    assert done.returncode == 0, done.stdout
    return json.loads((last_job(project) / "model/seen.json").read_text())


@pytest.mark.parametrize(
    ("uri", "kind", "files"),
    [
        pytest.param(
            "s3://bkt/p/", "S3Prefix", {"a.csv": "a", "deep/b.csv": "b", "Z": "Z"}, id="folder"
        ),
        pytest.param(
            "s3://bkt/p",
            "S3Prefix",
            {"a.csv": "a", "deep/b.csv": "b", "Z": "Z", "p-other/y": "y"},
            id="no-slash-is-a-plain-prefix",
        ),
        pytest.param("s3://bkt/p/deep", "S3Prefix", {"b.csv": "b"}, id="folder-without-a-slash"),
        pytest.param(
            "s3://bkt/data/train",
            "S3Prefix",
            {"train-data.csv": "td", "x": "x"},
            id="partial-prefix-keeps-the-base-name",
        ),
        pytest.param("s3://bkt/one.csv", "S3Prefix", {"one.csv": "1"}, id="one-object"),
        pytest.param("s3://bkt/many/3", "Converse", {"3": "3"}, id="converse-is-a-prefix"),
        pytest.param(
            "s3://bkt/m.manifest",
            "ManifestFile",
            {"p/a.csv": "a", "p/deep/b.csv": "b"},
            id="manifest-keeps-the-keys",
        ),
        pytest.param(
            "s3://bkt/twice.manifest",
            "ManifestFile",
            {"p/a.csv": "a"},
            id="a-key-that-stands-there-twice",
        ),
    ],
)
def test_what_a_channel_shows_of_s3(project, s3, uri, kind, files):
    request(project, {"name": "x", "uri": uri, "type": kind})
    fetch(project, s3)
    assert seen(project) == {f"x/{name}": text for name, text in files.items()}
    assert not (last_job(project) / "views").exists()


@pytest.mark.engine
def test_shards_cover_all_objects_and_the_job_cannot_change_them(project, s3, built):
    request(
        project,
        {"name": "x", "uri": "s3://bkt/many/", "share": "ShardedByS3Key"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 3},
    )
    fetch(project, s3)
    script(
        project,
        LIST
        + """
for name in os.listdir(top + "/x"): open(f"{top}/x/{name}", "w").write("spoilt")
open(top + "/x/new", "w")
""",
    )
    done = make(project, "train", "ENGINE=docker")
    assert done.returncode == 0, done.stdout
    (job,) = jobs(project)
    shards = [json.loads((job / f"algo-{n}/model/seen.json").read_text()) for n in (1, 2, 3)]
    assert [sorted(shard.values()) for shard in shards] == [["0", "3", "6"], ["1", "4"], ["2", "5"]]
    assert {path.name: path.read_text() for path in (project / "data/s3/bkt/many").iterdir()} == {
        str(n): str(n) for n in range(7)
    }


@pytest.mark.engine
def test_a_container_s_channels_of_every_kind_and_what_a_job_may_do_to_them(project, s3, built):
    request(
        project,
        {"name": "whole", "uri": "s3://bkt/p/"},
        {"name": "part", "uri": "s3://bkt/data/train"},
        {"name": "one", "uri": "s3://bkt/one.csv"},
        {"name": "list", "uri": "s3://bkt/m.manifest", "type": "ManifestFile"},
        {"name": "fast", "uri": "s3://bkt/many/", "mode": "FastFile"},
    )
    fetch(project, s3)
    before = {
        path: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime)
        for path in (project / "data/s3").rglob("*")
        if path.is_file()
    }
    script(
        project,
        LIST
        + """
for at, folders, names in os.walk(top):
    for name in names:
        path = os.path.join(at, name)
        try:
            open(path, "w").write("spoilt")
            os.chmod(path, 0o600); os.utime(path, (1, 1)); os.remove(path)
        except OSError as error: print("kept", path, error.strerror)
for name in os.listdir(top):
    if os.path.isdir(f"{top}/{name}") and name != "fast": open(f"{top}/{name}/new", "w")
""",
    )
    done = make(project, "train", "ENGINE=docker", "MANIFESTS=on")
    assert done.returncode == 0, done.stdout
    assert json.loads((last_job(project) / "model/seen.json").read_text()) == {
        "whole/a.csv": "a",
        "whole/deep/b.csv": "b",
        "whole/Z": "Z",
        "whole-manifest": "p/\ns3://bkt/p/Z\ns3://bkt/p/a.csv\ns3://bkt/p/deep/b.csv\n",
        "part/train-data.csv": "td",
        "part/x": "x",
        "part-manifest": "data/train\ns3://bkt/data/train-data.csv\ns3://bkt/data/train/x\n",
        "one/one.csv": "1",
        "one-manifest": "one.csv\ns3://bkt/one.csv\n",
        "list/p/a.csv": "a",
        "list/p/deep/b.csv": "b",
        "list-manifest": "m.manifest\ns3://bkt/p/a.csv\ns3://bkt/p/deep/b.csv\n",
        **{f"fast/{n}": str(n) for n in range(7)},
    }
    kept = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("kept ")}
    manifests = {f"/opt/ml/input/data/{name}-manifest" for name in ("whole", "part", "one", "list")}
    assert kept - manifests == {f"/opt/ml/input/data/fast/{n}" for n in range(7)}
    assert {
        path: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime) for path in before
    } == before
    assert {path for path in (project / "data/s3").rglob("*") if path.is_file()} == before.keys()


@pytest.mark.engine
def test_a_group_s_channel_is_dealt_out_to_that_group_alone(project, built):
    for name in "abc":
        (project / "opt/ml/input/data/x").mkdir(exist_ok=True)
        (project / "opt/ml/input/data/x" / name).write_text(name)
    groups = [
        {"InstanceGroupName": name, "InstanceType": "ml.c5.large", "InstanceCount": count}
        for name, count in {"one": 1, "two": 2}.items()
    ]
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": "s3://bkt/x",
        "S3DataDistributionType": "ShardedByS3Key",
        "InstanceGroupNames": ["two"],
    }
    (project / "job.yaml").write_text(
        json.dumps(
            {
                "ResourceConfig": {"InstanceGroups": groups},
                "InputDataConfig": [{"ChannelName": "x", "DataSource": {"S3DataSource": source}}],
            }
        )
    )
    script(project, LIST + "print(json.load(open('/opt/ml/input/config/inputdataconfig.json')))")
    done = make(project, "train", "ENGINE=docker", "MANIFESTS=on")
    assert done.returncode == 0, done.stdout
    (job,) = jobs(project)
    listed = "x\ns3://bkt/x/a\ns3://bkt/x/b\ns3://bkt/x/c\n"
    assert [json.loads((job / f"algo-{n}/model/seen.json").read_text()) for n in (1, 2, 3)] == [
        {},
        {"x/a": "a", "x/c": "c", "x-manifest": listed},
        {"x/b": "b", "x-manifest": listed},
    ]
    assert (job / "algo-1/log").read_text() == "{}\n"
    assert (
        (job / "algo-2/log").read_text()
        == "{'x': {'TrainingInputMode': 'File', 'S3DistributionType': 'ShardedByS3Key', "
        "'RecordWrapperType': 'None'}}\n"
    )


@pytest.mark.engine
def test_a_host_without_objects_still_starts_and_folders_of_ones_own_are_sharded_too(
    project, built
):
    for name in ("a", "b"):
        (project / "opt/ml/input/data/x").mkdir(exist_ok=True)
        (project / "opt/ml/input/data/x" / name).write_text(name)
    request(
        project,
        {"name": "x", "uri": "s3://nowhere/x", "share": "ShardedByS3Key"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 3},
    )
    script(project, LIST)
    done = make(project, "train", "ENGINE=docker")
    assert done.returncode == 0, done.stdout
    (job,) = jobs(project)
    assert [json.loads((job / f"algo-{n}/model/seen.json").read_text()) for n in (1, 2, 3)] == [
        {"x/a": "a"},
        {"x/b": "b"},
        {},
    ]


@pytest.mark.engine
def test_an_unprivileged_caller_of_a_view(project, s3, built):
    request(project, {"name": "x", "uri": "s3://bkt/data/train"})
    fetch(project, s3)
    script(project, LIST + "open(top + '/x/x', 'a').write('more')")
    hand_over(project)
    done = run(project)
    assert done.returncode == 0, done.stdout
    assert json.loads((last_job(project) / "model/seen.json").read_text()) == {
        "x/train-data.csv": "td",
        "x/x": "x",
    }
    assert roots(project) == [] and (project / "data/s3/bkt/data/train/x").read_text() == "x"


@pytest.mark.engine
def test_links_go_when_the_recipe_is_killed_and_their_files_keep_their_owner(
    project, s3, docker, built
):
    request(project, {"name": "x", "uri": "s3://bkt/data/train"})
    fetch(project, s3)
    script(
        project,
        "open('/opt/ml/input/data/x/x', 'a').write('more'); print('ready', flush=True); "
        "time.sleep(3)",
    )
    hand_over(project)
    process = subprocess.Popen(
        [*as_user(project), "bash", "recipes/train.sh"],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(HOME="/nonexistent"),
    )
    while "ready" not in process.stdout.readline():
        assert process.poll() is None
    assert (jobs(project)[-1] / "views/x/x").stat().st_nlink == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert eventually(
        lambda: (
            containers(docker, project) == []
            and roots(project) == []
            and not (jobs(project)[-1] / "views").exists()
        ),
        30,
    )
    kept = project / "data/s3/bkt/data/train/x"
    assert (kept.read_text(), kept.stat().st_nlink) == ("x", 1)


@pytest.mark.engine
def test_a_model_s_own_folders_are_not_taken_for_ours(project, built):
    script(
        project,
        """
for name in ("views", "cow", "manifests", "pipes"):
    for top in ("/opt/ml/model", "/opt/ml/output/data"):
        os.mkdir(f"{top}/{name}"); open(f"{top}/{name}/f", "w")
""",
    )
    hand_over(project)
    assert run(project).returncode == 0
    assert sorted(path.parent.name for path in (last_job(project) / "model").glob("*/f")) == [
        "cow",
        "manifests",
        "pipes",
        "views",
    ]
    assert len(list((last_job(project) / "output/data").glob("*/f"))) == 4


@pytest.mark.engine
def test_data_that_is_not_here_is_refused_before_any_host_starts(project, docker, built):
    groups = [
        {"InstanceGroupName": name, "InstanceType": "ml.c5.large", "InstanceCount": 1}
        for name in ("a", "b")
    ]
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": "s3://bkt/not/fetched",
        "InstanceGroupNames": ["b"],
    }
    (project / "other.yaml").write_text(
        json.dumps(
            {
                "ResourceConfig": {"InstanceGroups": groups},
                "InputDataConfig": [{"ChannelName": "x", "DataSource": {"S3DataSource": source}}],
            }
        )
    )
    done = make(project, "train", "ENGINE=docker", "JOB=other.yaml")
    assert done.returncode == 2
    assert [line for line in done.stdout.splitlines() if line.startswith("sm-local: ")] == [
        "sm-local: channel x: s3://bkt/not/fetched is not here; run 'make data "
        "JOB=other.yaml', or put a folder opt/ml/input/data/x in its place"
    ]
    assert jobs(project) == [] and containers(docker, project) == []


def test_channels_rw_is_not_for_what_came_from_s3(project, s3):
    request(
        project, {"name": "x", "uri": "s3://bkt/p/"}, {"name": "y", "uri": "s3://bkt/data/train"}
    )
    fetch(project, s3)
    script(
        project,
        "for name in ('x/a.csv', 'x/new', 'y/x'): open('/opt/ml/input/data/' + name, "
        "'w').write('spoilt')",
    )
    done = make(project, "train", "ENGINE=sandbox", "CHANNELS=rw")
    assert done.returncode == 0, done.stdout
    assert {
        key: (project / "data/s3/bkt" / key).read_text() for key in ("p/a.csv", "data/train/x")
    } == {"p/a.csv": "a", "data/train/x": "x"}
    assert not (project / "data/s3/bkt/p/new").exists()


def test_a_prefix_that_is_a_folder_costs_nothing_for_each_file(project, s3):
    request(
        project,
        {"name": "x", "uri": "s3://bkt/p/"},
        {"name": "y", "uri": "s3://bkt/many"},
        {"name": "training", "uri": "s3://bkt/t"},
    )
    fetch(project, s3)
    make(project, "recipe", "ENGINE=sandbox")
    (project / "sm_local/libexec/objects.py").write_text("raise SystemExit('looked at the files')")
    script(
        project,
        "print(sorted(os.listdir('/opt/ml/input/data/x')), "
        "len(os.listdir('/opt/ml/input/data/y')))",
    )
    done = subprocess.run(
        ["bash", "recipes/train.sh"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.stdout == "['Z', 'a.csv', 'deep'] 7\n", done.stderr
    assert "views" not in {path.name for path in last_job(project).iterdir()}


def test_a_mirror_on_another_disk_is_copied_and_says_so(project, s3):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        (project / "data").mkdir()
        (project / "data/s3").symlink_to(other)
        request(project, {"name": "x", "uri": "s3://bkt/data/train"})
        fetch(project, s3)
        script(project, "print(sorted(os.listdir('/opt/ml/input/data/x')))")
        done = make(project, "train", "ENGINE=sandbox")
    assert (
        "sm-local: channel x: 2 files copied, for they cannot be linked into output (Invalid "
        "cross-device link)\n" in done.stdout
    )
    assert "['train-data.csv', 'x']\n" in done.stdout


def test_a_mirror_that_somebody_emptied_is_no_empty_channel(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/many/"})
    fetch(project, s3)
    shutil.rmtree(project / "data/s3/bkt")
    done = make(project, "train", "ENGINE=sandbox")
    assert (
        "sm-local: s3://bkt/many/: nothing of it is in data/s3 any more; 'make data' fetches "
        "it again\n" in done.stdout
    )
    assert done.returncode == 2 and jobs(project) == []


def test_a_shell_shows_the_channel_that_train_does(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/data/train"})
    fetch(project, s3)
    make(project, "recipe", "VERB=shell", "ENGINE=sandbox")
    done = subprocess.run(
        ["bash", "recipes/shell.sh"],
        cwd=project,
        input="ls /opt/ml/input/data/x\n",
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stdout == "train-data.csv\nx\n", done.stderr


def test_a_manifest_beside_the_channel_lists_all_objects(project, s3):
    request(
        project,
        {"name": "x", "uri": "s3://bkt/many/", "share": "ShardedByS3Key"},
        {"name": "training", "uri": "s3://elsewhere/t"},
    )
    fetch(project, s3)
    files = seen(project, "ENGINE=sandbox", "MANIFESTS=on")
    assert files["x-manifest"] == "many/\n" + "".join(f"s3://bkt/many/{n}\n" for n in range(7))
    assert files["training-manifest"] == "t\ns3://elsewhere/t/train.csv\n"
    assert "x-manifest" not in seen(project)


def test_fast_file_is_read_only_and_refuses_a_partial_prefix(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/p/", "mode": "FastFile"})
    fetch(project, s3)
    script(project, "open('/opt/ml/input/data/x/new', 'w')")
    done = make(project, "train", "ENGINE=sandbox")
    assert "Read-only file system" in done.stdout
    request(project, {"name": "x", "uri": "s3://bkt/data/tr", "mode": "FastFile"})
    refusal = (
        "For FastFile mode, partial S3 prefix is not supported. S3 prefix has to end "
        "with a full file or folder (s3://bkt/data/tr)\n"
    )
    done = make(project, "data", env=environment(s3))
    assert (
        f"sm-local: channel 'x': {refusal}" in done.stdout
        and not (project / "data/s3/bkt/data").exists()
    )
    request(project, {"name": "x", "uri": "s3://bkt/data/tr"})
    fetch(project, s3)  # for another job, in File mode
    request(project, {"name": "x", "uri": "s3://bkt/data/tr", "mode": "FastFile"})
    assert f"sm-local: channel x: {refusal}" in make(project, "train", "ENGINE=sandbox").stdout


def test_a_pipe_channel_streams_from_s3(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/many/", "mode": "Pipe"})
    fetch(project, s3)
    script(project, "open('/opt/ml/model/read', 'w').write(open('/opt/ml/input/data/x_0').read())")
    assert make(project, "train", "ENGINE=sandbox").returncode == 0
    assert (last_job(project) / "model/read").read_text() == "0123456"


@pytest.mark.parametrize(
    ("access", "text"), [("ro", "Read-only file system"), ("rw", "Completed in ")]
)
def test_a_file_system_is_a_folder_here(project, access, text):
    source = {
        "FileSystemDataSource": {
            "FileSystemId": "fs-01234567890",
            "FileSystemAccessMode": access,
            "FileSystemType": "EFS",
            "DirectoryPath": "/d",
        }
    }
    vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    channels = [{"ChannelName": "training", "DataSource": source}]
    body = {"InputDataConfig": channels, "VpcConfig": vpc}
    (project / "job.yaml").write_text(json.dumps(body))
    script(project, "open('/opt/ml/input/data/training/new', 'w')")
    done = make(project, "train", "ENGINE=sandbox")
    assert (
        "sm-local: InputDataConfig[0].DataSource.FileSystemDataSource is the folder "
        "opt/ml/input/data/training here, whatever its file system is\n" in done.stdout
    )
    assert text in done.stdout


# make data


def test_data_says_what_comes_fetches_it_once_and_marks_it(project, s3):
    request(
        project, {"name": "x", "uri": "s3://bkt/many/"}, {"name": "training", "uri": "s3://bkt/p/"}
    )
    assert (
        "sm-local: channel x: 7 objects, 7 bytes at s3://bkt/many/; 7 to fetch, 7 bytes\n"
        in fetch(project, s3)
    )
    assert not (project / "data/s3/bkt/p").exists()  # `training` is a folder of the person's own
    stamp = (project / "data/s3/bkt/many/3").stat().st_mtime_ns
    assert (
        "sm-local: channel x: 7 objects, 7 bytes at s3://bkt/many/; 0 to fetch, 0 bytes\n"
        in fetch(project, s3)
    )
    assert (project / "data/s3/bkt/many/3").stat().st_mtime_ns == stamp
    request(project, {"name": "other", "uri": "s3://bkt/many"})
    assert "; 0 to fetch, 0 bytes\n" in fetch(project, s3)  # two jobs share one copy


def test_what_changed_in_s3_is_fetched_again(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/changing/"})
    s3["client"].put_object(Bucket="bkt", Key="changing/a", Body="old")
    fetch(project, s3)
    time.sleep(1.1)
    s3["client"].put_object(Bucket="bkt", Key="changing/a", Body="new")
    fetch(project, s3)
    assert (project / "data/s3/bkt/changing/a").read_text() == "new"


def test_what_a_killed_call_left_incomplete_is_thrown_away(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/big/"})
    parts = project / listing.PARTS
    parts.mkdir(parents=True)
    name = listing.Remote("bkt", "big/file", 3_000_000, 0, "").part.name
    for left in (name, f"{name}.1234abcd", "of-another-object"):
        (parts / left).write_bytes(bytes(2_000_000))
    fetch(project, s3)
    body = s3["client"].get_object(Bucket="bkt", Key="big/file")["Body"].read()
    assert (project / "data/s3/bkt/big/file").read_bytes() == body
    assert list(parts.iterdir()) == []


def test_what_s3_no_longer_has_goes(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/going/"})
    for key in ("going/stays", "going/deep/goes"):
        s3["client"].put_object(Bucket="bkt", Key=key, Body="x")
    fetch(project, s3)
    s3["client"].delete_object(Bucket="bkt", Key="going/deep/goes")
    assert (
        "sm-local: channel x: 1 object no longer in S3, removed from data/s3/bkt, such as "
        "going/deep/goes\n" in fetch(project, s3)
    )
    assert [path.name for path in (project / "data/s3/bkt/going").iterdir()] == ["stays"]


def test_a_second_call_waits_for_the_first(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/many/"})
    (project / "data/s3").mkdir(parents=True)
    make(project, "sm_local/.venv/aws", timeout=180)
    with open(project / "data/s3/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            ["make", "data"],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(s3),
        )
        assert (
            process.stdout.readline()
            == "sm-local: another 'make data' is at work here; waiting for it\n"
        )
        time.sleep(1.5)
        assert process.poll() is None and not (project / "data/s3/bkt").exists()
    assert "7 to fetch" in process.communicate(timeout=60)[0] and process.returncode == 0


def test_a_manifest_may_name_an_object_twice_and_a_missing_one_is_named(project, s3):
    s3["client"].put_object(
        Bucket="bkt",
        Key="twice.manifest",
        Body=json.dumps([{"prefix": "s3://bkt/"}, "big/file", "big/file"]),
    )
    request(project, {"name": "x", "uri": "s3://bkt/twice.manifest", "type": "ManifestFile"})
    assert "channel x: 2 objects, 3.0 MB at s3://bkt/twice.manifest; 2 to fetch" in fetch(
        project, s3
    )
    s3["client"].put_object(
        Bucket="bkt",
        Key="wrong.manifest",
        Body=json.dumps([{"prefix": "s3://bkt/"}, "one.csv", "none"]),
    )
    request(project, {"name": "x", "uri": "s3://bkt/wrong.manifest", "type": "ManifestFile"})
    done = make(project, "data", env=environment(s3))
    assert (
        "sm-local: channel 'x': s3://bkt/none: " in done.stdout
        and "; correct S3Uri in the request, or what the manifest names\n" in done.stdout
    )


def through(s3: dict, proxy) -> dict[str, str]:
    """Return the environment in which S3 is behind a proxy."""
    return {**environment(s3), "AWS_ENDPOINT_URL_S3": proxy.url}


def test_an_interrupted_fetch_leaves_no_mark(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/many/"})
    make(project, "sm_local/.venv/aws", timeout=180)

    def hang(asked) -> None:
        time.sleep(30 if asked.range else 0)

    with proxying(s3["AWS_ENDPOINT_URL_S3"], hang) as proxy:
        process = subprocess.Popen(
            ["make", "data"],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=through(s3, proxy),
            start_new_session=True,
        )
        assert "7 to fetch" in process.stdout.readline()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    done = make(project, "train", "ENGINE=sandbox")
    assert (
        "sm-local: channel x: s3://bkt/many/ is not here; run 'make data', "
        "or put a folder opt/ml/input/data/x in its place\n"
    ) in done.stdout
    assert done.returncode == 2 and jobs(project) == []


def test_ctrl_c_ends_it_at_once_and_says_how_to_go_on(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/big/"}, {"name": "y", "uri": "s3://bkt/many/"})
    make(project, "sm_local/.venv/aws", timeout=180)

    def hang(asked) -> None:
        time.sleep(120 if asked.range and "/many/" in asked.path else 0)

    with proxying(s3["AWS_ENDPOINT_URL_S3"], hang) as proxy:
        terminal = Terminal(["make", "data"], project, through(s3, proxy))
        terminal.wait_for("channel y: 7 objects, 7 bytes")
        assert eventually(lambda: sum("/many/" in asked.path for asked in proxy.asked) == 7)
        terminal.type(CTRL_C)
        begin = time.monotonic()
        assert terminal.wait() != 0 and time.monotonic() - begin < transfer.GRACE + 3
    assert "sm-local: interrupted; 'make data' again goes on from here" in terminal.text
    assert re.search(r"channel x .*100 % .*3\.0/3\.0 MB", terminal.text), terminal.text
    assert (project / "data/s3/bkt/big/file").exists()


def test_a_large_object_comes_over_several_connections(project, s3):
    body = os.urandom(3 * transfer.PIECE + 1)
    s3["client"].put_object(Bucket="bkt", Key="large/file", Body=body)
    request(project, {"name": "x", "uri": "s3://bkt/large/"})
    together = threading.Barrier(4, timeout=60)

    def meet(asked) -> None:
        if asked.range:
            together.wait()

    with proxying(s3["AWS_ENDPOINT_URL_S3"], meet) as proxy:
        done = make(project, "data", env=through(s3, proxy), timeout=180)
    assert done.returncode == 0, done.stdout
    assert (project / "data/s3/bkt/large/file").read_bytes() == body
    pieces = [asked for asked in proxy.asked if asked.range]
    assert sorted(asked.range for asked in pieces) == [
        "bytes=0-8388607",
        "bytes=16777216-25165823",
        "bytes=25165824-",
        "bytes=8388608-16777215",
    ]
    assert len({asked.connection for asked in pieces}) == 4
    assert len({asked.if_match for asked in pieces} - {""}) == 1


def test_an_object_that_changes_after_it_was_listed_is_refused(project, s3):
    s3["client"].put_object(Bucket="bkt", Key="moving/a", Body="old")
    request(project, {"name": "x", "uri": "s3://bkt/moving/"})

    def change(asked) -> None:
        if asked.range:
            s3["client"].put_object(Bucket="bkt", Key="moving/a", Body="new")

    with proxying(s3["AWS_ENDPOINT_URL_S3"], change) as proxy:
        done = make(project, "data", env=through(s3, proxy), timeout=180)
    assert done.returncode == 2
    assert (
        "sm-local: channel 'x': data/s3/bkt/moving/a: Contents of stored object \"moving/a\" in "
        'bucket "bkt" did not match expected ETag; it has changed since it was listed; '
        "'make data' again fetches the new version\n"
    ) in done.stdout
    assert not (project / "data/s3/bkt").exists()
    assert list((project / listing.PARTS).iterdir()) == []


def test_a_connection_that_breaks_is_tried_again(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/big/"})
    broken = []

    def break_once(asked) -> None:
        if asked.range and not broken:
            broken.append(asked)
            raise ConnectionAbortedError

    with proxying(s3["AWS_ENDPOINT_URL_S3"], break_once) as proxy:
        done = make(project, "data", env=through(s3, proxy), timeout=180)
    assert done.returncode == 0, done.stdout
    assert len(broken) == 1 and (project / "data/s3/bkt/big/file").stat().st_size == 3_000_000


def test_a_fetch_of_what_changed_takes_the_mark_away_until_it_is_whole(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/many/"})
    fetch(project, s3)
    (project / "data/s3/bkt/many/3").unlink()
    nobody = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    done = make(project, "data", env={**environment(s3), **nobody})
    assert (
        done.returncode == 2
        and "; check the network, the proxy and AWS_ENDPOINT_URL\n" in done.stdout
    )
    assert list((project / "data/s3/.ready").iterdir())  # nothing was asked for yet
    (project / "data/s3/bkt/many/3").mkdir()  # in its way
    done = make(project, "data", env=environment(s3))
    assert ("sm-local: channel 'x': data/s3/bkt/many/3: [Errno 21] Is a directory: ") in done.stdout
    assert (
        "; a folder here cannot be a file too: remove it from data/s3, "
        "or copy the object to another key\n"
    ) in done.stdout
    assert list((project / "data/s3/.ready").iterdir()) == []


@pytest.mark.parametrize(
    ("channel", "changes", "line"),
    [
        pytest.param(
            {"uri": "s3://bkt/none/"},
            {},
            "channel 'x': no object at s3://bkt/none/; look for it with 'aws s3 ls s3://bkt/none/'",
            id="nothing",
        ),
        pytest.param(
            {"uri": "s3://nobucket/p"},
            {},
            "channel 'x': s3://nobucket/p: An error occurred (NoSuchBucket) when calling the "
            "ListObjectsV2 operation: "
            "The specified bucket does not exist; correct S3Uri in the request",
            id="bucket",
        ),
        pytest.param(
            {"uri": "s3://bkt/bad.manifest", "type": "ManifestFile"},
            {},
            "channel 'x': s3://bkt/bad.manifest is not a manifest (it must be a list that "
            'begins with {"prefix": "s3://…"}); '
            "see S3DataType in the API's S3DataSource",
            id="manifest",
        ),
        pytest.param(
            {"uri": "s3://bkt/p"},
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "channel 'x': s3://bkt/p: Unable to locate credentials; 'aws configure' or 'aws "
            "sso login' gets some",
            id="credentials",
        ),
        pytest.param(
            {"uri": "s3://bkt/p"},
            {"AWS_PROFILE": "corp"},
            "no S3 client: The config profile (corp) could not be found; "
            "'aws configure list' says what your AWS settings are",
            id="profile",
        ),
    ],
)
def test_what_cannot_be_fetched_is_one_line(project, s3, channel, changes, line):
    request(project, {"name": "x", **channel})
    done = make(project, "data", env={**environment(s3), **changes}, timeout=180)
    assert done.returncode == 2
    assert [
        text
        for text in done.stdout.splitlines()
        if text.startswith("sm-local: ") and "boto3" not in text
    ] == [f"sm-local: {line}"]


def test_keys_that_cannot_be_files_are_refused(project, s3):
    for bucket, keys in {"ups": ["a/../b"], "both": ["a", "a/b"], "double": ["a//b"]}.items():
        s3["client"].create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
        )
        for key in keys:
            s3["client"].put_object(Bucket=bucket, Key=key, Body="x")
        request(project, {"name": "x", "uri": f"s3://{bucket}/"})
        done = make(project, "data", env=environment(s3), timeout=180)
        assert (
            done.returncode == 2
            and "sm-local: channel 'x': " in done.stdout
            and "the key 'a" in done.stdout
        )
        assert not (project / "data/s3" / bucket).exists()


def test_a_job_without_s3_has_nothing_to_fetch(project, s3):
    assert "no channel of this job comes from S3" in fetch(project, s3)


def test_train_alone_never_asks_s3(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/p/"})
    script(project, LIST)
    no_s3 = clean_environment(AWS_ENDPOINT_URL_S3="http://127.0.0.1:9")
    done = make(project, "train", "ENGINE=sandbox", env=no_s3)
    assert (
        "s3://bkt/p/ is not here; run 'make data'" in done.stdout
        and done.returncode == 2
        and jobs(project) == []
    )
    fetch(project, s3)
    assert make(project, "train", "ENGINE=sandbox", env=no_s3).returncode == 0


def test_train_imports_nothing_that_talks_to_a_network(project):
    code = (
        "import sys\n"
        "from sm_local import __main__\n"
        "__main__.main(['train'])\n"
        "print({'boto3', 'botocore', 's3transfer', 'rich', 'sm_local.progress'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env=clean_environment(ENGINE="sandbox"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "set()", done.stdout


# Pure


def test_a_mirror_that_somebody_changed_leads_nowhere_else(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/m.manifest", "type": "ManifestFile"})
    fetch(project, s3)
    (project / "data/s3/bkt/m.manifest").write_text(
        '[{"prefix": "s3://bkt/../../"}, "settings.env"]'
    )
    done = make(project, "train", "ENGINE=sandbox")
    assert (
        "s3://bkt/m.manifest: 'bkt/../../settings.env' cannot be a file's path below data/s3\n"
        in done.stdout
    )
    assert done.returncode == 2 and jobs(project) == []


@pytest.mark.parametrize(
    ("prefix", "key", "name"),
    [
        ("p/", "p/a", "a"),
        ("p", "p/a", "a"),
        ("p", "p-x/a", "p-x/a"),
        ("data/train", "data/train-data.csv", "train-data.csv"),
        ("data/tr", "data/train/x", "train/x"),
        ("", "a/b", "a/b"),
        ("a/b.csv", "a/b.csv", "b.csv"),
        ("b.csv", "b.csv", "b.csv"),
    ],
)
def test_the_name_below_the_channel(prefix, key, name):
    assert below(prefix, key) == name


def test_a_manifest_is_a_prefix_and_the_rest():
    assert manifest_uris(b'[{"prefix": "s3://b/p"}, "/a", "b"]') == ["s3://b/p/a", "s3://b/pb"]


def test_a_view_is_of_links_that_follow_a_person_s_own(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "far").write_text("far")
    (tmp_path / "own/a").write_text("a")
    (tmp_path / "own/link").symlink_to("../far")
    (tmp_path / "own/nowhere").symlink_to("none")
    objects.link(list(objects.objects(f"file:{tmp_path}/own", "S3Prefix")), tmp_path / "views/x")
    assert os.path.samefile(tmp_path / "views/x/a", tmp_path / "own/a")
    assert (tmp_path / "views/x/link").read_text() == "far" and os.readlink(
        tmp_path / "views/x/nowhere"
    ) == "none"


def test_an_augmented_manifest_needs_what_its_references_name(s3):
    lines = [
        {"image-ref": "s3://bkt/many/1", "label": 1, "other-ref": "s3://bkt/many/2"},
        {"image-ref": "s3://bkt/many/1", "label": 0, "other-ref": "x"},
    ]
    s3["client"].put_object(Bucket="bkt", Key="a.jsonl", Body="\n".join(map(json.dumps, lines)))
    channel = Channel(
        "x",
        "",
        "Pipe",
        s3_uri="s3://bkt/a.jsonl",
        s3_type="AugmentedManifestFile",
        attributes=("image-ref", "label"),
    )
    assert [(one.key, one.size) for one in listing.remotes(channel, s3["client"])] == [
        ("a.jsonl", len("\n".join(map(json.dumps, lines)))),
        ("many/1", 1),
    ]
    assert replace(channel, attributes=("other-ref",)).ready != channel.ready


def test_two_objects_of_one_name_in_the_channel_are_refused(tmp_path):
    found = [
        objects.Object(str(tmp_path / name), below("data/t", key), f"s3://b/{key}")
        for name, key in {"1": "data/t/t-1", "2": "data/t-1"}.items()
    ]
    for name in "12":
        (tmp_path / name).write_text(name)
    with pytest.raises(
        SystemExit,
        match="^sm-local: s3://b/data/t-1: another object has the name t-1 in the channel too; ",
    ):
        objects.link(found, tmp_path / "view")


def remote(key: str, bucket: str = "b", size: int = 0) -> listing.Remote:
    return listing.Remote(bucket, key, size, 1e9, '"etag"')


@pytest.mark.parametrize(
    ("keys", "one_case", "problem"),
    [
        pytest.param(["a", "b/c", "b/d"], True, "", id="fine"),
        pytest.param(["a", "A"], False, "", id="case-matters"),
        pytest.param(
            ["a/x", "A/x"],
            True,
            "the keys 'a/x' and 'A/x' are one file on this machine's disk; copy one of the "
            "objects to another key",
            id="case",
        ),
        pytest.param(
            ["e\u0301", "\u00e9"],
            True,
            "the keys 'e\u0301' and '\u00e9' are one file on this machine's disk; copy one of "
            "the objects to another key",
            id="accents",
        ),
        pytest.param(
            ["a/b", "a"],
            False,
            "part of the key 'a/b' is an object itself; a folder here cannot be a file too",
            id="file-and-folder",
        ),
        pytest.param(
            ["A/b", "a"],
            True,
            "part of the key 'A/b' is an object itself; a folder here cannot be a file too",
            id="file-and-folder-but-for-case",
        ),
        *[
            pytest.param(
                [key],
                False,
                f"the key {key!r} cannot be a file's path here; copy the object to another key",
                id=name,
            )
            for name, key in {
                "up": "a/../b",
                "absolute": "/a",
                "double": "a//b",
                "dot": "./a",
                "long": "é" * 128,
                "nul": "a\0b",
            }.items()
        ],
    ],
)
def test_keys_that_do_not_fit_this_disk(keys, one_case, problem):
    assert listing.misfit([remote(key) for key in keys], one_case) == problem


def test_a_bucket_cannot_lead_out_of_the_mirror():
    assert "cannot be a file's path" in listing.misfit([remote("a", bucket="..")], False)


def test_what_is_whole_stays_when_another_object_cannot_be_had(tmp_path, monkeypatch, s3):
    monkeypatch.chdir(tmp_path)
    listing.PARTS.mkdir(parents=True)
    channel = Channel("x", "", s3_uri="s3://bkt/p/")
    monkeypatch.setattr(transfer, "IN_FLIGHT", 1)
    found = [*listing.remotes(channel, s3["client"]), remote("none", bucket="bkt", size=1)]
    transfers = transfer.manager(s3["client"])
    with pytest.raises(SmLocalError, match="^channel 'x': data/s3/bkt/none: .*NoSuchKey"):
        transfer.download(channel, transfers, found, 3)
    assert [one.path.read_text() for one in found[:3]] == ["Z", "a", "b"]
    assert found[0].path.stat().st_mtime == found[0].modified
    assert list(listing.PARTS.iterdir()) == []


def test_where_there_is_no_terminal_no_bar_is_shown(capsys):
    with progress.bar("channel x", 10) as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")


def test_a_pool_keeps_errors_for_whoever_asks_and_does_not_wait():
    with DaemonPool(2) as pool:
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]
        assert isinstance(pool.submit(int, "x").exception(), ValueError)
        begin = time.monotonic()
        pool.submit(time.sleep, 60)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("error", "what"),
    [
        pytest.param(
            "An error occurred (AccessDenied) when calling the ListObjectsV2 operation",
            "you need s3:ListBucket and s3:GetObject there, "
            "and kms:Decrypt for its key if it has one",
            id="denied",
        ),
        pytest.param(
            "An error occurred (403) when calling the HeadObject operation: Forbidden",
            "you need s3:ListBucket and s3:GetObject there, "
            "and kms:Decrypt for its key if it has one",
            id="denied-head",
        ),
        pytest.param(
            "An error occurred (ExpiredToken)", "'aws sso login' gets new credentials", id="expired"
        ),
        pytest.param(
            "The SSO session associated with this profile has expired or is otherwise invalid",
            "'aws sso login' gets new credentials",
            id="sso",
        ),
        pytest.param(
            "An error occurred (InvalidObjectState)",
            "it is archived; restore it first: 'aws s3api restore-object'",
            id="archived",
        ),
        pytest.param(
            "Read timeout on endpoint URL", "'make data' again goes on from here", id="other"
        ),
    ],
)
def test_what_to_do_about_an_answer(error, what):
    assert wording.hint(Exception(error)) == what


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 KB"),
        (25_000_000, "25 MB"),
        (3e15, "3000 TB"),
    ],
)
def test_bytes_for_people(size, text):
    assert wording.amount(size) == text
