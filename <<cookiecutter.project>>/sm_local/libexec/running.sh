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
  local file line value='' pattern="^[[:space:]]*$1[[:space:]]*=[[:space:]]*(.*)"
  for file in settings.env settings.local.env; do
    if [[ ! -f $file ]]; then continue; fi
    while IFS= read -r line || [[ $line ]]; do
      if [[ $line =~ $pattern ]]; then value=${BASH_REMATCH[1]}; fi
    done < "$file"
  done
  value=${value%"${value##*[![:space:]]}"}
  echo "${value:-$2}"
}

# find_running: set $running, which has open shells too, and $silent. -P: labels have the folder's
# own path, even where a link led here.
find_running() {
  cd -P . || exit 1
  find_containers
  find_taken
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

# find_taken: add the containers that were parked before their job was known: no label names it.
find_taken() {
  local job id parked there=''
  while read -r job; do
    { read -r parked < "output/$job/record/parked" && read -r id < "output/$job/container-id"; } \
      2> /dev/null || continue
    if [[ $id != "$parked" ]]; then continue; fi
    if [[ ! $there ]]; then list_parked; fi
    if [[ $there == *$id* ]]; then running+=docker$'\t'$id$'\t'$job$'\n'; fi
  done < <(list_unfinished)
}

# list_parked: set the caller's $there to the containers that are parked, or were.
list_parked() {
  there=$(docker ps --all --no-trunc --quiet --filter "label=sm-local.project=$PWD" \
    --filter label=sm-local.parked 2> /dev/null)
}

# drop_all_parked: remove what waits for a next job; says so. A job's own container stays. The
# engine is asked in any case: whoever has deleted output/ has not removed the container.
drop_all_parked() {
  local id there=''
  if [[ $silent == *' docker'* ]] || ! command -v docker > /dev/null; then return 0; fi
  list_parked || return 0
  rm -rf output/.parked
  for id in $there; do
    if [[ $running == *"$id"* ]] || ! docker rm -f -v "$id" > /dev/null 2>&1; then continue; fi
    say "removed the container that was parked for the next job"
  done
  drop_volumes_of label=sm-local.parked
}

# find_sandboxes: add the processes that have a job's folder mounted.
find_sandboxes() {
  local stage id job mounts
  for stage in output/*/stage output/*/algo-*/stage; do
    if [[ ! -d $stage ]]; then continue; fi
    job=${stage#output/}
    job=${job%%/*}
    read -r id 2> /dev/null < "${stage%/stage}/container-id" || continue
    mounts=''
    { IFS= read -r -d '' mounts < "/proc/$id/mounts"; } 2> /dev/null || true
    if [[ $mounts == */"${stage#output/}"/* ]]; then
      running+=sandbox$'\t'$id$'\t'$job$'\n'
    fi
  done
}

# find_recipes: add the recipes whose job has no container yet, or none any more.
find_recipes() {
  local job process
  while read -r job; do
    if ! is_running "$job" && recipe_lives "$job"; then
      running+=recipe$'\t'$process$'\t'$job$'\n'
    fi
  done < <(list_unfinished)
}

# list_unfinished: print the jobs whose folders say that they run, a line each. One program looks
# at all of them: thousands may have ended.
list_unfinished() {
  printf '%s\0' output/*/status |
    xargs -0 grep -lsxE '(InProgress|Stopping) *' /dev/null |
    sed -e 's|^output/||' -e 's|/status$||'
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
  if [[ ! $silent ]]; then return 1; fi
  while read -r doubt; do
    if in_doubt "$doubt"; then return 0; fi
  done < <(list_unfinished)
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
