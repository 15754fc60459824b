# shellcheck shell=bash
# What Docker and Podman have in common.
# Reads $engine, $image and $missing (what to do when the image is not here), which the recipe sets,
# $dir, $at, $job, $recipe, $rc, $input, $interrupt_grace, and $built where build.sh has set it.
# Sets $at, $mounts, $ids, $limits, $name, $unswept, and $field for its callers.
# shellcheck disable=SC2034,SC2154  # the recipe and folder.sh set what is read, and read the rest

mounts=()              # arguments of `run`
built=''               # the ID of the project's own image
parked=''              # a container that was made before the job and waits for it (parked.sh)
spoken=0               # bytes that it has printed before it was the job

# csv FIELD: set the caller's $field to it, quoted: --mount is CSV, and a field may hold a comma.
csv() { printf -v field '"%s"' "${1//\"/\"\"}"; }

# bind SOURCE TARGET [readonly]: mount the folder itself. --mount, because --volume would make a
# missing source.
bind() {
  local field source
  csv "source=$PWD/$1"
  source=$field
  csv "target=$2"
  mounts+=(--mount "type=bind,$source,$field${3:+,readonly}")
  remember_place "$1" "$2"
}

# on_host NAME: what follows is about one of several hosts.
on_host() { at=$dir/$1 mounts=(); }

# engine_stop SECONDS: SIGTERM, and SIGKILL after that time.
engine_stop() { containers && "$engine" stop -t "$1" "${ids[@]}"; }

# engine_kill: SIGKILL.
engine_kill() { containers && "$engine" kill "${ids[@]}"; }

