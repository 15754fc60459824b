"""Image names: registries, where Deep Learning Containers come from, their names here."""

import importlib.util
import json
import re
import zipfile
from pathlib import Path

import pytest
from conftest import REPO
from sm_local import images
from sm_local.errors import SmLocalError

DIGEST = "sha256:" + "0123456789ab" + "c" * 52
PYTORCH = "pytorch:2.13-cpu-amzn2023-sagemaker"
REGISTRIES = images.registries()


@pytest.mark.parametrize("region", sorted(REGISTRIES))
def test_every_region_has_a_host(region):
    registry = REGISTRIES[region]
    assert registry.region == region
    assert len(registry.dlc) == 12 and registry.dlc.isdigit()
    assert images.registry_host(region) == f"{registry.dlc}.dkr.ecr.{region}.{registry.suffix}"


def test_the_table_knows_the_regions_of_2026():
    assert len(REGISTRIES) >= 46
    assert REGISTRIES["us-west-2"] == images.Registry(
        "us-west-2", "amazonaws.com", "763104351884", "246618743249", "236514542706"
    )
    assert (
        images.registry_host("us-isob-east-1")
        == "094389454867.dkr.ecr.us-isob-east-1.sc2s.sgov.gov"
    )
    assert images.registry_host("cn-north-1") == "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn"


def test_dns_suffixes_are_those_of_botocore():
    botocore = pytest.importorskip("botocore")
    partitions = json.loads((Path(botocore.__file__).parent / "data/partitions.json").read_text())[
        "partitions"
    ]
    suffixes = {
        region: [
            one["outputs"]["dnsSuffix"]
            for one in partitions
            if re.match(one["regionRegex"], region)
        ]
        for region in REGISTRIES
    }
    assert suffixes == {region: [registry.suffix] for region, registry in REGISTRIES.items()}


@pytest.mark.parametrize(
    ("region", "hint"),
    [
        pytest.param("us-west2", "nearest: us-west-2, ", id="typo"),
        pytest.param("us-west-9", "nearest: us-west-2, us-west-1, ", id="no such number"),
        pytest.param("mars", "regions are written like us-west-2", id="nothing near"),
        pytest.param("", "regions are written like us-west-2", id="empty"),
    ],
)
def test_an_unknown_region_is_refused_with_the_way_out(region, hint):
    with pytest.raises(SmLocalError) as error:
        images.check_region(region)
    assert str(error.value).startswith(f"no registry is known for region {region!r}; {hint}")
    assert "DLC_REGISTRY=" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("dlc", "region", "override", "source", "local"),
    [
        pytest.param(
            PYTORCH,
            "",
            "",
            f"public.ecr.aws/deep-learning-containers/{PYTORCH}",
            f"sm-local/dlc/{PYTORCH}",
            id="gallery",
        ),
        pytest.param(
            PYTORCH,
            "eu-south-1",
            "",
            f"692866216735.dkr.ecr.eu-south-1.amazonaws.com/{PYTORCH}",
            f"sm-local/dlc/{PYTORCH}",
            id="region",
        ),
        pytest.param(
            PYTORCH,
            "",
            "127.0.0.1:5000",
            f"127.0.0.1:5000/{PYTORCH}",
            f"sm-local/dlc/{PYTORCH}",
            id="override",
        ),
        pytest.param(
            PYTORCH,
            "mars-1",
            "127.0.0.1:5000",
            f"127.0.0.1:5000/{PYTORCH}",
            f"sm-local/dlc/{PYTORCH}",
            id="override wins",
        ),
        pytest.param(
            "sagemaker-xgboost:3.2-0",
            "us-east-1",
            "",
            "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0",
            "sm-local/dlc/sagemaker-xgboost:3.2-0",
            id="a registry of its own",
        ),
        pytest.param(
            f"pytorch@{DIGEST}",
            "",
            "",
            f"public.ecr.aws/deep-learning-containers/pytorch@{DIGEST}",
            "sm-local/dlc/pytorch:sha256-0123456789ab",
            id="digest",
        ),
        pytest.param(
            f"{PYTORCH}@{DIGEST}",
            "",
            "",
            f"public.ecr.aws/deep-learning-containers/{PYTORCH}@{DIGEST}",
            "sm-local/dlc/pytorch:sha256-0123456789ab",
            id="tag and digest",
        ),
        pytest.param(
            "ghcr.io/me/mine:1",
            "us-west-2",
            "",
            "ghcr.io/me/mine:1",
            "ghcr.io/me/mine:1",
            id="complete",
        ),
        pytest.param(
            "localhost:5000/mine:1",
            "",
            "x.y",
            "localhost:5000/mine:1",
            "localhost:5000/mine:1",
            id="complete with a port",
        ),
    ],
)
def test_a_container_has_a_source_and_a_local_name(dlc, region, override, source, local):
    assert (images.dlc_source(dlc, region, override), images.dlc_local(dlc)) == (source, local)


