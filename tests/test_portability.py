"""macOS has Bash 3.2 of 2007, GNU Make 3.81 of 2006, and BSD's tools.

Nothing that runs there uses what is newer.
"""

import re

import matrix
import pytest
from conftest import REPO, TEMPLATE

ON_LINUX_ALONE = {
    "sandbox.sh",
    "overlay.sh",
    "pipe.sh",
    "mps.sh",
    "credentials.sh",
    "parked.sh",
}  # engines refuse elsewhere what these do
BASH_OF_LINUX = {"parked.sh"}  # 4.2 or newer: nothing is parked elsewhere

# what is newer, an example that the pattern finds, and one that it leaves alone
BASH = {
    "mapfile (4.0)": (r"\b(mapfile|readarray)\b", "mapfile -t lines < f", "map_file lines"),
    "case conversion (4.0)": (r"\$\{\w+(\[[^]]*\])?(,,?|\^\^?)", "${x,,}", "${x/,/ }"),
    "associative arrays (4.0)": (
        r"\b(declare|local|typeset)\s+-\w*A",
        "declare -A seen",
        "local -a seen",
    ),
    "namerefs (4.3)": (r"\b(declare|local|typeset)\s+-\w*n\b", "local -n ref=$1", "local n=1"),
    "wait -n (4.3)": (r"\bwait\s+-n", "wait -n", "wait $!"),
    "coproc (4.0)": (r"\bcoproc\b", "coproc cat", "# a co-process"),
    "&>> (4.0)": (r"&>>", "x &>> log", "x >> log 2>&1"),
    "|& (4.0)": (r"\|&", "x |& y", "x | y &"),
    "parameter transformation (4.4)": (r"\$\{\w+(\[[^]]*\])?@[A-Za-z]\}", "${x@Q}", "${x[@]}"),
    "printf of times (4.2)": (r"printf\b.*%(-?\d+)?\(", "printf '%(%F)T'", "printf '%s (x)'"),
    "[[ -v ]] (4.2)": (r"\[\[?\s+(!\s+)?-v\s", "[[ -v x ]]", "[[ -e v ]]"),
    "negative indexes (4.3)": (r"\$\{\w+\[\s*-\d", "${a[-1]}", "${a[0]}"),
    "negative lengths (4.2)": (r"\$\{\w+:[^}:]*:\s*-\d", "${x:0:-1}", "${x:-1}"),
    "fall-through in case (4.0)": (r";;&|(?<!;);&", "a) b ;;&", "a) b ;; c &"),
    "globstar, lastpipe (4.0, 4.2)": (
        r"shopt\s+-s\s+.*\b(globstar|lastpipe)\b",
        "shopt -s globstar",
        "shopt -s nullglob",
    ),
    "BASHPID, EPOCHSECONDS (4.0, 5.0)": (r"\$\{?(BASHPID|EPOCH\w+|SRANDOM)\b", "$BASHPID", "$PPID"),
    "automatic descriptors (4.1)": (r"(?<!\$)\{\w+\}[<>]", "exec {fd}> f", "${x}> f"),
    "read -N, -i (4.1, 4.0)": (r"\bread\s+(-\w+\s+)*-\w*[Ni]", "read -N 3 x", "read -r -n 3 x"),
}
MAKE = {
    ".ONESHELL (3.82)": (r"^\.ONESHELL", ".ONESHELL:", "# .ONESHELL"),
    "!= (4.0)": (r"^[\w.-]+\s*!=", "x != date", 'if [ "$$x" != y ]'),
    "$(file) (4.0)": (r"\$\(file\s", "$(file >x,y)", "$(files)"),
    "grouped targets (4.3)": (r"^[^#\t]*\s&:", "a b &: c", "a b: c"),
    "::= (4.0)": (r":::?=", "x ::= y", "x := y"),
    "undefine, private (3.82)": (
        r"^\s*(undefine|private)\s|:\s*private\s",
        "undefine x",
        "# private x",
    ),
    "$(let), $(intcmp), $(guile) (4.x)": (
        r"\$\((let|intcmp|guile)\s",
        "$(intcmp 1,2)",
        "$(letters)",
    ),
    ".SHELLSTATUS, .RECIPEPREFIX (4.2, 3.82)": (
        r"\.(SHELLSTATUS|RECIPEPREFIX)\b",
        "$(.SHELLSTATUS)",
        ".SHELLFLAGS",
    ),
}
TOOLS = {
    "sed -i without a suffix": (r"\bsed\s+(-\w+\s+)*-i(\s|$)", "sed -i s/a/b/ f", "sed -n p"),
    "readlink -f": (r"\breadlink\s+-\w*[fem]", "readlink -f x", "readlink x"),
    "date -d": (r"\bdate\s+(-u\s+)?(-d|--date)", "date -d yesterday", "date -u +%s"),
    "stat -c": (r"\bstat\s+(-c|--format|--printf)", "stat -c %s f", "stat f"),
    "grep -P": (r"\bgrep\s+(-\w+\s+)*-\w*P", "grep -oP x", "grep -E P"),
    "head -c -N, -n -N": (r"\bhead\s+-[cn]\s+-", "head -n -1", "head -n 1"),
    "xargs -r, -d": (r"\bxargs\s+(-\w+\s+)*-\w*[rd]\b", "xargs -r rm", "xargs -0 rm"),
    "long options of the file tools": (
        r"(?<![-\w])(cp|mkdir|ls|mktemp|ln|rm|du|sort|find)\s+(-\w+\s+)*--[a-z]",
        "cp --parents a b",
        "cp -- a b",
    ),
    "cp -l, sort -V, ln -r": (
        r"\bcp\s+-\w*l|\bsort\s+-\w*V|\bln\s+-\w*r",
        "cp -al a b",
        "cp -a l b",
    ),
    "what is Linux's alone": (
        r"(^|[|;&(]\s*|\bthen\s+|\bdo\s+)(timeout|setsid|flock|nproc|tac|shuf|numfmt|realpath)\s",
        "timeout 5 x",
        "# a timeout",
    ),
}


