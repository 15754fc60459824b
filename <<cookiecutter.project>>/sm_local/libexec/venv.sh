#!/usr/bin/env bash
# usage: bash sm_local/libexec/venv.sh        make sm_local/.venv, what the tool itself needs
#        bash sm_local/libexec/venv.sh aws    add what the verbs that talk to AWS need
#        bash sm_local/libexec/venv.sh upgrade    add what `make upgrade` needs
# A .venv of yours is not touched. It is made as .venv.new.PID and renamed when it is complete: of
# two calls at once the first wins, and an interrupted one leaves nothing that matters. What is in
# bin/ has the old path then, but for python, and nothing else there is called.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh

venv=sm_local/.venv
new=$venv.new.$$
old=$venv.old.$$

main() {
  local mark=${1:-ready} list=requirements${1:+-$1}.txt
  if is_ready "$mark" "$list"; then return 0; fi
  [[ -w sm_local ]] || die "sm_local/ cannot be written; is it yours?"
  sweep
  trap 'rm -rf "$new" "$old"' EXIT
  if [[ $mark != ready && -e $venv/ready ]]; then
    say "adding $(packages "$list") to $venv (once, a few seconds)"
    cp -RPp "$venv" "$new"
  else
    say "making $venv (once, a few seconds)"
    make_new
    add requirements.txt
    : > "$new/ready"
  fi
  if [[ $mark != ready ]]; then
    add "$list"
    : > "$new/$mark"
  fi
  if ! is_ready "$mark" "$list"; then put_in_place; fi
}

# is_ready MARK LIST: has another call made it meanwhile?
is_ready() { [[ $venv/$1 -nt sm_local/$2 ]]; }

# packages LIST: print what it lists, without versions.
packages() {
  local names
  names=$(sed -n 's/^\([A-Za-z0-9_.-]*\)[<>=].*/\1/p' "sm_local/$1" | tr '\n' ' ')
  echo "${names% }"
}

# sweep: remove what interrupted calls left, known by a process that is gone.
sweep() {
  local folder
  for folder in "$venv".new.* "$venv".old.*; do
    if [[ -d $folder ]] && ! kill -0 "${folder##*.}" 2> /dev/null; then rm -rf "$folder"; fi
  done
}

# make_new: make an empty environment, or say what is missing.
make_new() {
  local version
  if command -v uv > /dev/null; then
    uv venv --quiet --python '>=3.9' "$new"
    return 0
  fi
  command -v python3 > /dev/null || die "python3 is not on PATH; install Python 3.9 or newer"
  version=$(python3 -c 'import sys
print("%d.%d" % sys.version_info[:2])
sys.exit(sys.version_info < (3, 9))') ||
    die "python3 is $version; install Python 3.9 or newer"
  python3 -c 'import ensurepip' 2> /dev/null ||
    die "python3 has no ensurepip; 'sudo apt-get install python3-venv', or install uv"
  [[ $(pwd -P) != *:* ]] ||
    die "Python makes no venv where the path has a colon; give $(pwd -P) another name," \
      "or install uv"
  python3 -m venv "$new"
}

# add LIST: install what it lists.
add() {
  local install=(uv pip install --quiet --python "$new/bin/python")
  if [[ -x $new/bin/pip ]]; then
    install=("$new/bin/python" -m pip install --quiet --disable-pip-version-check)
  fi
  "${install[@]}" --requirement "sm_local/$1" ||
    die "$venv was not made: the packages of sm_local/$1 did not come (above);" \
      "try again, or set your index"
}

# put_in_place: rename it. Not with mv, which would move it into a .venv that has just come.
put_in_place() {
  "$new/bin/python" - "$venv" "$old" "$new" << 'RENAME' || die "$venv could not be replaced (above)"
import contextlib, os, sys
venv, old, new = sys.argv[1:]
with contextlib.suppress(FileNotFoundError):
    os.rename(venv, old)
try:
    os.rename(new, venv)
except OSError:
    if not os.path.exists(venv + "/ready"):
        raise
RENAME
}

main "$@"
