#!/usr/bin/env bash
# usage: make jobs    what ran, when (UTC, in the name), how it ended; newest last. Needs neither Python nor a valid job.yaml.
set -euo pipefail
source sm_local/scripts/running.sh

row() { printf '%-44s %-11s %5s %8s  %s\n' "$@"; }

main() {
  local folder job status seconds code running
  running=$'\n'$(running_jobs | cut -f 3)$'\n'
  row JOB STATUS EXIT SECONDS FOLDER
  for folder in output/*; do                      # not */, which would put job-2 before job
    seconds=- code=-
    job=${folder#output/}
    if [[ ! -f $folder/status ]]; then continue; fi
    read -r status seconds < "$folder/status" || true
    if [[ -f $folder/exit-code ]]; then read -r code < "$folder/exit-code"; fi
    if [[ $status == InProgress || $status == Stopping ]] && [[ $running != *$'\n'$job$'\n'* ]]; then status=Abandoned; fi
    row "$job" "$status" "$code" "${seconds:--}" "$folder"
  done
}

main "$@"
