# shellcheck shell=bash
# What the scripts know of running jobs: containers by their label, sandboxes and recipes by the
# process that is recorded in the job's folder.
# Reads lib/record.sh's $value. Sets $running, $silent, and $engine, $doubt and $process for its
# callers.
# shellcheck disable=SC2034,SC2154  # so shellcheck misses a use and an assignment here

running=''             # a line for each: engine, container or process, and job, between tabs
silent=''              # the engines that are here and do not answer, a blank in front of each

# setting KEY DEFAULT: print a setting's value, read without Python.
setting() {
  local value
  value=$(sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" \
    settings.env settings.local.env 2> /dev/null | sed 's/[[:space:]]*$//' | tail -n 1)
  echo "${value:-$2}"
}

# find_running: set $running, which has open shells too, and $silent. -P: labels have the folder's
# own path, even where a link led here.
find_running() {
  cd -P . || exit 1
  find_containers
  find_sandboxes
  find_recipes
}

# find_containers: add what the engines have.
find_containers() {
  local engine found id job
  for engine in docker podman; do
    if ! command -v "$engine" > /dev/null; then continue; fi
    found=$("$engine" ps --filter "label=sm-local.project=$PWD" --filter label=sm-local.job \
      --format '{{.ID}} {{.Label "sm-local.job"}}' 2> /dev/null) || silent+=" $engine"
    while read -r id job; do
      if [[ $id ]]; then running+=$engine$'\t'$id$'\t'$job$'\n'; fi
    done < <(printf '%s\n' "$found")
  done
}

# find_sandboxes: add the processes that have a job's folder mounted.
find_sandboxes() {
  local stage id job
  for stage in output/*/stage output/*/algo-*/stage; do
    if [[ ! -d $stage ]]; then continue; fi
    job=${stage#output/}
    job=${job%%/*}
    read -r id 2> /dev/null < "${stage%/stage}/container-id" || continue
    if grep -q "/${stage#output/}/" "/proc/$id/mounts" 2> /dev/null; then
      running+=sandbox$'\t'$id$'\t'$job$'\n'
    fi
  done
}

# find_recipes: add the recipes whose job has no container yet, or none any more.
find_recipes() {
  local folder job process
  for folder in output/*/record; do
    job=${folder#output/}
    job=${job%/*}
    if ! is_running "$job" && is_unfinished "$job" && recipe_lives "$job"; then
      running+=recipe$'\t'$process$'\t'$job$'\n'
    fi
  done
}

# recipe_lives JOB: does its recipe run, on this machine? Sets the caller's $process to its number.
recipe_lives() {
  local begun
  recall recipe "$1" || return 1
  process=${value%% *} begun=${value#* }
  lives "$process" "${begun%% *}" "${begun#* }"
}

# is_running JOB: is it in $running?
is_running() { [[ $running == *$'\t'"$1"$'\n'* ]]; }

# is_shell JOB: was it started by `make shell`?
is_shell() { recall verb "$1" && [[ $value == shell ]]; }

# is_unfinished JOB: does its folder say that it runs? Killed recipes leave it so.
is_unfinished() {
  recall status "$1" && [[ $value == InProgress || $value == Stopping ]]
}

# in_doubt JOB: may it be running, on an engine that does not answer? Sets $engine to that one.
in_doubt() {
  if [[ ! $silent ]] || ! is_unfinished "$1" || is_running "$1"; then return 1; fi
  recall engine "$1" || return 1
  engine=$value
  [[ "$silent " == *" $engine "* ]]
}

# find_doubt: set $doubt to the first job in doubt, and $engine.
find_doubt() {
  local folder
  for folder in output/*; do
    doubt=${folder#output/}
    if in_doubt "$doubt"; then return 0; fi
  done
  return 1
}

# stop_sandbox PROCESS SECONDS: what engine_stop does in a recipe, knowing the process alone.
stop_sandbox() {
  local tenths=0 began
  find_start "$1" || return 0
  began=$start
  kill -TERM "$1"
  while lives "$1" "$began" && (( tenths++ < $2 * 10 )); do sleep 0.1; done
  if lives "$1" "$began"; then kill -KILL "$1" 2> /dev/null || true; fi
}