@pytest.mark.parametrize(
    "dlc",
    [
        "",
        "pytorch",
        "pytorch:",
        "pytorch:2.13 cpu",
        "PyTorch:2.13",
        "pytorch:2.13\n",
        "me/mine:1",
        "ghcr.io/mine",
        "x$(y).z/a:1",
        "pytorch@sha256:12",
        ":2.13",
        "pytorch:-1",
    ],
)
def test_a_malformed_name_is_refused(dlc):
    for function in (images.dlc_source, images.dlc_local):
        with pytest.raises(
            SmLocalError,
            match=(
                "write repository:tag, such as pytorch:2.13-cpu-amzn2023-sagemaker, or a "
                "complete name"
            ),
        ):
            function(dlc)


@pytest.mark.parametrize(
    "repo",
    [
        "huggingface-pytorch-training",
        "autogluon-training",
        "autogluon",
        "pytorch-training-neuronx",
        "pytorch-trcomp-training",
        "sagemaker-scikit-learn",
        "mxnet-training",
    ],
)
def test_what_is_not_in_the_gallery_asks_for_a_region(repo):
    with pytest.raises(
        SmLocalError, match=f"^{repo} is not in the public gallery; .*make pull-dlc REGION="
    ):
        images.dlc_source(f"{repo}:1")
    assert images.dlc_source(f"{repo}:1", "us-west-2").endswith(
        f".dkr.ecr.us-west-2.amazonaws.com/{repo}:1"
    )


def test_a_group_without_a_registry_in_the_region_is_refused():
    with pytest.raises(
        SmLocalError, match="^sagemaker-xgboost has no registry in me-west-1; .*DLC_REGISTRY="
    ):
        images.dlc_source("sagemaker-xgboost:3.2-0", "me-west-1")


