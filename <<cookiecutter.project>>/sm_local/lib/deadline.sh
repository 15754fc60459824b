# shellcheck shell=bash
# MAX_SECONDS: a job's time, limited as StoppingCondition limits it on SageMaker. When it is over,
# the job is stopped as by StopTrainingJob, and its secondary status is MaxRuntimeExceeded
# (API:StoppingCondition, API:SecondaryStatus).
# Reads $dir, $job, $recipe, $stop_grace, $ending. Sets $why_stopped, $max_seconds.
# shellcheck disable=SC2034,SC2154  # the recipe and folder.sh set what is read; job.sh reads it

max_seconds=''         # so many

# limit_time SECONDS: from now on. Among the feeders: it ends with the job as they do, and has no
# answer.
limit_time() {
  max_seconds=$1
  sidecar feeders keep_time
}

# keep_time: the process itself. Nobody writes to its stdin, which ends with the job. If the recipe
# was killed meanwhile, it stops the job itself.
keep_time() {
  local status=0 began=$SECONDS
  read -r -t "$max_seconds" || status=$?
  # with Bash 3.2 a timeout has the status of an end
  if (( status <= 128 && (BASH_VERSINFO[0] > 3 || SECONDS - began < max_seconds) )); then
    return 0
  fi
  record secondary_status=MaxRuntimeExceeded
  say "the $max_seconds s are over: SIGTERM now, SIGKILL in $stop_grace s"
  if has_died "$recipe"; then
    engine_stop "$stop_grace" || true
  else
    kill -TERM $$
  fi
}

# drop_deadline: the job has ended; if that was why, let the verdict say so.
drop_deadline() {
  exec 5>&-
  rm -f "$dir/.feeders"
  if [[ $ending == 143 ]] && recall secondary_status "$job"; then
    why_stopped="$value, MAX_SECONDS=$max_seconds"
  else
    rm -f "$dir/record/secondary_status"
  fi
}
