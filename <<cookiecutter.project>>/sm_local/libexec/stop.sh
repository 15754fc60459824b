#!/usr/bin/env bash
# usage: make stop [STOP_GRACE=seconds]    stop this project's running jobs as StopTrainingJob does
#        stop.sh JOB    stop that one alone: `make watch` does, where the job's recipe was killed
# SIGTERM, and SIGKILL after the grace time: the one typed, else the one that the job was started
# with. Needs neither Python nor a valid job.yaml.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh
source sm_local/lib/record.sh
source sm_local/lib/process.sh
source sm_local/lib/sweep.sh
source sm_local/lib/docker.sh
source sm_local/libexec/running.sh

main() {
  local engine what job doubt noted='' found=0
  [[ ${STOP_GRACE:-0} =~ ^(0|[1-9][0-9]{0,5})$ ]] ||
    die "STOP_GRACE=$STOP_GRACE: must be a number of seconds"
  find_running
  while IFS=$'\t' read -r engine what job; do
    if is_shell "$job" || [[ ${1:-$job} != "$job" ]]; then continue; fi
    found=1
    if [[ $engine == recipe && -e output/$job/exit-code ]]; then
      say "$job has ended, and is being packed"
    else
      stop_one
    fi
  done < <(printf %s "$running")
  wait
  if find_doubt; then
    die "$engine does not answer, and $doubt may be running there;" \
      "start $engine, then 'make stop' again"
  fi
  sweep
  if [[ ${1-} ]]; then return 0; fi
  drop_all_parked
  if (( ! found )); then say "no job of this project is running"; fi
}

# stop_one: stop main's $job, which $engine knows as $what, in the background.
stop_one() {
  local grace dir=output/$job
  if [[ ${STOP_GRACE-} ]]; then
    grace=$STOP_GRACE
  elif recall stop_grace "$job" || recall cut_log "$job"; then
    grace=$value
  else
    grace=$(setting STOP_GRACE 120)
  fi
  say "stopping $job: SIGTERM now, SIGKILL in $grace s"
  # once: a recipe one of whose hosts has ended reads it meanwhile
  if [[ -d $dir && $job != "$noted" ]]; then
    noted=$job
    record status=Stopping
  fi
  case $engine in
    sandbox) stop_sandbox "$what" "$grace" ;;
    recipe) kill -TERM "$what" ;;
    *) "$engine" stop -t "$grace" "$what" > /dev/null ;;
  esac &
}

main "$@"
