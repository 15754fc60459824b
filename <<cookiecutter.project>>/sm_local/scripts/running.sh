# shellcheck shell=bash
# What the scripts know of running jobs: containers by their label, sandboxes by the process they left a note of.

# setting KEY DEFAULT: a setting's value, read without Python.
setting() {
  local value
  value=$(cat settings.env settings.local.env 2> /dev/null | sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" | sed 's/[[:space:]]*$//' | tail -n 1)
  echo "${value:-$2}"
}

# running_jobs: engine, container or process, and job of each, between tabs. An engine that does not answer is passed over.
running_jobs() {
  local engine id job name file
  for engine in docker podman; do
    if ! command -v "$engine" > /dev/null; then continue; fi
    while read -r id job name; do
      if [[ $id && $name != *-shell ]]; then printf '%s\t%s\t%s\n' "$engine" "$id" "$job"; fi
    done < <("$engine" ps --filter "label=sm-local.project=$PWD" --format '{{.ID}} {{.Label "sm-local.job"}} {{.Names}}' 2> /dev/null || true)
  done
  for file in output/*/stage output/*/algo-*/stage; do
    if [[ ! -d $file ]]; then continue; fi
    job=${file#output/}; job=${job%%/*}
    read -r id < "${file%/stage}/container-id" || continue
    if grep -q "/${file#output/}/" "/proc/$id/mounts" 2> /dev/null; then printf 'sandbox\t%s\t%s\n' "$id" "$job"; fi
  done
}

# stop_sandbox PROCESS SECONDS: what engine_stop does in a recipe, told by the process alone.
stop_sandbox() {
  local tenths=0
  kill -TERM "$1"
  while kill -0 "$1" 2> /dev/null && (( tenths++ < $2 * 10 )); do sleep 0.1; done
  kill -KILL "$1" 2> /dev/null || true
}
