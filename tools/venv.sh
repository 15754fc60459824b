#!/usr/bin/env bash
# usage: bash tools/venv.sh FOLDER [GROUP]    make the environment of a group of pyproject.toml
# GROUP is dev, or bake, which has cookiecutter alone.
# `ready` is written last.
set -euo pipefail

main() {
  local group=${2:-dev}
  rm -rf "$1"
  if command -v uv > /dev/null; then
    uv venv --quiet --seed "$1"       # with pip: tests call it
    VIRTUAL_ENV=$1 uv pip install --quiet --group "$group"
  else
    command -v python3 > /dev/null || die "python3 is not on PATH; install Python 3.10 or newer"
    python3 -c 'import ensurepip' 2> /dev/null || bash tools/apt.sh python3-venv ||
      die "python3 cannot make environments; 'sudo apt-get install python3-venv', or install uv"
    python3 -m venv "$1"
    # --group is new in 25.1
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
    "$1/bin/python" -m pip install --quiet --group "$group"
  fi
  : > "$1/ready"
}

die() {
  echo "sm-local: $1" >&2
  exit 1
}

main "$@"
