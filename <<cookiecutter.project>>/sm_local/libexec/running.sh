# shellcheck shell=bash
# What the scripts know of running jobs: containers by their label, sandboxes and recipes by the process they left a note of.

# setting KEY DEFAULT: a setting's value, read without Python.
setting() {
  local value
  value=$(sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" settings.env settings.local.env 2> /dev/null | sed 's/[[:space:]]*$//' | tail -n 1)
  echo "${value:-$2}"
}

running='' silent=''   # a line each: engine, container or process, and job, between tabs; the engines that are here and do not answer

# find_running: sets $running, open shells too, and $silent. A recipe counts where it has no container, yet or any more.
# -P: labels have the folder's own path, whatever link led here.
find_running() {
  local engine found id job file
  cd -P . || exit 1
  for engine in docker podman; do
    if ! command -v "$engine" > /dev/null; then continue; fi
    found=$("$engine" ps --filter "label=sm-local.project=$PWD" --format '{{.ID}} {{.Label "sm-local.job"}}' 2> /dev/null) || silent+=" $engine"
    while read -r id job; do
      if [[ $id ]]; then running+=$engine$'\t'$id$'\t'$job$'\n'; fi
    done < <(printf '%s\n' "$found")
  done
  for file in output/*/stage output/*/algo-*/stage; do
    if [[ ! -d $file ]]; then continue; fi
    job=${file#output/}; job=${job%%/*}
    read -r id 2> /dev/null < "${file%/stage}/container-id" || continue
    if grep -q "/${file#output/}/" "/proc/$id/mounts" 2> /dev/null; then running+=sandbox$'\t'$id$'\t'$job$'\n'; fi
  done
  for file in output/*/.recipe; do
    job=${file#output/}; job=${job%/*}
    if is_running "$job" || ! read -r id 2> /dev/null < "$file"; then continue; fi
    if [[ $(ps -ww -p "$id" -o args= 2> /dev/null) == *.sh ]]; then running+=recipe$'\t'$id$'\t'$job$'\n'; fi
  done
}

is_running() { [[ $running == *$'\t'"$1"$'\n'* ]]; }

is_shell() { grep -q '^# usage: bash recipes/shell.sh ' "output/$1/recipe.sh" 2> /dev/null; }

# told KEY JOB: what a job's recipe says of itself: its engine, none for the sandbox, or its stop_grace.
told() { sed -n "s/^  $1=\([a-z0-9]*\) .*/\1/p" "output/$2/recipe.sh" 2> /dev/null | head -n 1; }

# is_unfinished JOB: does its folder say that it runs? Killed recipes leave it so.
is_unfinished() {
  local status=''
  read -r status _ 2> /dev/null < "output/$1/status" || true
  [[ $status == InProgress || $status == Stopping ]]
}

# in_doubt JOB: may it be running, on an engine that does not answer? Sets $engine to that one.
in_doubt() {
  if [[ ! $silent ]] || ! is_unfinished "$1" || is_running "$1"; then return 1; fi
  engine=$(told engine "$1") || true
  [[ $engine && "$silent " == *" $engine "* ]]
}

# find_doubt: sets $doubt to the first job in doubt, and $engine.
find_doubt() {
  local folder
  for folder in output/*; do
    doubt=${folder#output/}
    if in_doubt "$doubt"; then return 0; fi
  done
  return 1
}

# stop_sandbox PROCESS SECONDS: what engine_stop does in a recipe, told by the process alone.
stop_sandbox() {
  local tenths=0
  kill -TERM "$1"
  while kill -0 "$1" 2> /dev/null && (( tenths++ < $2 * 10 )); do sleep 0.1; done
  kill -KILL "$1" 2> /dev/null || true
}