# containers: set $ids to the job's containers; fails if there are none yet.
containers() {
  local file
  ids=()
  for file in "$dir/container-id" "$dir"/algo-*/container-id; do
    if [[ -s $file ]]; then ids+=("$(< "$file")"); fi
  done
  (( ${#ids[@]} ))
}

# limit WANTED: set $limits to so many open files, or to as many as we may have ourselves: an engine
# that cannot raise its own hard limit, which is mostly ours, refuses a job with more. Through a
# file, because a $( ) is a process.
limit() {
  local files
  ulimit -Hn > "$dir/record/open_files"
  read -r files < "$dir/record/open_files"
  if [[ $files == unlimited ]] || (( $1 < files )); then files=$1; fi
  limits=(--ulimit "nofile=$files:$files")
}

# own_network OPTION...: make the job's own network, in which DNS gives each host's address. $$ is
# in its name, as in the containers': an engine is shared, and another project may have a job of
# this name.
own_network() {
  remove_orphaned_networks
  "$engine" network create "$@" --label "sm-local.project=$PWD" --label "sm-local.job=$job" \
    --label "sm-local.recipe=$recipe" --label "sm-local.machine=$HOSTNAME" \
    "$job-$$" > /dev/null ||
    die "$engine made no network for $job;" \
      "another job with CREDENTIALS may have the one address 169.254.170.2"
  trap 'drop_network; forget_job' EXIT
}

# drop_network: remove the job's own network. Ctrl-C ends Podman at it, whatever is ignored,
# and then the next verb does it.
drop_network() {
  "$engine" network rm "$job-$$" > /dev/null 2>&1 ||
    "$engine" network rm "$job-$$" > /dev/null 2>&1 || {
    unswept=1
    say "the network $job-$$ is still there; '$engine network rm $job-$$' removes it"
  }
}

# remove_orphaned_networks: a recipe that was killed left its network behind, and with it the
# address 169.254.170.2. The engine itself refuses to remove one in use.
remove_orphaned_networks() {
  local network owner
  while read -r network owner; do
    if has_died "$owner"; then "$engine" network rm "$network" > /dev/null 2>&1 || true; fi
  done < <("$engine" network ls -f "label=sm-local.machine=$HOSTNAME" \
    --format '{{.Name}} {{.Label "sm-local.recipe"}}')
}

# checkpoints_name: set $name to the container's name while it uses opt/ml/checkpoints. Names are
# unique on an engine, so of two jobs on one folder, whatever their names, the engine itself refuses
# the second.
checkpoints_name() {
  local path=$PWD/opt/ml/checkpoints sum
  if [[ -L opt || -L opt/ml || -L opt/ml/checkpoints ]]; then
    path=$(cd opt/ml/checkpoints && pwd -P)
  fi
  checksum "$path"
  name=sm-local-checkpoints-$sum
}

# checksum TEXT: set the caller's $sum to a number of 32 bits, without a process.
checksum() {
  local LC_ALL=C text=$1 code i      # bytes, in every locale
  sum=5381
  for (( i = 0; i < ${#text}; i++ )); do
    printf -v code %d "'${text:i:1}"
    sum=$(( (sum * 33 + (code & 255)) & 0xffffffff ))
  done
}

# look_again COMMAND...: the client has ended with $rc, and a client is not the container. Run it
# again where a killed one's container had the name; follow a container that lives.
look_again() {
  local id='' tries=0
  # an engine that has removed it needs a moment more to give the name away
  while (( rc == 125 && tries++ < 5 )) && [[ ! -s $at/container-id ]] && is_name_taken &&
    remove_dead_holder; do
    if (( tries > 1 )); then sleep 0.2; fi
    rc=0
    { "$@" < "$input" 2>&3 3>&- || rc=$?; } 3>&2 2> /dev/null
  done
  if (( rc != 125 && rc <= 128 )) || [[ ! -s $at/container-id ]]; then return 0; fi
  read -r id < "$at/container-id" || true       # it has no newline
  if [[ $("$engine" inspect --format '{{.State.Running}}' "$id" 2> /dev/null) == true ]]; then
    # nobody can type into it any more
    if [[ $input == /dev/tty ]]; then engine_stop "$interrupt_grace" > /dev/null 2>&1 || true; fi
    follow "$id"
  elif ! "$engine" ps --quiet > /dev/null 2>&1; then
    { echo "$rc" > "$dir/record/silent"; } 2> /dev/null || true
  fi
}

# follow CONTAINER: stand in for a client that has died: print what is not in the log yet, and set
# $rc to the container's exit status.
follow() {
  local have code
  sleep 0.2                           # the log may lag behind
  have=$(wc -c < "$at/log") || have=0
  # not said here, where it would be in the log, perhaps in the middle of a line
  { echo "$rc" > "$dir/record/client"; } 2> /dev/null || true
  { "$engine" logs --follow "$1" 2>&1 | tail -c "+$((spoken + have + 1))"; } &
  code=$("$engine" wait "$1" 2> /dev/null) || true
  if [[ $code =~ ^[0-9]+$ ]]; then rc=$code; fi
  wait
}

# wait_for_containers: until those of the job have ended.
wait_for_containers() {
  if containers; then "$engine" wait "${ids[@]}" > /dev/null 2>&1 || true; fi
}

# is_name_taken: does the client say so? Its words are still on their way here.
is_name_taken() {
  local error='' twentieths=0
  until [[ -s $at/engine-error ]] || (( twentieths++ >= 20 )); do sleep 0.05; done
  { IFS= read -r -d '' error < "$at/engine-error"; } 2> /dev/null || true
  [[ $error == *'already in use'* ]]
}

# remove_dead_holder: remove the container that has our name if it does not run and nobody will
# start it, since its recipe is dead, or if it waits for a job (parked.sh). It may be gone by now:
# somebody has swept, or the engine is at it, which takes it a moment.
remove_dead_holder() {
  local state='' recipe='' tries=0
  local format='{{.State.Status}} {{index .Config.Labels "sm-local.recipe"}}'
  while read -r state recipe < <(exec "$engine" container inspect --format "$format" "$name" \
    2> /dev/null); do
    case $state in
      '') return 0 ;;                 # Docker prints an empty line then
      created | configured | initialized | exited | stopped | dead)
        if ! has_died "$recipe"; then return 1; fi
        "$engine" rm -f -v "$name" > /dev/null 2>&1 || true ;;
      removing | stopping) ;;
      running) take_idle_holder || return 1 ;;
      *) return 1 ;;
    esac
    if (( tries++ >= 20 )); then return 1; fi
    sleep 0.1
  done
}

# take_idle_holder: remove the container that has our name if it is parked in a project of ours. A
# job that takes it and this remove its folder from there by a rename: one of them gets it.
take_idle_holder() {
  local id='' project='' found='' idle
  local format='{{.Id}} {{index .Config.Labels "sm-local.project"}}'
  read -r id project < <(exec "$engine" container inspect --format "$format" "$name" 2> /dev/null)
  idle=$project/output/.parked
  read -r found 2> /dev/null < "$idle/ready/record/parked"
  if [[ ! $id || $found != "$id" ]] || ! mv -fT "$idle/ready" "$idle/idle-$job" 2> /dev/null; then
    return 1
  fi
  read -r found < "$idle/idle-$job/record/parked"      # it may be another one by now
  "$engine" rm -f -v "$found" > /dev/null 2>&1
  rm -rf "$idle/idle-$job"
  [[ $found == "$id" ]]
}

# need_image: for verbs that can wait; a job's refusal is explained when it comes.
need_image() {
  "$engine" image inspect "${built:-$image}" > /dev/null 2>&1 ||
    die "image '$image' is not here; $missing"
}

# name_holder CONTAINER: set the caller's $holder to its job. One that was parked has no such label.
# shellcheck disable=SC2016  # the engine expands what is in single quotes
name_holder() {
  local id kind format='{{.Id}} {{range $key, $value := .Config.Labels}}'
  format+='{{if eq $key "sm-local.job"}}job {{$value}}{{end}}'
  format+='{{if eq $key "sm-local.parked"}}parked {{$value}}{{end}}{{end}}'
  read -r id kind holder < <(exec "$engine" inspect --format "$format" "$1" 2> /dev/null) || true
  if [[ $kind == parked ]]; then
    holder=$(grep -lsx "$id" output/*/container-id | head -n 1) || true
    holder=${holder#output/}
    holder=${holder%%/*}
    if [[ ! $holder ]]; then kind="a container that is parked for a next job"; fi
  fi
  holder=${kind:-a job that has just ended}${holder:+ $holder}
  holder=${holder/#parked /job }
}

# explain_refusal ERROR: die with the engine's words, and what to do.
explain_refusal() {
  local holder
  case $1 in
    *'No such image'* | *'image not known'*)
      die "image '$image' is not here; $missing" ;;
    *'is already in use by'*)
      holder=${1#*\"}
      holder=${holder%%\"*}
      name_holder "${holder#/}"
      die "opt/ml/checkpoints is in use by $holder; wait for it, or 'make stop'" ;;
    *'port is already allocated'* | *'address already in use'*)
      [[ $1 =~ [0-9.]+:[0-9]+ ]] || true
      die "$engine cannot publish ${BASH_REMATCH[0]:-a port}, which is in use;" \
        "choose another port: DEBUG_PORT of 'make debug', or that in DOCKER_ARGS" ;;
    *'could not select device driver'* | *'nknown runtime'* | *'unknown or invalid runtime'* | \
      *nvidia* | *'CDI'*)
      die "$engine cannot hand out a GPU (${1#*: });" \
        "'make doctor' says why, 'make train GPU=none' runs without" ;;
    *'failed to mount local volume'* | *'mount overlay'*)
      die "$engine cannot overlay a channel here (${1##*: });" \
        "'make train CHANNELS=ro' mounts channels read-only" ;;
    *) die "$engine did not start the job: ${1:-see above}" ;;
  esac
}
