# shellcheck shell=bash
# The job without a container engine: util-linux namespaces in which the job's folders are /opt/ml.
# This machine's programs run there in a clean environment; the rest of /opt stays visible.
# Linux only.
# Reads $dir, $answer, $start. Sets $at, $mounts, $sandbox, $switch, $firsts.
# shellcheck disable=SC2034,SC2154  # other files set what is read here, and read $at

mounts=()              # three words a mount: how, the source, the target under /opt/ml
switch=''              # the process whose network namespace joins those of several hosts

# bind SOURCE TARGET [readonly]: mount the folder itself.
bind() {
  mounts+=("${3:-bind}" "$PWD/$1" "$2")
  remember_place "$1" "$2"
}

# cow SOURCE TARGET NAME: mount an overlay: what the job writes goes to the job's folder.
cow() {
  mounts+=("cow:$PWD/$at/cow/$3" "$PWD/$1" "$2")
  remember_place "$1" "$2"
}

# on_host NAME: what follows is about one of several hosts.
on_host() { at=$dir/$1 mounts=(); }

# in_namespaces HOSTNAME SHM NAMES [--net]: set $sandbox, the command in front of the job's own.
# NAMES: what /etc/hosts gets. --net: no network but itself.
in_namespaces() {
  sandbox=(unshare --mount --pid --uts --ipc ${4:+"$4"})
  if (( EUID )) && [[ ! $switch ]]; then sandbox+=(--user --map-root-user); fi
  sandbox+=(bash -p "$dir/recipe.sh" inside "$PWD/$at" "$1" "$2" "$3" "${mounts[@]}" --)
}

