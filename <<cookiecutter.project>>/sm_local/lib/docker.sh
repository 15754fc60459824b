# shellcheck shell=bash
# What only Docker does.
# Reads $at, $rc. Adds to $mounts.
# shellcheck disable=SC2154  # $at is folder.sh's, $rc is job.sh's

# cow SOURCE TARGET NAME: mount the folder as SageMaker mounts a File channel: writable, and the
# job's alone. Writes go to the job's folder, the source stays as it is, nothing is copied.
cow() {
  local field path options mount upper="$PWD/$at/cow/$3"
  overlay_path "$PWD/$1"
  options=lowerdir=$path
  overlay_path "$upper"
  options=$options,upperdir=$path/upper,workdir=$path/work
  csv "volume-opt=o=$options"
  mount=type=volume,target=$2,volume-driver=local,volume-nocopy
  mounts+=(--mount "$mount,volume-opt=type=overlay,volume-opt=device=overlay,$field")
  remember_place "$1" "$2"
}

# out_of_memory: did the kernel kill something in the job's container because its memory was used
# up? The container is gone, but not the event. --until takes whole seconds; the next one is at most
# a second away.
out_of_memory() {
  local event
  event=$(docker events --since "$((SECONDS + 5))s" --until "$(($(date +%s) + 1))" \
    --filter event=oom --filter "container=$(< "$at/container-id")" 2> /dev/null)
  [[ $event ]]
}

# started: did a container run? When it could not be made or started, the client says so and exits
# with 125.
started() { [[ -s $at/container-id ]] && ! [[ $rc == 125 && -e $at/engine-error ]]; }
