#!/usr/bin/env bash
# usage: make clean [YES=1]    delete all jobs' folders and generated files, after showing them; asks first
set -euo pipefail
source sm_local/lib/say.sh
source sm_local/libexec/running.sh

main() {
  local path doomed=() answer=${1-} why
  refuse_while_something_runs
  for path in output/*/ recipes sm_local/.venv sm_local/__pycache__; do
    if [[ -e $path && $path != output/before-* ]]; then doomed+=("${path%/}"); fi      # those are a person's own
  done
  for path in opt/ml/model opt/ml/output; do
    if [[ -L $path ]]; then doomed+=("$path"); fi
  done
  if (( ! ${#doomed[@]} )); then say "nothing to clean"; exit 0; fi
  du -sh "${doomed[@]}" 2> /dev/null || true      # it cannot look into every folder
  if [[ $answer != [1yY]* ]]; then
    [[ -t 0 ]] || die "that would be deleted; 'make clean YES=1' deletes it without asking"
    read -r -p 'delete these? [y/N] ' answer
    [[ $answer == [yY]* ]] || die "nothing deleted"
  fi
  why=$(rm -rf "${doomed[@]}" 2>&1) || not_deleted "$why"
  mkdir -p opt/ml/model
}

refuse_while_something_runs() {
  local engine what job doubt
  find_running
  while IFS=$'\t' read -r engine what job; do
    is_shell "$job" || die "a job is running; 'make stop' ends it"
    case $engine in sandbox | recipe) what="kill -9 $what" ;; *) what="$engine kill $what" ;; esac
    die "a shell is open in output/$job; leave it, or end it with '$what'"
  done < <(printf %s "$running")
  if find_doubt; then die "$engine does not answer, and $doubt may be running there; start $engine, or 'rm -r output/$doubt' if it has ended"; fi
}

# not_deleted WHY: of what is left, whose is it?
not_deleted() {
  local left
  left=$(find "${doomed[@]}" -user 0 2> /dev/null | head -n 1) || true
  if [[ $left ]] && (( EUID )); then die "some files are root's ($left); 'make chown' gives them to you, then clean again"; fi
  left=$(find "${doomed[@]}" ! -user "$EUID" 2> /dev/null | head -n 1) || true
  [[ ! $left ]] || die "not all is deleted: $left is another user's; ask him"
  die "not all is deleted (${1%%$'\n'*}); 'chmod -R u+rwX output' may open what is closed, then clean again"
}

main "$@"
