# shellcheck shell=bash
# Which job a verb is about.
# Sets $job.
# shellcheck disable=SC2034  # the script that sources this reads $job

# choose_job NAME: set $job to the one that is named, with or without output/ and a host's folder,
# or to the one that started last.
choose_job() {
  job=${1#output/}
  job=${job%%/*}
  if [[ ! $1 ]]; then
    job=$(by_time | tail -n 1)
    job=${job##* }
    [[ $job ]] || die "no job has run yet; 'make train' runs one"
  fi
  [[ -f output/$job/status ]] || die "JOB=$1: there is no such job; 'make jobs' lists them"
}

# by_time: print time, number and name of each job, oldest first. By the time in the name: that of
# a folder changes with what is done in it.
by_time() {
  local job
  for job in output/*; do
    job=${job#output/}
    if [[ ! -f output/$job/status ]]; then continue; fi
    if [[ $job =~ -([0-9]{8}-[0-9]{6})(-([0-9]+))?$ ]]; then
      printf '%s %s %s\n' "${BASH_REMATCH[1]}" "${BASH_REMATCH[3]:-1}" "$job"
    else
      printf '0 1 %s\n' "$job"
    fi
  done | LC_ALL=C sort -k 1,1 -k 2,2n
}
