"""Input data from S3: `make data` against moto, and what a channel shows of it: prefixes, manifests, shards."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import boto3
import pytest
from conftest import clean_environment, jobs, last_job, make, script
from servers import moto_serving
from sm_local.objects import below, manifest_uris
from test_ownership import hand_over, roots, run

pytestmark = pytest.mark.linux
KEYS = {"p/a.csv": "a", "p/deep/b.csv": "b", "p/Z": "Z", "data/train-data.csv": "td", "data/train/x": "x", "data/other": "o", "one.csv": "1", "p-other/y": "y"}
LIST = """
import json
top = "/opt/ml/input/data"
seen = {os.path.relpath(os.path.join(at, name), top): open(os.path.join(at, name)).read() for at, _, names in os.walk(top) for name in names}
json.dump(seen, open("/opt/ml/model/seen.json", "w"))
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """Return the environment in which S3 is moto, with a bucket of a few objects."""
    with moto_serving(tmp_path_factory.mktemp("s3")) as url:
        given = {"AWS_ENDPOINT_URL_S3": url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_EC2_METADATA_DISABLED": "true"}
        client = boto3.client("s3", endpoint_url=url, region_name="us-west-2", aws_access_key_id="x", aws_secret_access_key="y")
        client.create_bucket(Bucket="bkt", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        for key, text in KEYS.items():
            client.put_object(Bucket="bkt", Key=key, Body=text)
        client.put_object(Bucket="bkt", Key="p/folder/", Body="")
        client.put_object(Bucket="bkt", Key="m.manifest", Body=json.dumps([{"prefix": "s3://bkt/p/"}, "deep/b.csv", "a.csv"]))
        client.put_object(Bucket="bkt", Key="bad.manifest", Body="{}")
        for number in range(7):
            client.put_object(Bucket="bkt", Key=f"many/{number}", Body=str(number))
        client.put_object(Bucket="bkt", Key="big/file", Body=os.urandom(3_000_000))
        yield {**given, "client": client}


def environment(s3: dict) -> dict[str, str]:
    return clean_environment(HOME="/nonexistent", **{key: value for key, value in s3.items() if key != "client"})


def request(project, *channels: dict, **more) -> None:
    """Write a request of some S3 channels."""
    entries = [{"ChannelName": one["name"], **({"InputMode": one["mode"]} if "mode" in one else {}), "DataSource": {"S3DataSource": {
        "S3DataType": one.get("type", "S3Prefix"), "S3Uri": one["uri"], "S3DataDistributionType": one.get("share", "FullyReplicated")}}} for one in channels]
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


@pytest.mark.parametrize(("uri", "kind", "files"), [
    pytest.param("s3://bkt/p/", "S3Prefix", {"a.csv": "a", "deep/b.csv": "b", "Z": "Z"}, id="folder"),
    pytest.param("s3://bkt/p", "S3Prefix", {"a.csv": "a", "deep/b.csv": "b", "Z": "Z", "p-other/y": "y"}, id="no-slash-is-a-plain-prefix"),
    pytest.param("s3://bkt/p/deep", "S3Prefix", {"b.csv": "b"}, id="folder-without-a-slash"),
    pytest.param("s3://bkt/data/train", "S3Prefix", {"train-data.csv": "td", "x": "x"}, id="partial-prefix-keeps-the-base-name"),
    pytest.param("s3://bkt/one.csv", "S3Prefix", {"one.csv": "1"}, id="one-object"),
    pytest.param("s3://bkt/m.manifest", "ManifestFile", {"p/a.csv": "a", "p/deep/b.csv": "b"}, id="manifest-keeps-the-keys"),
])
def test_what_a_channel_shows_of_s3(project, s3, uri, kind, files):
    request(project, {"name": "x", "uri": uri, "type": kind})
    fetch(project, s3)
    assert seen(project) == {f"x/{name}": text for name, text in files.items()}
    assert not (last_job(project) / "views").exists()


@pytest.mark.engine
def test_shards_cover_all_objects_and_the_job_cannot_change_them(project, s3, built):
    request(project, {"name": "x", "uri": "s3://bkt/many/", "share": "ShardedByS3Key"}, ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 3})
    fetch(project, s3)
    script(project, LIST + """
for name in os.listdir(top + "/x"): open(f"{top}/x/{name}", "w").write("spoilt")
open(top + "/x/new", "w")
""")
    done = make(project, "train", "ENGINE=docker")
    assert done.returncode == 0, done.stdout
    (job,) = jobs(project)
    shards = [json.loads((job / f"algo-{n}/model/seen.json").read_text()) for n in (1, 2, 3)]
    assert [sorted(shard.values()) for shard in shards] == [["0", "3", "6"], ["1", "4"], ["2", "5"]]
    assert {path.name: path.read_text() for path in (project / "data/s3/bkt/many").iterdir()} == {str(n): str(n) for n in range(7)}


@pytest.mark.engine
def test_a_host_without_objects_still_starts_and_folders_of_ones_own_are_sharded_too(project, built):
    for name in ("a", "b"):
        (project / "opt/ml/input/data/x").mkdir(exist_ok=True)
        (project / "opt/ml/input/data/x" / name).write_text(name)
    request(project, {"name": "x", "uri": "s3://nowhere/x", "share": "ShardedByS3Key"}, ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 3})
    script(project, LIST)
    done = make(project, "train", "ENGINE=docker")
    assert done.returncode == 0, done.stdout
    (job,) = jobs(project)
    assert [json.loads((job / f"algo-{n}/model/seen.json").read_text()) for n in (1, 2, 3)] == [{"x/a": "a"}, {"x/b": "b"}, {}]


