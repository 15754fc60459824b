"""What a repository is expected to have: pinned actions, forms, attributes, a page for agents."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from conftest import REPO, TEMPLATE, clean_environment
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


def test_jobs_prints_json(project):
    from test_verbs import NO_ENGINE, leave_a_job

    def listed() -> list:
        return json.loads(
            subprocess.run(
                ["make", "jobs", "JSON=1"],
                cwd=project,
                capture_output=True,
                text=True,
                check=True,
                env=clean_environment(**NO_ENGINE),
            ).stdout
        )

    assert listed() == []
    leave_a_job(project)
    second = leave_a_job(project, "k-20260101-000000")
    (second / "exit-code").write_text("")
    (second / "status").write_text("")
    first = {"job": "j-20260101-000000", "status": "Completed", "exit_code": 0, "seconds": 3}
    unknown = {"job": second.name, "status": None, "exit_code": None, "seconds": None}
    assert listed() == [
        {**first, "sample": None, "folder": "output/j-20260101-000000"},
        {**unknown, "sample": None, "folder": f"output/{second.name}"},
    ]


def test_doctor_prints_json(project):
    command = ["make", "doctor", "JSON=1", "ENGINE=sandbox"]
    environment = clean_environment()
    done = subprocess.run(
        command, cwd=project, capture_output=True, text=True, check=False, env=environment
    )
    said = json.loads(done.stdout)
    assert said["engine"]["name"] == "sandbox" and said["missing"] == []
    assert list(said["lines"]) == ["engine", "GPU", "AWS CLI", "disk", "machine"]