def code(text: str) -> list[tuple[int, str]]:
    """Return the lines that run, with their numbers."""
    lines = enumerate(re.sub(r"(^|\s)#\s.*", "", text, flags=re.MULTILINE).splitlines(), 1)
    return [(number, line) for number, line in lines if line.strip()]


def unguarded(text: str) -> list[tuple[int, str]]:
    """Return the lines that run in every Bash: not the one below a check of its version."""
    lines = code(text)
    return [
        line for before, line in zip([(0, ""), *lines], lines) if "BASH_VERSINFO" not in before[1]
    ]


def found(patterns: dict, text: str, name: str) -> list[str]:
    return [
        f"{name}:{number}: {what}: {line.strip()}"
        for what, (pattern, _, _) in patterns.items()
        for number, line in unguarded(text)
        if re.search(pattern, line)
    ]


ALL = {**BASH, **MAKE, **TOOLS}


@pytest.mark.parametrize(("pattern", "found_in", "not_in"), ALL.values(), ids=ALL)
def test_the_patterns_find_what_they_are_for(pattern, found_in, not_in):
    assert re.search(pattern, found_in) and not re.search(pattern, not_in)


SCRIPTS = [
    path
    for pattern in ("sm_local/libexec/*.sh", "sm_local/lib/*.sh", "container/train")
    for path in sorted(TEMPLATE.glob(pattern))
]
SCRIPTS += sorted(REPO.glob("tools/*.sh"))


def test_only_the_line_below_a_check_of_the_version_may_be_newer():
    guarded = "if (( BASH_VERSINFO[0] > 4 )); then\n  mapfile x\nfi\n"
    assert found(BASH, guarded, "x") == [] and found(BASH, guarded + "mapfile x\n", "x")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts(path):
    if path.name not in BASH_OF_LINUX:
        assert found(BASH, path.read_text(), path.name) == []
    if path.name not in ON_LINUX_ALONE:
        assert found(TOOLS, path.read_text(), path.name) == []


@pytest.mark.parametrize(
    "path", [TEMPLATE / "Makefile", REPO / "Makefile"], ids=["project", "template"]
)
def test_makefiles(path):
    assert found({**MAKE, **TOOLS}, path.read_text(), path.name) == []


@pytest.fixture
def furnished(tmp_path, monkeypatch):
    """Make the current folder a project with channels."""
    matrix.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("verb", ["train", "shell"])
@pytest.mark.parametrize("engine", ["docker", "desktop", "podman"])
def test_recipes(furnished, verb, engine):
    assert found({**BASH, **TOOLS}, matrix.write(verb, engine), "recipe") == []


def test_other_recipes(furnished):
    for verb in ("build", "pull-dlc"):
        assert found({**BASH, **TOOLS}, matrix.write(verb, "docker"), "recipe") == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_an_array_that_may_be_empty_is_not_expanded_bare(path):
    """Bash before 4.4 calls "${a[@]}" of an empty array an unbound variable."""
    text = path.read_text()
    empty = set(re.findall(r"\b(\w+)=\(\)", text)) - ALWAYS_FILLED
    bare = [name for name in empty if re.search(rf'(?<!\+)"\$\{{{name}\[@\]\}}"', text)]
    assert bare == []


# Declared empty, and filled wherever it is expanded: a job always has a config mount and a host.
ALWAYS_FILLED = {
    "mounts",
    "running",
    "ids",
    "firsts",
    "handback",
    "to_delete",
    "others",
    "entries",
    "full",
    "links",
    "in_code",
    "facts",
}
