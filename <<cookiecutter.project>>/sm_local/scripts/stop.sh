#!/usr/bin/env bash
# usage: make stop [JOB_NAME=job]    stop this project's running jobs as StopTrainingJob does: SIGTERM, then SIGKILL
# Needs neither Python nor a valid job.yaml.
set -euo pipefail
source sm_local/bash/say.sh
source sm_local/scripts/running.sh

main() {
  local grace engine job what found=0
  grace=$(setting STOP_GRACE 120)
  while IFS=$'\t' read -r engine what job; do
    found=1
    say "stopping $job: SIGTERM now, SIGKILL in $grace s"
    if [[ -d output/$job ]]; then echo Stopping > "output/$job/status"; fi
    if [[ $engine == sandbox ]]; then stop_sandbox "$what" "$grace"; else "$engine" stop -t "$grace" "$what" > /dev/null; fi &
  done < <(running_jobs)
  if (( ! found )); then say "no job of this project is running"; fi
  wait
}

main "$@"
