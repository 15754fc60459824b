# shellcheck shell=bash
# The job without a container engine: util-linux namespaces in which the job's folders are /opt/ml. This machine's programs
# run there in a clean environment; the rest of /opt stays visible. Linux only.

mounts=()              # three words a mount: how, the source, the target under /opt/ml

# bind SOURCE TARGET [readonly]
bind() { mounts+=("${3:-bind}" "$PWD/$1" "$2"); }

# cow SOURCE TARGET NAME
cow() { mounts+=("cow:$PWD/$dir/cow/$3" "$PWD/$1" "$2"); }

# in_namespaces HOSTNAME SHM [--net]: sets $sandbox, the command in front of the job's own. --net: no network but itself.
in_namespaces() {
  sandbox=(unshare --mount --pid --uts --ipc ${3:+"$3"})
  if (( EUID )); then sandbox+=(--user --map-root-user); fi
  mkdir "$dir/stage"
  sandbox+=(bash "$dir/recipe.sh" inside "$PWD/$dir" "$1" "$2" "${mounts[@]}" --)
}

# inside FOLDER HOSTNAME SHM MOUNT... -- COMMAND...: the recipe's other half. The first process it starts is process 1 of
# the namespace; `unshare --fork` would do that too, but makes status 1 of a SIGKILL. Bash's own word on a dead child is
# not part of the log.
inside() {
  exec 3>&2 2> /dev/null
  set +e
  ( set -e; exec 2>&3 3>&-; process_one "$@" )
  exit $?
}

# process_one: as inside. Runs as root of the new namespaces and becomes COMMAND.
process_one() {
  local folder=$1 hostname=$2 shm=$3 stage=$1/stage entry name self
  shift 3
  mount -t tmpfs -o mode=755 sm-local "$stage"
  for entry in /opt/* /opt/.[!.]*; do
    name=${entry##*/}
    if [[ -L $entry ]]; then cp -P "$entry" "$stage/$name"
    elif [[ $name == ml ]]; then continue
    elif [[ -d $entry ]]; then mkdir "$stage/$name"; mount --rbind "$entry" "$stage/$name"
    elif [[ -e $entry ]]; then : > "$stage/$name"; mount --bind "$entry" "$stage/$name"; fi
  done
  while [[ $1 != -- ]]; do mount_piece "$1" "$2" "$stage${3#/opt}"; shift 3; done
  shift
  { cat /etc/hosts; echo "127.0.0.1 algo-1 $hostname"; } > "$stage/.hosts"
  mount --bind "$stage/.hosts" /etc/hosts
  read -r self _ < /proc/self/stat                # this process as the machine outside sees it
  mount --rbind "$stage" /opt
  mount -t tmpfs -o "size=$shm" shm /dev/shm 2> /dev/null || true
  mount -t proc proc /proc 2> /dev/null || true   # forbidden inside some containers, where all the rest works
  if command -v ip > /dev/null; then ip link set lo up 2> /dev/null || true; fi
  hostname "$hostname"                            # /proc/sys/kernel/hostname is not writable in a user namespace
  cd /
  echo "$self" > "$folder/container-id"
  exec "$@"
}

# mount_piece HOW SOURCE TARGET
mount_piece() {
  local path options
  if [[ -d $2 ]]; then mkdir -p "$3"; else mkdir -p "${3%/*}"; : > "$3"; fi
  if [[ $1 == cow:* ]]; then
    overlay_path "$2"; options=lowerdir=$path
    overlay_path "${1#cow:}"; options+=,upperdir=$path/upper,workdir=$path/work
    if mount -t overlay -o "$options" overlay "$3" 2> /dev/null; then return 0; fi
    if mount -t overlay -o "$options,userxattr" overlay "$3" 2> /dev/null; then return 0; fi
    echo "sm-local: channel ${3##*/} is read-only: this machine cannot overlay it" >&2
  fi
  mount --bind "$2" "$3"
  if [[ $1 != bind ]]; then mount -o remount,bind,ro "$3"; fi
}

# engine_stop SECONDS: to process 1 of the namespace; `unshare` hands no signal on.
engine_stop() {
  local first tenths=0
  read -r first < "$dir/container-id" || return 1
  kill -TERM "$first"
  while kill -0 "$first" 2> /dev/null && (( tenths++ < $1 * 10 )); do sleep 0.1; done
  kill -KILL "$first" 2> /dev/null || true
}

engine_kill() { kill -KILL "$(< "$dir/container-id")"; }

# started: the number of the job's process is written when all is in place.
started() { [[ -s $dir/container-id ]]; }

out_of_memory() { return 1; }                     # nothing tells

explain_refusal() { die "the sandbox could not be set up (${1:-see above}); 'make doctor' says more"; }

# lock_checkpoints: a second job on the folder is refused; the kernel lets go when the last process of the job has ended.
lock_checkpoints() {
  exec 7< opt/ml/checkpoints
  flock -n 7 || die "opt/ml/checkpoints is in use by another job; wait for it, or 'make stop'"
}

# drop_scratch: what only the running job needed.
drop_scratch() { rm -rf "$dir/cow" "$dir/stage"; }
