"""What becomes an argument of `docker run` or of mount: quoted, whatever is in a name."""

import csv

import pytest
from library import a_job, bash

NAMES = ["plain", "a b", "a,b", 'a"b"', "a:b", "a\\b", "é😀", "$HOME `x`", "a'b", 'a,"b":\\c']
CONTAINER = "lib/say lib/record lib/process lib/folder lib/container lib/overlay lib/docker"
at = pytest.mark.parametrize("name", NAMES)


@at
def test_csv_makes_one_field_of_anything(tmp_path, name):
    done = bash(tmp_path, "lib/container", 'csv "$1"; printf %s "$field"', name)
    assert next(csv.reader([done.stdout])) == [name]


@at
@pytest.mark.parametrize("how", ["", "readonly"])
def test_bind_mounts_the_folder_itself(tmp_path, name, how):
    done = bash(
        tmp_path,
        "lib/folder lib/container",
        'bind "$@"; printf "%s\\n" "${mounts[@]}"',
        name,
        "/t,t",
        *[how][: len(how)],
    )
    flag, fields = done.stdout.splitlines()
    assert (flag, next(csv.reader([fields]))) == (
        "--mount",
        ["type=bind", f"source={tmp_path}/{name}", "target=/t,t", *([how] if how else [])],
    )


@at
def test_an_overlay_s_path_is_escaped(tmp_path, name):
    done = bash(tmp_path, "lib/overlay", 'overlay_path "$1"; printf %s "$path"', name)
    parts = done.stdout.replace("\\\\", "\0")
    for character in ":,":
        assert parts.count(character) == parts.count("\\" + character)
    assert parts.replace("\\", "").replace("\0", "\\") == name


def test_cow_is_one_field_of_options(tmp_path):
    place = tmp_path / 'p,"q":'
    place.mkdir()
    body = 'job=j dir=output/j at=output/j; cow in /t n; printf "%s\\n" "${mounts[1]}"'
    done = bash(place, CONTAINER, body)
    fields = next(csv.reader([done.stdout.strip()]))
    (options,) = [field for field in fields if field.startswith("volume-opt=o=")]
    assert fields[5:7] == [f"volume-label=sm-local.project={place}", "volume-label=sm-local.job=j"]
    escaped = str(place).replace(",", "\\,").replace(":", "\\:")
    assert fields[:3] == ["type=volume", "target=/t", "volume-driver=local"]
    assert options == (
        f"volume-opt=o=lowerdir={escaped}/in,upperdir={escaped}/output/j/cow/n/upper,"
        f"workdir={escaped}/output/j/cow/n/work"
    )


@pytest.mark.parametrize(
    ("name", "mounts"),
    [
        ("plain", ["--volume", "{0}/in:/t:O"]),
        ("a:b", ["--mount", 'type=bind,"source={0}/in","target=/t",readonly']),
        ("a,b", ["--mount", 'type=bind,"source={0}/in","target=/t",readonly']),
        ("a\\b", ["--mount", 'type=bind,"source={0}/in","target=/t",readonly']),
    ],
)
def test_podman_overlays_what_it_can(tmp_path, name, mounts):
    place = tmp_path / name
    place.mkdir()
    body = 'cow in /t n; printf "%s\\n" "${mounts[@]}"'
    done = bash(place, "lib/say lib/folder lib/container lib/podman", body)
    assert done.stdout.splitlines() == [text.format(place) for text in mounts]
    assert done.stderr == (
        "sm-local: channel n is read-only: Podman overlays no path with a colon, a comma or a "
        "backslash\n"
        if name != "plain"
        else ""
    )


def test_the_sandbox_keeps_three_words_a_mount(tmp_path):
    done = bash(
        tmp_path,
        "lib/folder lib/sandbox",
        'dir=output/j; on_host algo-2; bind "a b" /opt/ml/x; bind c /opt/ml/y readonly; '
        "cow d /z n\n"
        'printf "%s\\n" "${mounts[@]}"',
    )
    assert done.stdout.splitlines() == [
        *["bind", f"{tmp_path}/a b", "/opt/ml/x"],
        *["readonly", f"{tmp_path}/c", "/opt/ml/y"],
        *[f"cow:{tmp_path}/output/j/algo-2/cow/n", f"{tmp_path}/d", "/z"],
    ]


@pytest.mark.parametrize(("hard", "given"), [("900", "900"), ("2000", "1000"), ("1000", "1000")])
def test_limit_is_what_is_wanted_or_what_we_may_have(tmp_path, hard, given):
    a_job(tmp_path)
    done = bash(
        tmp_path,
        "lib/container",
        f'dir=output/j; ulimit -Sn 500; ulimit -Hn {hard}; limit 1000; echo "${{limits[@]}}"',
    )
    assert done.stdout == f"--ulimit nofile={given}:{given}\n"


def test_one_checkpoint_folder_has_one_name_by_whatever_path(tmp_path):
    for project in ("a", "b", "c"):
        (tmp_path / project / "opt/ml").mkdir(parents=True)
    (tmp_path / "a/opt/ml/checkpoints").mkdir()
    (tmp_path / "b/opt/ml/checkpoints").symlink_to(tmp_path / "a/opt/ml/checkpoints")
    (tmp_path / "c/opt/ml/checkpoints").mkdir()
    names = [
        bash(tmp_path / project, "lib/container", 'checkpoints_name; echo "$name"', **locale).stdout
        for project, locale in (("a", {}), ("a", {"LC_ALL": "C"}), ("b", {}), ("c", {}))
    ]
    assert names[0] == names[1] == names[2] != names[3]
    assert names[0].startswith("sm-local-checkpoints-")


@at
def test_a_checksum_is_the_same_in_every_locale(tmp_path, name):
    sums = {
        bash(tmp_path, "lib/container", 'checksum "$1"; echo $sum', name, LC_ALL=locale).stdout
        for locale in ("C", "C.UTF-8", "POSIX")
    }
    assert len(sums) == 1 and 0 <= int(sums.pop()) < 1 << 32


def test_a_view_or_the_folder(tmp_path):
    (a_job(tmp_path) / "views/a").mkdir(parents=True)
    body = 'at=output/j; for c in a b; do view_or_folder $c data/$c; echo "$view"; done'
    done = bash(tmp_path, "lib/view", body)
    assert done.stdout.splitlines() == ["output/j/views/a", "data/b"]


def test_own_network_removes_those_of_recipes_that_are_gone(tmp_path):
    done = bash(
        tmp_path,
        "lib/say lib/process lib/container",
        """engine=fake
find_start $$
fake() {
  case $2 in
    ls)
      echo "mine $$ $start $HOSTNAME"
      echo "gone $$ 1$start $HOSTNAME"
      echo "elsewhere $$ 1$start $HOSTNAME-2"
      echo "another-tool-s " ;;
    rm) echo "$3" >> said ;;
  esac
}
remove_orphaned_networks; cat said""",
    )
    assert done.stdout == "gone\n"
