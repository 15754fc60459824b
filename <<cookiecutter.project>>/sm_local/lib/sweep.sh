# shellcheck shell=bash
# Jobs whose recipe was killed. Each job is in output/.open until it is closed, so that nobody has
# to search: one in there whose recipe does not live is left for libexec/sweep.sh.
# Sets $left.
# shellcheck disable=SC2154  # $value is record.sh's

left=()                # the jobs of killed recipes

# sweep: clear away what they have left; what runs stays. A process only where there is something.
sweep() {
  find_left
  if (( ${#left[@]} )); then bash -p sm_local/libexec/sweep.sh ${left[@]+"${left[@]}"} || true; fi
}

# sweep_beside: the same, in the background of a job that runs.
sweep_beside() {
  find_left
  if (( ! ${#left[@]} )); then return 0; fi
  ( set -m
    { trap '' TTOU; without_sidecars sweep; } < /dev/null > /dev/null & ) || true
}

# find_left: set $left; a colleague's jobs are the colleague's.
find_left() {
  local one      # not `job`: a signal's trap that comes now has these local variables
  left=()
  for one in output/.open/*; do
    one=${one##*/}
    if [[ ! -O output/$one ]]; then continue; fi
    # a recipe that was killed at once has recorded nothing else
    recall recipe "$one" || IFS= read -r value 2> /dev/null < "output/.open/$one" || true
    if has_died "$value"; then left+=("$one"); fi
  done
  if [[ -O output/.parked ]]; then find_outlived; fi
}

# find_outlived: add the folders in output/.parked that no job will take: their time is over, or who
# made them was killed.
find_outlived() {
  local folder end now
  find_now
  for folder in output/.parked/*/; do
    folder=${folder%/}
    end='' value=''
    { read -r _ && read -r end; } 2> /dev/null < "$folder/record/parked" || true
    read -r value 2> /dev/null < "$folder/record/parker" || true
    if (( ${end:-now} < now )) || has_died "$value"; then left+=("${folder#output/}"); fi
  done
}

# find_now: set the caller's $now to the seconds since 1970; by Bash itself where it can.
find_now() {
  if (( BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 402 )); then
    printf -v now '%(%s)T' -1
  else
    now=$(date +%s)
  fi
}
