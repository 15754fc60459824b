#!/usr/bin/env bash
# usage: make clean [YES=1]    delete all jobs' folders and generated files, after showing them; asks first
set -euo pipefail
source sm_local/bash/say.sh
source sm_local/scripts/running.sh

main() {
  local path doomed=() answer=${1-}
  [[ ! $(running_jobs) ]] || die "a job is running; 'make stop' ends it"
  for path in output/*/ recipes sm_local/.venv sm_local/__pycache__; do
    if [[ -e $path ]]; then doomed+=("${path%/}"); fi
  done
  for path in opt/ml/model opt/ml/output; do
    if [[ -L $path ]]; then doomed+=("$path"); fi
  done
  if (( ! ${#doomed[@]} )); then say "nothing to clean"; exit 0; fi
  du -sh "${doomed[@]}"
  if [[ ! $answer ]]; then
    [[ -t 0 ]] || die "that would be deleted; 'make clean YES=1' deletes it without asking"
    read -r -p 'delete these? [y/N] ' answer
    [[ $answer == [yY]* ]] || die "nothing deleted"
  fi
  rm -rf "${doomed[@]}" || die "some files are root's; 'make chown' gives them to you, then clean again"
  mkdir -p opt/ml/model
}

main "$@"
