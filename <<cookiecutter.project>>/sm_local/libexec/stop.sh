#!/usr/bin/env bash
# usage: make stop [STOP_GRACE=seconds]    stop this project's running jobs as StopTrainingJob does: SIGTERM, then SIGKILL
# The grace time is the one typed, else the one that the job was started with. Needs neither Python nor a valid job.yaml.
set -euo pipefail
source sm_local/lib/say.sh
source sm_local/libexec/running.sh

main() {
  local grace engine what job doubt noted='' found=0
  [[ ${STOP_GRACE:-0} =~ ^(0|[1-9][0-9]{0,5})$ ]] || die "STOP_GRACE=$STOP_GRACE: must be a number of seconds"
  find_running
  while IFS=$'\t' read -r engine what job; do
    if is_shell "$job"; then continue; fi
    found=1
    if [[ $engine == recipe && -e output/$job/exit-code ]]; then say "$job has ended, and is being packed"; continue; fi
    grace=${STOP_GRACE:-$(told stop_grace "$job" || true)}
    grace=${grace:-$(setting STOP_GRACE 120)}
    say "stopping $job: SIGTERM now, SIGKILL in $grace s"
    if [[ -d output/$job && $job != "$noted" ]]; then      # once: a recipe one of whose hosts has ended reads it meanwhile
      noted=$job
      { echo Stopping > "output/$job/status"; } 2> /dev/null || true      # the disk may be full
    fi
    case $engine in
      sandbox) stop_sandbox "$what" "$grace" ;;
      recipe) kill -TERM "$what" ;;
      *) "$engine" stop -t "$grace" "$what" > /dev/null ;;
    esac &
  done < <(printf %s "$running")
  wait
  if find_doubt; then die "$engine does not answer, and $doubt may be running there; start $engine, then 'make stop' again"; fi
  if (( ! found )); then say "no job of this project is running"; fi
}

main "$@"
