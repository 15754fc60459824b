"""What a repository is expected to have: pinned actions, forms, attributes, a page for agents."""

from __future__ import annotations

import re
import subprocess

import pytest
from conftest import REPO, TEMPLATE
from ruamel.yaml import YAML

WORKFLOWS = [
    *sorted((REPO / ".github/workflows").glob("*.yml")),
    *sorted((TEMPLATE / ".github/workflows").glob("*.yml")),
]


def load(path):
    return YAML(typ="safe", pure=True).load(path.read_text())


def test_there_are_workflows():
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "weekly.yml", "train.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_pins_actions_and_may_only_read(path):
    flow = load(path)
    assert flow["permissions"] == {"contents": "read"}
    steps = [step for job in flow["jobs"].values() for step in job["steps"]]
    used = re.findall(r"uses: (.*)", path.read_text())
    assert len(used) == sum("uses" in step for step in steps) > 0
    pinned = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [line for line in used if not pinned.fullmatch(line)] == []


def test_one_version_of_an_action_everywhere():
    used = {line for path in WORKFLOWS for line in re.findall(r"uses: (.*)", path.read_text())}
    assert len(used) == len({line.partition("@")[0] for line in used})


def test_the_issue_form_asks_for_the_doctor():
    form = load(REPO / ".github/ISSUE_TEMPLATE/bug.yml")
    fields = {field["id"]: field for field in form["body"]}
    assert "make doctor" in fields["doctor"]["attributes"]["label"]
    assert fields["doctor"]["validations"]["required"] is True


def test_dependabot_looks_where_there_is_something_to_update():
    for update in load(REPO / ".github/dependabot.yml")["updates"]:
        for folder in update["directories"]:
            assert (REPO / folder.strip("/")).is_dir(), folder


def test_reviews_fold_the_tool_and_nothing_else(project):
    subprocess.run(["git", "init", "--quiet", project], check=True)
    names = ["sm_local/plan.py", "sm_local/request/api.json", "code/train.py", "job.yaml"]
    done = subprocess.run(
        ["git", "check-attr", "linguist-generated", "--", *names],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    said = dict(line.split(": linguist-generated: ") for line in done.stdout.splitlines())
    assert said == dict(zip(names, ["set", "set", "unspecified", "unspecified"]))


def test_a_baked_project_has_the_pages_as_they_are(project):
    for name in ("AGENTS.md", "sm_local/README.md", ".github/workflows/train.yml"):
        assert (project / name).read_bytes() == (TEMPLATE / name).read_bytes()


@pytest.mark.parametrize(
    "page", [REPO / "AGENTS.md", TEMPLATE / "AGENTS.md"], ids=["template", "project"]
)
def test_the_page_for_agents_is_a_page_and_its_verbs_exist(page):
    text = page.read_text()
    assert len(text.splitlines()) <= 60
    verbs = set(re.findall(r"`make ([a-z-]+)", text)) - {"upgrade"}
    makefile = (page.parent / "Makefile").read_text()
    assert [verb for verb in verbs if not re.search(rf"^{verb}:", makefile, re.MULTILINE)] == []
