"""EXPLAIN=1 and DRY_RUN=1: why a recipe has what it has, and what would run."""

import re
import shlex

import botocore.session
import matrix
import pytest
from conftest import REPO, clean_environment, jobs, make
from sm_local.verbs import explain, reasons
from test_golden import CHOSEN

CONTRACT = (REPO / "docs/contract.md").read_text()
TAGS = r"API|DG|captured|smdebug|TK|reports|tried|ours"
BY_MACHINE = ("build docker", "pull-dlc podman")  # nothing of SageMaker's is in them


@pytest.fixture
def texts(tmp_path, monkeypatch) -> dict[str, str]:
    """Return the recipes that are committed, whole."""
    matrix.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    return {name: matrix.write(*name.split()) for name in CHOSEN if name not in BY_MACHINE}


def to_explain(words: list[str], is_container: bool) -> set[str]:
    """Return what of a row needs a reason."""
    name, *rest = words or [""]
    if name == "write_config":
        return {rest[0]}
    if name in ("bind", "cow", "show_code"):
        return {rest[0] if name == "show_code" else rest[1]}
    if not is_container:
        return set()
    variables = {
        rest[at].partition("=")[0] for at, word in enumerate(words[:-1]) if word == "--env"
    }
    given = {word.partition("=")[0] for word in words if re.match(r"[A-Z]\w*=", word)}
    options = {word for word in words if re.fullmatch(r"--[a-z][a-z-]*|\$\{\w+\[@\]\}", word)}
    return variables | (given if "--env" not in words else set()) | options - {"--env"}


def test_every_part_of_the_contract_in_a_recipe_has_its_rule(texts):
    for name, text in texts.items():
        in_container = in_image = yours = False
        for row, found in explain.explained(text):
            words = shlex.split(row.rstrip("\\"))
            if not row.startswith("    "):
                in_container = "start_job" in words[:1] or "run" in words[1:3]
                in_image = yours = False
            said = {what for what, _ in found}
            if in_container and not in_image:
                missing = to_explain(words, True) - said - {"${sandbox[@]}"}
                if yours:  # DOCKER_ARGS: options alone, which may have any values
                    missing = {one for one in missing if one.startswith("--")}
                assert missing == set(), (name, row)
            else:
                assert to_explain(words, False) <= said, (name, row)
            yours = yours or "${mounts[@]}" in words
            in_image = in_image or bool({"$built", "churn:latest"} & set(words))


def test_every_function_that_a_recipe_calls_has_its_reason(texts):
    for name, text in texts.items():
        functions = explain.comments_of(re.findall(r"^source (\S+)", text, re.MULTILINE))
        for row, found in explain.explained(text):
            words = re.findall(r"\w+", row.partition("'")[0].partition('"')[0])
            if not row.startswith("    ") and words and words[0] in functions:
                assert found, (name, row)


def rules() -> set[reasons.Rule]:
    """Return all rules there are."""
    tables = (reasons.FILES, reasons.VARIABLES, reasons.ASKED_FOR, reasons.OPTIONS)
    tables = (*tables, reasons.CALLS, reasons.ASSIGNED, dict(reasons.PLACES), vars(reasons))
    found = [value for table in tables for value in table.values()]
    return {value for value in found if isinstance(value, reasons.Rule)}


def test_sources_are_those_of_the_contract():
    shapes = botocore.session.get_session().get_service_model("sagemaker").shape_names
    assert len(rules()) > 60
    for text, source in rules():
        assert text and re.fullmatch(rf"({TAGS})(:[\w-]+)?(, ({TAGS})(:[\w-]+)?)*", source), source
        assert set(re.findall(r"API:(\w+)", source)) <= set(shapes)
    for tag in re.findall(r"(\w+): ", reasons.SOURCES.replace("\n", " ")):
        assert tag == "ours" or re.search(rf"\b{tag}\b", CONTRACT, re.IGNORECASE), tag


