# shellcheck shell=bash
# What only Docker does.
# Reads $at, $job, $rc, $parked. Adds to $mounts.
# shellcheck disable=SC2154  # $at and $job are folder.sh's, $rc is job.sh's, $parked container.sh's

# cow SOURCE TARGET NAME: mount the folder as SageMaker mounts a File channel: writable, and the
# job's alone. Writes go to the job's folder, the source stays as it is, nothing is copied.
cow() {
  local field path options mount upper="$PWD/$at/cow/$3"
  overlay_path "$PWD/$1"
  options=lowerdir=$path
  overlay_path "$upper"
  options=$options,upperdir=$path/upper,workdir=$path/work
  csv "volume-opt=o=$options"
  mount=type=volume,target=$2,volume-driver=local,volume-nocopy,$field
  csv "volume-label=sm-local.project=$PWD"
  mount+=,$field,volume-label=sm-local.job=$job
  mounts+=(--mount "$mount,volume-opt=type=overlay,volume-opt=device=overlay")
  remember_place "$1" "$2"
}

# drop_volumes: those of a container that somebody else removed stay.
drop_volumes() {
  local id
  if (( rc <= 128 )); then return 0; fi
  while read -r id; do
    docker volume rm "$id" > /dev/null 2>&1 || true
  done < <(exec docker volume ls -q -f "label=sm-local.job=$job" 2> /dev/null)
  if [[ $parked ]]; then drop_idle_volumes; fi
}

# drop_idle_volumes: those of containers that were parked and that an engine has removed as it was
# started again.
drop_idle_volumes() {
  local id
  while read -r id; do
    docker volume rm "$id" > /dev/null 2>&1 || true
  done < <(exec docker volume ls -q -f dangling=true -f label=sm-local.parked \
    -f "label=sm-local.project=$PWD" 2> /dev/null)
}

# started: did a container run? Where it could not be made there is none; where it could not be
# started, the client exits with 125, as a script may.
started() { [[ -s $at/container-id ]] && { (( rc != 125 )) || ! never_started; }; }
