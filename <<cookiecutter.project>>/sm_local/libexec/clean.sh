#!/usr/bin/env bash
# usage: make clean [YES=1]    show all jobs' folders and generated files, ask, and delete them
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh
source sm_local/lib/record.sh
source sm_local/lib/process.sh
source sm_local/lib/sweep.sh
source sm_local/lib/docker.sh
source sm_local/libexec/running.sh

to_delete=()           # files and folders

main() {
  local answer=${1-} why
  refuse_while_something_runs
  sweep
  list_what_to_delete
  if (( ! ${#to_delete[@]} )); then
    say "nothing to clean"
    exit 0
  fi
  du -sh "${to_delete[@]}" 2> /dev/null || true       # it cannot look into every folder
  if [[ $answer != [1yY]* ]]; then
    [[ -t 0 ]] || die "that would be deleted; 'make clean YES=1' deletes it without asking"
    read -r -p 'delete these? [y/N] ' answer
    [[ $answer == [yY]* ]] || { say "nothing deleted"; exit 0; }
  fi
  drop_all_parked
  why=$(rm -rf "${to_delete[@]}" 2>&1) || not_deleted "$why"
  mkdir -p opt/ml/model
}

# list_what_to_delete: set $to_delete; output/before-* are files of yours that a job moved there.
list_what_to_delete() {
  local path
  for path in output/*/ output/.open output/.parked recipes sm_local/.venv sm_local/.venv.new.* \
    sm_local/.debugpy sm_local/.debugpy.new.* sm_local/__pycache__; do
    if [[ -e $path && $path != output/before-* ]]; then to_delete+=("${path%/}"); fi
  done
  for path in opt/ml/model opt/ml/output; do
    if [[ -L $path ]]; then to_delete+=("$path"); fi
  done
}

# refuse_while_something_runs: die if a job or a shell runs, or may run.
refuse_while_something_runs() {
  local engine what job doubt end
  find_running
  while IFS=$'\t' read -r engine what job; do
    is_shell "$job" || die "a job is running; 'make stop' ends it"
    case $engine in
      sandbox | recipe) end="kill -9 $what" ;;
      *) end="$engine kill $what" ;;
    esac
    die "a shell is open in output/$job; leave it, or end it with '$end'"
  done < <(printf %s "$running")
  if find_doubt; then
    die "$engine does not answer, and $doubt may be running there;" \
      "start $engine, or 'rm -r output/$doubt' if it has ended"
  fi
}

# not_deleted WHY: die with whose files are left.
not_deleted() {
  local left
  left=$(find "${to_delete[@]}" -user 0 2> /dev/null | head -n 1) || true
  if [[ $left ]] && (( EUID )); then
    die "some files are root's ($left); 'make chown' gives them to you, then clean again"
  fi
  left=$(find "${to_delete[@]}" ! -user "$EUID" 2> /dev/null | head -n 1) || true
  [[ ! $left ]] || die "not all is deleted: $left is another user's; ask them"
  die "not all is deleted (${1%%$'\n'*});" \
    "'chmod -R u+rwX output' may open what is closed, then clean again"
}

main "$@"
