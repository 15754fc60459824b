"""Statements in the pages are compared with the code."""

import json
import re
import subprocess

import pytest
from conftest import REPO, TEMPLATE, clean_environment

PAGES = sorted(
    [
        *REPO.glob("*.md"),
        *REPO.glob("docs/*.md"),
        *REPO.glob("benchmarks/*.md"),
        TEMPLATE / "README.md",
        TEMPLATE / "opt/ml/README.md",
    ]
)
API = json.loads((TEMPLATE / "sm_local/request/api.json").read_text())["shapes"]


def make_help(folder) -> str:
    return subprocess.run(
        ["make", "help"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
    ).stdout


@pytest.mark.parametrize(
    "page", [REPO / "README.md", TEMPLATE / "README.md"], ids=["template", "project"]
)
def test_the_readmes_list_the_projects_verbs(page, project):
    assert f"```text\n{make_help(project)}```" in page.read_text()


def test_the_readme_lists_the_templates_verbs():
    assert f"```text\n{make_help(REPO)}```" in (REPO / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        there = page.parent / target if target else page
        assert there.exists(), target
        headings = [
            re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in there.read_text().splitlines()
            if line.startswith("#")
        ]
        assert not anchor or anchor in headings, anchor


def test_every_field_of_the_request_has_a_row():
    rows = "\n".join(
        re.findall(r"^\| (`.*?) \|", (REPO / "docs/request.md").read_text(), flags=re.MULTILINE)
    )
    named = set(re.findall(r"\w+", rows))
    wanted = set(API["CreateTrainingJobRequest"]["members"])
    for part in ("AlgorithmSpecification", "ResourceConfig", "Channel"):
        wanted |= set(API[part]["members"])
    assert wanted - named == {
        "SelectedInstanceType",
        "SelectedInstanceCount",
    }  # only Describe has them


def test_the_readmes_test_command_is_what_ci_runs():
    assert "`make test` runs the tests" in (REPO / "README.md").read_text()
    assert re.search(r"^  make test$", (REPO / ".ci/run").read_text(), flags=re.MULTILINE)


def test_every_module_has_its_row_in_the_design():
    text = (REPO / "docs/design.md").read_text()
    assert [
        path.name
        for path in (TEMPLATE / "sm_local").glob("*.py")
        if path.name not in ("__init__.py", "errors.py") and f"`{path.name}`" not in text
    ] == []


def test_the_transcript_of_a_failed_job_has_today_s_line_of_the_makefile():
    lines = (TEMPLATE / "Makefile").read_text().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.startswith("train:")) + 1
    assert f"make: *** [Makefile:{number}: train] Error 1\n" in (REPO / "README.md").read_text()


def test_the_tests_that_a_page_names_exist():
    text = "".join(path.read_text() for path in (REPO / "tests").glob("test_*.py"))
    page = (REPO / "docs/checks.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 20 and named - set(re.findall(r"^def (test_\w+)", text, re.M)) == set()