@pytest.mark.engine
def test_an_unprivileged_caller_of_a_view(project, s3, built):
    request(project, {"name": "x", "uri": "s3://bkt/data/train"})
    fetch(project, s3)
    script(project, LIST + "open(top + '/x/x', 'a').write('more')")
    hand_over(project)
    done = run(project)
    assert done.returncode == 0, done.stdout
    assert json.loads((last_job(project) / "model/seen.json").read_text()) == {"x/train-data.csv": "td", "x/x": "x"}
    assert roots(project) == [] and (project / "data/s3/bkt/data/train/x").read_text() == "x"


def test_a_manifest_beside_the_channel_lists_all_objects(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/many/", "share": "ShardedByS3Key"}, {"name": "training", "uri": "s3://elsewhere/t"})
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
    fetch(project, s3)
    done = make(project, "train", "ENGINE=sandbox")
    assert ("sm-local: channel x: For FastFile mode, partial S3 prefix is not supported. S3 prefix has to end with a full file or folder (s3://bkt/data/tr)\n"
            in done.stdout)


def test_a_pipe_channel_streams_from_s3(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/many/", "mode": "Pipe"})
    fetch(project, s3)
    script(project, "open('/opt/ml/model/read', 'w').write(open('/opt/ml/input/data/x_0').read())")
    assert make(project, "train", "ENGINE=sandbox").returncode == 0
    assert (last_job(project) / "model/read").read_text() == "0123456"


@pytest.mark.parametrize(("access", "text"), [("ro", "Read-only file system"), ("rw", "Completed in ")])
def test_a_file_system_is_a_folder_here(project, access, text):
    source = {"FileSystemDataSource": {"FileSystemId": "fs-01234567890", "FileSystemAccessMode": access, "FileSystemType": "EFS", "DirectoryPath": "/d"}}
    (project / "job.yaml").write_text(json.dumps({"InputDataConfig": [{"ChannelName": "training", "DataSource": source}]}))
    script(project, "open('/opt/ml/input/data/training/new', 'w')")
    done = make(project, "train", "ENGINE=sandbox")
    assert "sm-local: channel training is the folder opt/ml/input/data/training here, whatever its file system is\n" in done.stdout
    assert text in done.stdout


# make data


def test_data_says_what_comes_fetches_it_once_and_marks_it(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/many/"}, {"name": "training", "uri": "s3://bkt/p/"})
    assert "sm-local: channel x: 7 objects, 7 bytes at s3://bkt/many/; 7 to fetch, 7 bytes\n" in fetch(project, s3)
    assert not (project / "data/s3/bkt/p").exists()  # `training` is a folder of the person's own
    stamp = (project / "data/s3/bkt/many/3").stat().st_mtime_ns
    assert "sm-local: channel x: 7 objects, 7 bytes at s3://bkt/many/; 0 to fetch, 0 bytes\n" in fetch(project, s3)
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


def test_a_half_fetched_object_is_gone_on_with(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/big/"})
    body = s3["client"].get_object(Bucket="bkt", Key="big/file")["Body"].read()
    part = project / "data/s3/bkt/big/file.sm-local-part"
    part.parent.mkdir(parents=True)
    part.write_bytes(body[:2_000_000])
    fetch(project, s3)
    assert (project / "data/s3/bkt/big/file").read_bytes() == body and not part.exists()


def test_an_interrupted_fetch_leaves_no_mark(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/many/"})
    make(project, "sm_local/.venv/aws", timeout=180)
    slow = Path(project) / "sm_local/data.py"
    slow.write_text(slow.read_text().replace("    part = one.path", "    import time; time.sleep(30)\n    part = one.path", 1))
    process = subprocess.Popen(["make", "data"], cwd=project, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=environment(s3), start_new_session=True)
    assert "7 to fetch" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    done = make(project, "train", "ENGINE=sandbox")
    assert "sm-local: channel x: s3://bkt/many/ is not here; run 'make data', or put a folder opt/ml/input/data/x in its place\n" in done.stdout
    assert done.returncode == 2 and jobs(project) == []


@pytest.mark.parametrize(("channel", "changes", "line"), [
    pytest.param({"uri": "s3://bkt/none/"}, {}, "channel 'x': no object at s3://bkt/none/; look for it with 'aws s3 ls s3://bkt/none/'", id="nothing"),
    pytest.param({"uri": "s3://nobucket/p"}, {}, "channel 'x': s3://nobucket/p: An error occurred (NoSuchBucket) when calling the ListObjectsV2 operation: "
                 "The specified bucket does not exist; correct S3Uri in the request", id="bucket"),
    pytest.param({"uri": "s3://bkt/bad.manifest", "type": "ManifestFile"}, {},
                 "channel 'x': s3://bkt/bad.manifest is not a manifest (it must be a list that begins with {\"prefix\": \"s3://…\"}); "
                 "see S3DataType in the API's S3DataSource", id="manifest"),
    pytest.param({"uri": "s3://bkt/p"}, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
                 "channel 'x': s3://bkt/p: Unable to locate credentials; 'aws configure' or 'aws sso login' gets some", id="credentials"),
    pytest.param({"uri": "s3://bkt/p"}, {"AWS_PROFILE": "corp"}, "no S3 client: The config profile (corp) could not be found", id="profile"),
])
def test_what_cannot_be_fetched_is_one_line(project, s3, channel, changes, line):
    request(project, {"name": "x", **channel})
    done = make(project, "data", env={**environment(s3), **changes}, timeout=180)
    assert done.returncode == 2
    assert [text for text in done.stdout.splitlines() if text.startswith("sm-local: ") and "boto3" not in text] == [f"sm-local: {line}"]


def test_keys_that_cannot_be_files_are_refused(project, s3):
    for bucket, keys in {"ups": ["a/../b"], "both": ["a", "a/b"], "double": ["a//b"]}.items():
        s3["client"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        for key in keys:
            s3["client"].put_object(Bucket=bucket, Key=key, Body="x")
        request(project, {"name": "x", "uri": f"s3://{bucket}/"})
        done = make(project, "data", env=environment(s3), timeout=180)
        assert done.returncode == 2 and "sm-local: channel 'x': " in done.stdout and "the key 'a" in done.stdout
        assert not (project / "data/s3" / bucket).exists()


def test_a_job_without_s3_has_nothing_to_fetch(project, s3):
    assert "no channel of this job comes from S3" in fetch(project, s3)


def test_train_alone_never_asks_s3(project, s3):
    request(project, {"name": "x", "uri": "s3://bkt/p/"})
    done = make(project, "train", "ENGINE=sandbox", env=clean_environment(AWS_ENDPOINT_URL_S3="http://127.0.0.1:9"))
    assert done.stdout.splitlines()[0].endswith("this machine's Python") or "is not here; run 'make data'" in done.stdout
    assert done.returncode == 2


# Pure


@pytest.mark.parametrize(("prefix", "key", "name"), [
    ("p/", "p/a", "a"), ("p", "p/a", "a"), ("p", "p-x/a", "p-x/a"), ("data/train", "data/train-data.csv", "train-data.csv"),
    ("data/tr", "data/train/x", "train/x"), ("", "a/b", "a/b"), ("a/b.csv", "a/b.csv", "b.csv"), ("b.csv", "b.csv", "b.csv"),
])
def test_the_name_below_the_channel(prefix, key, name):
    assert below(prefix, key) == name


def test_a_manifest_is_a_prefix_and_the_rest():
    assert manifest_uris(b'[{"prefix": "s3://b/p"}, "/a", "b"]') == ["s3://b/p/a", "s3://b/pb"]