@pytest.mark.parametrize(
    ("source", "override", "login"),
    [
        pytest.param(
            f"public.ecr.aws/deep-learning-containers/{PYTORCH}", "", ("", ""), id="gallery"
        ),
        pytest.param(
            f"727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/{PYTORCH}",
            "",
            ("727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            id="the host knows its region",
        ),
        pytest.param(
            "127.0.0.1:5000/pytorch:1",
            "127.0.0.1:5000",
            ("127.0.0.1:5000", "us-west-2"),
            id="override",
        ),
        pytest.param("ghcr.io/me/mine:1", "", ("", ""), id="not ECR"),
        pytest.param(
            "ghcr.io/me/mine:1", "127.0.0.1:5000", ("", ""), id="complete beside an override"
        ),
    ],
)
def test_only_ecr_gets_a_login(source, override, login):
    assert images.dlc_login(source, "us-west-2", override) == login


@pytest.mark.parametrize(
    ("image", "known"),
    [
        (f"sm-local/dlc/{PYTORCH}", True),
        (f"public.ecr.aws/deep-learning-containers/{PYTORCH}", True),
        (f"692866216735.dkr.ecr.eu-south-1.amazonaws.com/{PYTORCH}", True),
        ("246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:3.2-0", True),
        ("123456789012.dkr.ecr.us-west-2.amazonaws.com/mine:1", False),
        ("public.ecr.aws/docker/library/python:3.12", False),
        ("my-model:latest", False),
    ],
)
def test_is_dlc_knows_the_images_of_aws(image, known):
    assert images.is_dlc(image) is known


# tools/refresh_registries.py


@pytest.fixture
def refresh(monkeypatch):
    """Return the tool as a module."""
    spec = importlib.util.spec_from_file_location(
        "refresh_registries", REPO / "tools/refresh_registries.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(folder, *maps):
    """Write a wheel with one configuration file for each region → account map."""
    path = folder / "sagemaker_core-9.9.9-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sagemaker_core-9.9.9.dist-info/METADATA", "")
        for number, one in enumerate(maps):
            archive.writestr(
                f"sagemaker/core/image_uri_config/{number}.json",
                json.dumps({"versions": {"1": {"registries": one}}}),
            )
    return path


DLC = {"us-east-1": "763104351884", "cn-north-1": "727897471807"}
XGBOOST = {"us-east-1": "683313688378"}
OLD = (
    "# region\tdns_suffix\tdlc\tsklearn_xgboost\tbase_python\n"
    "cn-north-1\tamazonaws.com.cn\t727897471807\t-\t-\n"
)


def test_refresh_writes_a_line_a_region(refresh, tmp_path):
    table = tmp_path / "registries.tsv"
    assert (
        refresh.refresh(wheel(tmp_path, DLC, {"us-east-1": "763104351884"}, XGBOOST), table)
        == "2 regions from sagemaker-core 9.9.9"
    )
    assert table.read_text() == (
        "# region\tdns_suffix\tdlc\tsklearn_xgboost\tbase_python\t(sagemaker-core 9.9.9)\n"
        "cn-north-1\tamazonaws.com.cn\t727897471807\t-\t-\n"
        "us-east-1\tamazonaws.com\t763104351884\t683313688378\t-\n"
    )


@pytest.mark.parametrize(
    ("maps", "complaint"),
    [
        pytest.param(
            [DLC, {**DLC, "cn-north-1": "727897471808"}],
            "two images disagree about cn-north-1: 727897471807 and 727897471808",
            id="disagree",
        ),
        pytest.param(
            [{**DLC, "us-west-2": "76310435188"}],
            "the account of us-west-2 is '76310435188', not 12 digits",
            id="11 digits",
        ),
        pytest.param([XGBOOST], "known before, and now lost: cn-north-1 (dlc)", id="lost"),
        pytest.param(
            [{**DLC, "xx-new-north-1": "727897471807"}],
            "no DNS suffix is known for xx-new-north-1",
            id="partition",
        ),
    ],
)
def test_refresh_refuses_and_leaves_the_old_file(
    refresh, tmp_path, monkeypatch, capsys, maps, complaint
):
    table = tmp_path / "registries.tsv"
    table.write_text(OLD)
    monkeypatch.setattr(refresh, "TABLE", table)
    assert refresh.main([str(wheel(tmp_path, *maps))]) == 1
    assert complaint in capsys.readouterr().err
    assert (table.read_text(), sorted(path.name for path in tmp_path.glob("*registries*"))) == (
        OLD,
        ["registries.tsv"],
    )


@pytest.mark.parametrize("content", [None, b"no wheel"])
def test_refresh_refuses_what_is_no_wheel(refresh, tmp_path, monkeypatch, capsys, content):
    monkeypatch.setattr(refresh, "TABLE", tmp_path / "registries.tsv")
    if content:
        (tmp_path / "x.whl").write_bytes(content)
    assert refresh.main([str(tmp_path / "x.whl")]) == 1
    assert "registries.tsv is as it was" in capsys.readouterr().err
