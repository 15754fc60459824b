#!/usr/bin/env bash
# usage: bash sm_local/libexec/venv.sh        make sm_local/.venv, what the tool itself needs; a .venv of yours is not touched
#        bash sm_local/libexec/venv.sh aws    add what the verbs that talk to AWS need
# `ready` and `aws` are written last: what is half made is made again.
set -euo pipefail
source sm_local/lib/say.sh

main() {
  local venv=sm_local/.venv version
  alone
  if [[ $venv/${1:-ready} -nt sm_local/requirements${1:+-$1}.txt ]]; then return 0; fi      # another call has made it meanwhile
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

# alone: of two calls at once the second waits, or they would delete each other's work.
alone() {
  local lock=sm_local/.venv.lock other told='' tries=0
  until ( set -C; echo $$ > "$lock" ) 2> /dev/null; do
    [[ -w sm_local ]] || die "sm_local/ cannot be written; is it yours?"
    read -r other 2> /dev/null < "$lock" || other=''
    if [[ ! $other ]]; then
      if (( tries++ > 9 )); then rm -f "$lock"; die "$lock could not be written; is the disk full? Then make room and try again"; fi
    elif [[ $(ps -ww -p "$other" -o args= 2> /dev/null) != *venv.sh* ]]; then
      rm -f "$lock"                               # it was killed
      continue
    fi
    if [[ ! $told ]]; then told=1; say "another make is making sm_local/.venv; waiting for it"; fi
    sleep 0.2
  done
  trap 'rm -f sm_local/.venv.lock' EXIT
}

# add FILE: install what it lists.
add() {
  local install=(uv pip install --quiet --python sm_local/.venv/bin/python)
  if [[ -x sm_local/.venv/bin/pip ]]; then install=(sm_local/.venv/bin/python -m pip install --quiet --disable-pip-version-check); fi
  "${install[@]}" --requirement "sm_local/$1" ||
    die "sm_local/.venv was not made: the packages of sm_local/$1 did not come (above); try again, or set your index"
}

main "$@"
