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
  if (( rc <= 128 )); then return 0; fi
  drop_volumes_of "label=sm-local.job=$job"
  # those of a parked one (parked.sh) have the name of the job before
  if [[ $parked ]]; then drop_volumes_of label=sm-local.parked; fi
}

# drop_volumes_of FILTER: remove this project's volumes that no container has.
drop_volumes_of() {
  local id
  while read -r id; do
    docker volume rm "$id" > /dev/null 2>&1 || true
  done < <(exec docker volume ls -q -f dangling=true -f "label=sm-local.project=$PWD" -f "$1" \
    2> /dev/null)
}

# started: did a container run? Where it could not be made there is none; where it could not be
# started, the client exits with 125, as a script may.
started() { [[ -s $at/container-id ]] && { (( rc != 125 )) || ! never_started; }; }
