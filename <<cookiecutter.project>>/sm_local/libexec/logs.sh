#!/usr/bin/env bash
# usage: make logs [JOB=output/NAME] [FOLLOW=1]    print the log of a job, or of the last
# FOLLOW prints on until the job has ended. Of several hosts, each line has its host's name.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh
source sm_local/lib/record.sh
source sm_local/lib/lines.sh
source sm_local/lib/process.sh
source sm_local/libexec/chosen.sh
source sm_local/libexec/running.sh

main() {
  local job dir
  choose_job "${1-}"
  dir=output/$job
  if [[ ${2-} ]]; then
    follow
  else
    print_logs
  fi
}

# print_logs: all that is there.
print_logs() {
  local host
  for host in "$dir"/algo-*; do
    if [[ -f $host/log ]]; then
      { cat "$host/log"; end_line "$host/log"; } | name_lines "${host##*/}"
    fi
  done
  if [[ -f $dir/log ]]; then cat "$dir/log"; fi
}

# follow: print the logs as they grow, and how the job ended.
follow() {
  local host readers=() reader
  until has_log || ! is_unfinished "$job"; do sleep 0.1; done
  trap 'kill "${readers[@]+"${readers[@]}"}" 2> /dev/null || true' EXIT
  for host in "$dir"/algo-*; do
    if [[ ! -d $host ]]; then continue; fi
    tail -n +1 -F "$host/log" 2> /dev/null > >(
      exec 2> /dev/null
      name_lines "${host##*/}" && end_line "$host/log"
    ) &
    readers+=($!)
  done
  if [[ -f $dir/log ]]; then
    tail -n +1 -f "$dir/log" &
    readers+=($!)
  fi
  until has_ended; do sleep 0.2; done
  sleep 0.5                           # tail looks once a second where it is not told of changes
  for reader in "${readers[@]+"${readers[@]}"}"; do kill "$reader" 2> /dev/null || true; done
  recall status "$job" || true
  say "$job: ${value%% *}"
}

# has_log: does one of the hosts have a log?
has_log() {
  local log
  for log in "$dir/log" "$dir"/algo-*/log; do
    if [[ -f $log ]]; then return 0; fi
  done
  return 1
}

# has_ended: it says so itself, or its recipe was killed and nothing of it runs.
has_ended() {
  local process
  if ! is_unfinished "$job"; then return 0; fi
  if recipe_lives "$job"; then return 1; fi
  running=''
  find_running
  ! is_running "$job" && ! in_doubt "$job"
}

main "$@"
