"""The recipes of a dozen combinations, committed: a diff shows what a change does to the product.

UPDATE_RECIPES=1 make test ARGS=tests/test_golden.py    rewrites them; read the diff, then commit
"""

import os

import matrix
import pytest
from conftest import REPO

GOLDEN = REPO / "tests/recipes"
CHOSEN = [
    "train docker",
    "train docker checkpoints",
    "train docker from-s3",
    "train docker pipe",
    "train docker isolated",
    "train docker uploads files-of-2020",
    "train docker plain credentials",
    "train docker entrypoint docker-args",
    "train docker-with-gpu two-hosts mps",
    "train docker-cdi two-hosts split-gpus",
    "train docker groups limits",
    "train docker plain company",
    "train docker plain slices",
    "train docker checkpoints fast",
    "train desktop dlc",
    "train docker plain pdb",
    "train sandbox plain pdb",
    "train podman checkpoints",
    "train sandbox",
    "train sandbox shards manifests",
    "train sandbox shards slices",
    "debug docker",
    "debug docker two-hosts",
    "debug sandbox",
    "shell docker",
    "shell sandbox checkpoints",
    "build docker",
    "pull-dlc podman",
]


def body(text: str) -> str:
    """Return the comment that says what was decided, and what main() does."""
    return "".join(
        f"{line}\n"
        for line in [
            text.split("\n")[2],
            *text.split("main() {\n")[1].split("\n}\n")[0].split("\n"),
        ]
    )


@pytest.mark.parametrize("name", CHOSEN)
def test_recipe_is_the_committed_one(name, tmp_path, monkeypatch):
    matrix.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    text, path = body(matrix.write(*name.split())), GOLDEN / f"{name.replace(' ', '-')}.sh"
    if os.environ.get("UPDATE_RECIPES"):
        path.write_text(text)
    assert text == path.read_text()


def test_no_recipe_is_left_over():
    assert {path.name for path in GOLDEN.iterdir()} == {
        f"{name.replace(' ', '-')}.sh" for name in CHOSEN
    }
