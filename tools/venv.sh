#!/usr/bin/env bash
# usage: bash tools/venv.sh FOLDER    make the development environment of pyproject.toml; `ready` is written last
set -euo pipefail

main() {
  rm -rf "$1"
  if command -v uv > /dev/null; then
    uv venv --quiet "$1"
    VIRTUAL_ENV=$1 uv pip install --quiet --group dev
  else
    python3 -m venv "$1" || { echo "sm-local: python3 cannot make environments; 'sudo apt-get install python3-venv', or install uv" >&2; exit 1; }
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'    # --group is new there
    "$1/bin/python" -m pip install --quiet --group dev
  fi
  : > "$1/ready"
}

main "$@"
