#!/usr/bin/env bash
# usage: bash sm_local/scripts/venv.sh        make sm_local/.venv, what the tool itself needs; a .venv of yours is not touched
#        bash sm_local/scripts/venv.sh aws    add what the verbs that talk to AWS need
# `ready` and `aws` are written last: what is half made is made again.
set -euo pipefail
source sm_local/bash/say.sh

main() {
  local venv=sm_local/.venv version
  if [[ ${1-} == aws ]]; then
    say "adding boto3 to $venv (once, a few seconds)"
    add requirements-aws.txt
    : > "$venv/aws"
    return 0
  fi
  say "making $venv (once, a few seconds)"
  rm -rf "$venv"
  if command -v uv > /dev/null; then
    uv venv --quiet --python '>=3.9' "$venv"
  else
    command -v python3 > /dev/null || die "python3 is not on PATH; install Python 3.9 or newer"
    version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 9))') ||
      die "python3 is $version; install Python 3.9 or newer"
    python3 -c 'import ensurepip' 2> /dev/null || die "python3 has no ensurepip; 'sudo apt-get install python3-venv', or install uv"
    [[ $(pwd -P) != *:* ]] || die "Python makes no venv where the path has a colon; give $(pwd -P) another name, or install uv"
    python3 -m venv "$venv"
  fi
  add requirements.txt
  : > "$venv/ready"
}

# add FILE: install what it lists.
add() {
  local install=(uv pip install --quiet --python sm_local/.venv/bin/python)
  if [[ -x sm_local/.venv/bin/pip ]]; then install=(sm_local/.venv/bin/python -m pip install --quiet --disable-pip-version-check); fi
  "${install[@]}" --requirement "sm_local/$1" ||
    die "sm_local/.venv was not made: the packages of sm_local/$1 did not come (above); try again, or set your index"
}

main "$@"