@pytest.mark.parametrize("table", [reasons.FILES, reasons.VARIABLES], ids=["files", "variables"])
def test_the_table_says_what_the_page_says(table):
    """Whatever the page has a row for, with the sources of that row."""
    compared = 0
    for names, source in re.findall(r"^\| (`.*?) \| .* \| (.*?) \|$", CONTRACT, re.MULTILINE):
        for name in re.findall(r"`([\w.-]+)`", names):
            if name in table:
                found = set(re.findall(TAGS, table[name].source))
                assert found == set(re.findall(TAGS, source)), name
                compared += 1
    assert compared >= 6


# By the user's door


def test_a_dry_run_prints_and_makes_nothing(project):
    done = make(project, "train", "ENGINE=sandbox", "DRY_RUN=1")
    assert done.returncode == 0 and done.stdout.startswith("#!/usr/bin/env bash\n"), done.stdout
    *_, recipe_ends, last = done.stdout.splitlines()
    assert recipe_ends == 'main "$@"' and last.startswith("sm-local: dry run: sandbox ")
    assert last.endswith("; nothing was run, no folder was made")
    assert [path.name for path in (project / "output").iterdir()] == [".gitignore"]


def test_explain_prints_each_rule_and_its_source(project):
    done = make(project, "recipe", "VERB=train", "ENGINE=sandbox", "EXPLAIN=1")
    assert done.returncode == 0, done.stdout
    assert "DG: the Developer Guide" in done.stdout.split("\n\n")[0].replace("\n# ", " ")
    assert (
        '  bind "$at/model" /opt/ml/model\n'
        "      # /opt/ml/model: empty at the start; its content becomes model.tar.gz [DG]\n"
    ) in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if line.lstrip()[:1] == "#") <= 100
    assert not jobs(project)


def test_explain_and_dry_run_go_together_and_explain_alone_runs(project):
    both = make(project, "train", "ENGINE=sandbox", "EXPLAIN=1", "DRY_RUN=1").stdout
    assert "[DG]" in both and "sm-local: dry run: " in both and not jobs(project)
    alone = make(project, "train", "ENGINE=sandbox", "EXPLAIN=1").stdout
    assert "[DG]" in alone and " Completed in " in alone and len(jobs(project)) == 1


@pytest.mark.parametrize("verb", ["process", "shell", "build"])
def test_every_verb_with_a_recipe_can_be_dry(project, verb):
    done = make(project, verb, "ENGINE=sandbox", "DRY_RUN=1")
    assert done.returncode == 0 and "nothing was run" in done.stdout.splitlines()[-1]
    assert not jobs(project)


def test_a_dry_run_says_what_is_missing(project):
    (project / "job.yaml").write_text(
        "InputDataConfig: [{ChannelName: far, DataSource: {S3DataSource: "
        "{S3DataType: S3Prefix, S3Uri: 's3://bucket/far'}}}]\n"
    )
    done = make(project, "train", "ENGINE=sandbox", "DRY_RUN=1")
    assert done.returncode == 2 and "sm-local: channel far: s3://bucket/far is not here" in (
        done.stdout
    )
    assert "nothing was run" not in done.stdout and not jobs(project)


@pytest.mark.engine
def test_a_dry_run_looks_for_the_image(project, built):
    done = make(project, "train", "DRY_RUN=1", "IMAGE=nowhere/none:1")
    assert done.returncode == 2 and "sm-local: image 'nowhere/none:1' is not here; " in done.stdout
    assert make(project, "train", "DRY_RUN=1").returncode == 0 and not jobs(project)


def test_what_the_shell_exports_asks_for_no_dry_run(project):
    environment = clean_environment(DRY_RUN="1", EXPLAIN="1")
    done = make(project, "train", "ENGINE=sandbox", "HP=epochs=1", env=environment)
    assert " Completed in " in done.stdout and "[DG]" not in done.stdout


def test_a_verb_without_a_recipe_cannot_be_dry(project):
    (project / "output/j-20260101-000000").mkdir()
    (project / "output/j-20260101-000000/status").write_text("Completed 1\n")
    done = make(project, "clean", "YES=1", "DRY_RUN=1")
    assert done.returncode == 2 and len(jobs(project)) == 1
    assert "sm-local: DRY_RUN: only what has a recipe can be shown: train process" in done.stdout
