"""Refuse bad answers before anything is rendered.

Standard library only: cookiecutter's own Python runs this.
"""

import difflib
import json
import os
import re
import sys

answers = json.loads(r"""
<< cookiecutter | tojson >>
""")

IMAGE = (
    r"[a-z0-9][A-Za-z0-9._/-]*(:[0-9]+/[A-Za-z0-9._/-]+)?(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?"
)


def check_project(name):
    """Return what is wrong with a project name: it has to work as folder, image and job name."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 40:
        return (
            f"project is {name!r}; write lower-case letters, digits and single hyphens, "
            "at most 40, such as churn-model"
        )
    return None


def check_region(name):
    """Return what is wrong with a region.

    _regions is the first column of sm_local/registries.tsv; a test compares them.
    """
    if name in answers["_regions"]:
        return None
    near = difflib.get_close_matches(name, answers["_regions"], 3)
    return f"region is {name!r}; " + (
        f"did you mean {' or '.join(near)}?" if near else "write one such as us-west-2"
    )


def check_image(question, name):
    """Return what is wrong with an image name."""
    if not re.fullmatch(IMAGE, name) or (question == "dlc" and ":" not in name):
        return f"{question} is {name!r}; write an image name with a tag, such as python:3.12-slim"
    return None


def check_folder():
    """Return why a project that is here is not baked over: -f would overwrite its files."""
    if any(map(os.path.lexists, (".sm-local.json", "job.yaml", "sm_local"))):
        return (
            f"{answers['project']} is here already, and a bake would overwrite what you changed; "
            f"'make upgrade' in it brings the new version"
        )
    return None


problems = [
    check_folder(),
    check_project(answers["project"]),
    check_region(answers["region"]),
    check_image("dlc", answers["dlc"]),
    check_image("base_image", answers["base_image"]),
]
for problem in filter(None, problems):
    print(f"sm-local: {problem}", file=sys.stderr)
if any(problems):
    sys.stderr.flush()
    sys.exit(1)
