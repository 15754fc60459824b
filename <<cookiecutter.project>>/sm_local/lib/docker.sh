# shellcheck shell=bash
# What is Docker's own.

# cow SOURCE TARGET NAME: the folder as a File channel is on SageMaker: writable, and nobody else's. Writes go to the job's
# folder, the source stays as it is, nothing is copied.
cow() {
  local field path options upper="$PWD/$at/cow/$3"
  overlay_path "$PWD/$1"; options=lowerdir=$path
  overlay_path "$upper"; options=$options,upperdir=$path/upper,workdir=$path/work
  csv "volume-opt=o=$options"
  mounts+=(--mount "type=volume,target=$2,volume-driver=local,volume-nocopy,volume-opt=type=overlay,volume-opt=device=overlay,$field")
}

# out_of_memory: did the kernel kill something in the job's container for its memory? The container is gone, the event is not.
out_of_memory() {
  local event                                     # --until takes whole seconds; the next one is at most a second away
  event=$(docker events --since "$((SECONDS + 5))s" --until "$(($(date +%s) + 1))" --filter event=oom --filter "container=$(< "$at/container-id")" 2> /dev/null)
  [[ $event ]]
}

# started: did a container run? When it could not be made or started the client says so and exits with 125.
started() { [[ -s $at/container-id ]] && ! [[ $rc == 125 && -e $at/engine-error ]]; }
