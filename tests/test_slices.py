"""SAMPLE and MAX_SECONDS: a part of the data, a part of the time, and no doubt about either."""

import json
import os
import random
import signal
from pathlib import Path

import pytest
from conftest import jobs, last_job, make, script
from sm_local.kinds.channels import Channel
from sm_local.libexec import objects
from terminal import background, eventually, processes

DATA = "opt/ml/input/data/training"
LIST = """
top = pathlib.Path("/opt/ml/input/data/training")
seen = sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())
pathlib.Path("/opt/ml/model/seen").write_text("\\n".join(seen))
for path in top.rglob("*.txt"):
    path.write_text("changed by the job")
"""
WAIT = """
def stop(*_):
    pathlib.Path("/opt/ml/model/saved").write_text("in the handler")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""
with_docker = pytest.param("docker", marks=pytest.mark.engine)


def classes(project: Path, count: int = 10) -> list[str]:
    """Give the channel some classes, a folder each; return all its files."""
    (project / DATA / "train.csv").unlink()
    for name in ("cat", "dog", "emu"):
        (project / DATA / name).mkdir()
        for number in range(count):
            (project / DATA / name / f"{number}.txt").write_text("yours")
    return [f"{name}/{number}.txt" for name in ("cat", "dog", "emu") for number in range(count)]


def sampled(project: Path, *given: str) -> list[str]:
    """Return what a job has seen."""
    done = make(project, "train", *given)
    assert done.returncode == 0, done.stdout
    return (last_job(project) / "model/seen").read_text().split("\n")


@pytest.mark.usefixtures("image_if_docker")
@pytest.mark.parametrize("engine_name", [with_docker, "sandbox"])
def test_a_sample_is_some_files_of_each_class_and_says_so_everywhere(project, engine_name):
    everything = classes(project)
    script(project, LIST)
    done = make(project, "train", "SAMPLE=10%", f"ENGINE={engine_name}")
    assert done.returncode == 0, done.stdout
    job = last_job(project)
    seen = (job / "model/seen").read_text().split("\n")
    assert set(seen) < set(everything) and [name[:3] for name in seen] == ["cat", "dog", "emu"]
    first, *_, last = done.stdout.splitlines()
    assert first.startswith(f"sm-local: {job.name}: ") and first.endswith(
        ", a sample: 10% of the files"
    )
    assert "sm-local: channel training: 3 of 30 files\n" in done.stdout
    assert " s on a sample (10% of the files); model: " in last
    assert (job / "record/sample").read_text() == "10% of the files\n"
    assert "(a sample: 10% of the files)\n" in make(project, "jobs").stdout
    assert json.loads(make(project, "jobs", "JSON=1").stdout)[0]["sample"] == "10% of the files"
    assert {path.read_text() for path in (project / DATA).rglob("*.txt")} == {"yours"}
    assert not (job / "views").exists()


def test_a_job_on_all_data_says_nothing_of_samples(project):
    done = make(project, "train", "ENGINE=sandbox", "HP=epochs=1")
    assert done.returncode == 0 and "sample" not in done.stdout
    assert json.loads(make(project, "jobs", "JSON=1").stdout)[0]["sample"] is None


def test_a_sample_is_the_same_until_its_seed_changes(project):
    classes(project)
    script(project, LIST)
    first = sampled(project, "ENGINE=sandbox", "SAMPLE=12")
    assert len(first) == 12 and sampled(project, "ENGINE=sandbox", "SAMPLE=12") == first
    other = sampled(project, "ENGINE=sandbox", "SAMPLE=12", "SAMPLE_SEED=7")
    assert len(other) == 12 and other != first
    assert (last_job(project) / "record/sample").read_text() == (
        "12 files of each channel, seed 7\n"
    )


def test_a_channel_with_fewer_files_is_whole(project):
    everything = classes(project, 2)
    script(project, LIST)
    assert sampled(project, "ENGINE=sandbox", "SAMPLE=100") == everything


def test_pipes_and_prefixes_of_s3_are_sampled_too(project):
    (project / "job.yaml").write_text(
        "InputDataConfig:\n"
        "- {ChannelName: training, DataSource: {S3DataSource: {S3DataType: S3Prefix, "
        "S3Uri: 's3://bucket/data/'}}}\n"
        "- {ChannelName: piped, InputMode: Pipe}\n"
    )
    piped = project / "opt/ml/input/data/piped"
    (project / DATA).rename(piped)
    for number in range(10):
        (piped / str(number)).write_text(f"{number}\n")
    mirror = project / "data/s3/bucket/data"
    mirror.mkdir(parents=True)
    for number in range(10):
        (mirror / f"{number}.txt").write_text("S3's")
    ready = project / Channel("training", "", s3_uri="s3://bucket/data/").ready
    ready.parent.mkdir(parents=True)
    ready.touch()
    (piped / "train.csv").unlink()
    script(project, f"{LIST}\nprint(open('/opt/ml/input/data/piped_0').read().split())")
    done = make(project, "train", "ENGINE=sandbox", "SAMPLE=20%")
    assert done.returncode == 0, done.stdout
    assert "sm-local: channel training: 2 of 10 files\n" in done.stdout
    assert "sm-local: channel piped: 2 of 10 files\n" in done.stdout
    assert len((last_job(project) / "model/seen").read_text().split("\n")) == 2
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("['")]
    assert len(eval(line)) == 2
    assert {path.read_text() for path in mirror.iterdir()} == {"S3's"}


def test_what_belongs_together_stays_together_and_more_is_more():
    names = [f"{folder}/{number}.{kind}" for number in range(50) for folder, kind in (
        ("images", "jpg"), ("labels", "txt"))]  # fmt: skip
    found = [objects.Object(name, name, name) for name in names]
    random.Random(1).shuffle(found)
    samples = [
        {one.name for one in objects.sample(found, f"{share}%", "0")} for share in (4, 10, 60)
    ]
    assert [len(one) for one in samples] == [4, 10, 60]
    assert samples[0] < samples[1] < samples[2]
    for one in samples:
        stems = {name.partition("/")[2].partition(".")[0] for name in one}
        assert len(stems) == len(one) / 2


@pytest.mark.parametrize("count, wanted, number", [(300, "1%", 3), (301, "1%", 4), (5, "0.1%", 1),
    (1000, "0.7%", 7), (9, "100%", 9), (9, "5", 5)])  # fmt: skip
def test_a_share_is_rounded_up(count, wanted, number):
    assert objects.how_many(count, wanted) == number


# Time


@pytest.mark.usefixtures("image_if_docker")
@pytest.mark.parametrize("engine_name", [with_docker, "sandbox"])
def test_a_job_whose_time_is_over_is_stopped_as_on_sagemaker(project, engine_name):
    script(project, WAIT)
    done = make(project, "train", "MAX_SECONDS=2", f"ENGINE={engine_name}")
    job, first = last_job(project), done.stdout.splitlines()[0]
    assert first.endswith(", at most 2 s"), done.stdout
    assert "sm-local: the 2 s are over: SIGTERM now, SIGKILL in 120 s\n" in done.stdout
    assert f": MaxRuntimeExceeded, MAX_SECONDS=2; output/{job.name}\n" in done.stdout
    assert done.returncode == 2 and "Error 143" in done.stdout
    assert (job / "status").read_text().split()[0] == "Stopped"
    assert (job / "record/secondary_status").read_text() == "MaxRuntimeExceeded\n"
    assert (job / "model/saved").read_text() == "in the handler"
    assert (job / "model.tar.gz").exists() and not (job / ".feeders").exists()


def test_a_job_that_ends_in_time_leaves_no_clock_behind(project):
    script(project, "print('short')")
    done = make(project, "train", "MAX_SECONDS=600", "ENGINE=sandbox")
    assert done.returncode == 0 and " Completed in " in done.stdout
    assert not (last_job(project) / "record/secondary_status").exists()
    assert eventually(lambda: processes(r"train\.sh|recipe\.sh", project) == [])


def test_a_deadline_holds_when_the_recipe_is_killed(project):
    script(project, WAIT)
    make(project, "recipe", "ENGINE=sandbox", "MAX_SECONDS=4")
    recipe = background(["bash", "recipes/train.sh"], project, text=False)
    assert any(line == b"ready\n" for line in recipe.stdout)
    os.kill(recipe.pid, signal.SIGKILL)
    recipe.wait()
    assert eventually(lambda: processes(r"train\.sh|recipe\.sh", project) == [])
    (job,) = jobs(project)
    assert (job / "model/saved").read_text() == "in the handler"
    recipe.stdout.close()