# make_switch: a network namespace with a bridge, and nothing else of this machine's network.
make_switch() {
  local make=(unshare --net)
  if ! command -v ip > /dev/null || ! command -v nsenter > /dev/null; then
    no_switch "'ip' of iproute2 or 'nsenter' of util-linux is not here"
  fi
  if (( EUID )); then make+=(--user --map-root-user); fi
  make+=(bash -pc 'ip link add switch type bridge && ip link set switch up && echo $$
    exec cat > /dev/null')
  sidecar switch exec "${make[@]}" 2> /dev/null
  switch=$answer
  [[ $switch ]] || no_switch "this machine lets nobody make network namespaces and bridges"
}

# no_switch REASON: die of it.
no_switch() {
  die "several hosts in the sandbox need network namespaces, and $1;" \
    "use ENGINE=docker or ENGINE=podman"
}

# on_switch NUMBER: put a network namespace of its own, 10.0.0.NUMBER on the switch, in front of
# $sandbox.
on_switch() {
  local join=(nsenter --target "$switch" --net)
  if (( EUID )); then join+=(--user --preserve-credentials); fi
  join+=(unshare --net bash -p "$dir/recipe.sh" plugged "$switch" "$1")
  sandbox=("${join[@]}" "${sandbox[@]}")
}

# plugged SWITCH NUMBER COMMAND...: in a new network namespace: connect it, and become COMMAND.
plugged() {
  ip link add eth0 type veth peer name "host$2" netns "$1"
  nsenter --target "$1" --net ip link set "host$2" master switch up
  ip address add "10.0.0.$2/24" dev eth0
  ip link set eth0 up
  exec "${@:3}"
}

# inside FOLDER HOSTNAME SHM NAMES MOUNT... -- COMMAND...: the recipe's other half. The first
# process it starts is process 1 of the namespace; `unshare --fork` would do that too, but makes
# status 1 of a SIGKILL. What Bash itself says about a child that was killed does not belong in the
# log.
inside() {
  exec 3>&2 2> /dev/null
  set +e
  (
    set -e
    exec 2>&3 3>&-
    process_one "$@"
  )
  exit $?
}

# process_one: as inside. Runs as root of the new namespaces and becomes COMMAND.
process_one() {
  local folder=$1 hostname=$2 shm=$3 names=$4 stage=$1/stage self
  shift 4
  mount -t tmpfs -o mode=755 sm-local "$stage"
  keep_opt "$stage"
  make_places "$stage" "$@"
  while [[ $1 != -- ]]; do
    mount_piece "$1" "$2" "$stage${3#/opt}"
    shift 3
  done
  shift
  name_hosts "$stage" "$names"
  read -r self _ < /proc/self/stat      # this process as the machine outside sees it
  find_start self
  mount --rbind "$stage" /opt
  mount_system "$shm"
  if command -v ip > /dev/null; then ip link set lo up 2> /dev/null || true; fi
  # not through /proc/sys/kernel/hostname, which is not writable in a user namespace
  hostname "$hostname"
  cd /
  printf '%s\n' "$start" > "$folder/.began"
  echo "$self" > "$folder/container-id"
  become "$@"
}

# mount_system SHM: give the job its own /dev/shm and /proc; forbidden inside some containers, where
# all the rest works.
mount_system() {
  mount -t tmpfs -o "size=$1" shm /dev/shm 2> /dev/null || true
  mount -t proc proc /proc 2> /dev/null || true
}

# name_hosts STAGE NAMES: show the job a file of names with these lines more.
name_hosts() {
  if [[ ! -e /etc/hosts ]]; then
    echo "sm-local: hosts have no names: this machine has no /etc/hosts" >&2
    return 0
  fi
  { cat /etc/hosts; printf '%s\n' "$2"; } > "$1/.hosts"
  mount --bind "$1/.hosts" /etc/hosts
}

# become COMMAND...: its word looked-up:NAME stands for that variable and its value.
become() {
  local word command=(exec)
  for word; do
    if [[ $word == looked-up:* ]]; then
      word=${word#*:}
      word=$word=${!word-}
    fi
    command+=("$word")
  done
  "${command[@]}"
}

# keep_opt STAGE: show there what this machine has in /opt, but for /opt/ml.
keep_opt() {
  local entry name
  for entry in /opt/* /opt/.[!.]*; do
    name=${entry##*/}
    if [[ -L $entry ]]; then
      cp -P "$entry" "$1/$name"
    elif [[ $name == ml ]]; then
      continue
    elif [[ -d $entry ]]; then
      mkdir "$1/$name"
      mount --rbind "$entry" "$1/$name"
    elif [[ -e $entry ]]; then
      : > "$1/$name"
      mount --bind "$entry" "$1/$name"
    fi
  done
}

# make_places STAGE MOUNT... -- COMMAND...: the folders to mount folders on, by one process.
make_places() {
  local stage=$1 folders=()
  shift
  while [[ $1 != -- ]]; do
    if [[ -d $2 ]]; then folders+=("$stage${3#/opt}"); fi
    shift 3
  done
  mkdir -p ${folders[@]+"${folders[@]}"}
}

# mount_piece HOW SOURCE TARGET: make one of $mounts. The folder it is mounted on may lie in another
# mount, where make_places has made none.
mount_piece() {
  local path options
  if [[ -d $2 ]]; then
    if [[ ! -d $3 ]]; then mkdir -p "$3"; fi
  else
    mkdir -p "${3%/*}"
    : > "$3"
  fi
  if [[ $1 == cow:* ]]; then
    overlay_path "$2"
    options=lowerdir=$path
    overlay_path "${1#cow:}"
    options+=,upperdir=$path/upper,workdir=$path/work
    if mount -t overlay -o "$options" overlay "$3" 2> /dev/null; then return 0; fi
    if mount -t overlay -o "$options,userxattr" overlay "$3" 2> /dev/null; then return 0; fi
    if [[ $1 == *+code ]]; then
      cp -pR "$2/." "${1#cow:}/upper"
      mount --bind "${1#cow:}/upper" "$3"
      return 0
    fi
    echo "sm-local: channel ${3##*/} is read-only: this machine cannot overlay it" >&2
  fi
  mount --bind "$2" "$3"
  if [[ $1 != bind ]]; then mount -o remount,bind,ro "$3"; fi
}

# engine_stop SECONDS: SIGTERM, and SIGKILL after that time, to process 1 of each host's namespace:
# `unshare` passes no signal on.
engine_stop() {
  local tenths=0
  first_processes || return 1
  kill -TERM "${firsts[@]}" 2> /dev/null || true
  while first_processes && (( tenths++ < $1 * 10 )); do sleep 0.1; done
  engine_kill || true
}

# engine_kill: SIGKILL.
engine_kill() { first_processes && kill -KILL "${firsts[@]}"; }

# first_processes: set $firsts to those of the job's hosts that run; fails if there are none yet.
first_processes() {
  local folder first
  firsts=()
  for folder in "$dir" "$dir"/algo-*; do
    if first_lives "$folder"; then firsts+=("$first"); fi
  done
  (( ${#firsts[@]} ))
}

# first_lives FOLDER: does that host's process 1 run? Sets the caller's $first.
first_lives() {
  local began=''
  first=''
  { read -r first < "$1/container-id"; read -r began < "$1/.began"; } 2> /dev/null || true
  [[ $first ]] && lives "$first" "$began"
}

# started: the number of the job's process is written when everything is in place.
started() { [[ -s $at/container-id ]]; }

# look_again COMMAND...: whoever started the job's process may have been killed without it.
look_again() {
  local first
  while first_lives "$at"; do sleep 0.2; done
}

# wait_for_containers: until the job's processes have ended.
wait_for_containers() { while first_processes; do sleep 0.2; done; }

# listen: nobody tells of the job here, but its terminal may be closed.
listen() {
  if [[ $watched ]]; then listener until_let_go; fi
}

# engine_gone: there is none.
engine_gone() { return 1; }

# out_of_memory: nothing reports it here.
out_of_memory() { return 1; }

# ended_outside: nor who ended the job.
ended_outside() { return 1; }

# explain_refusal ERROR: die with the words that were printed, and what to do.
explain_refusal() {
  die "the sandbox could not be set up (${1:-see above}); 'make doctor' says more"
}

# lock_checkpoints: refuse a second job on the folder; the kernel unlocks it when the last process
# of the job has ended.
lock_checkpoints() {
  exec 7< opt/ml/checkpoints
  flock -n 7 || die "opt/ml/checkpoints is in use by another job; wait for it, or 'make stop'"
}

# drop_scratch: remove what only the running job needed.
drop_scratch() {
  rm -rf "$dir/cow" "$dir/stage" "$dir/.began" \
    "$dir"/algo-*/cow "$dir"/algo-*/stage "$dir"/algo-*/.began
}

# The recipe's copy is the program inside the namespaces, too, which needs nothing but this file and
# those that are sourced before it.
case ${1-} in
  inside | plugged) "$@" ;;
esac
