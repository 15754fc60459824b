#!/usr/bin/env bash
# usage: parked.sh    print when the container ends that is parked for the next job, in seconds
# since 1970, and how many MB its process has; nothing where none is parked
set -euo pipefail
source sm_local/lib/environment.sh

main() {
  local id='' end='' process size='?' key value
  { read -r id && read -r end; } 2> /dev/null < output/.parked/ready/record/parked || return 0
  process=$(docker inspect --format '{{.State.Pid}}' "$id" 2> /dev/null) || return 0
  while read -r key value _; do
    if [[ $key == VmRSS: ]]; then size=$((value / 1024)); fi
  done 2> /dev/null < "/proc/$process/status" || true
  echo "$end $size"
}

main "$@"
