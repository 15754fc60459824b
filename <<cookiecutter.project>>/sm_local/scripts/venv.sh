#!/usr/bin/env bash
# usage: bash sm_local/scripts/venv.sh    make sm_local/.venv, what the tool itself needs; a .venv of yours is not touched
# `ready` is written last: a half made environment is made again.
set -euo pipefail
source sm_local/bash/say.sh

main() {
  local venv=sm_local/.venv
  say "making $venv (once, a few seconds)"
  rm -rf "$venv"
  if command -v uv > /dev/null; then
    uv venv --quiet --python python3 "$venv"
    uv pip install --quiet --python "$venv/bin/python" --requirement sm_local/requirements.txt
  else
    command -v python3 > /dev/null || die "python3 is not on PATH; install Python 3.9 or newer"
    python3 -c 'import ensurepip' 2> /dev/null || die "python3 has no ensurepip; 'sudo apt-get install python3-venv', or install uv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement sm_local/requirements.txt
  fi
  : > "$venv/ready"
}

main "$@"
