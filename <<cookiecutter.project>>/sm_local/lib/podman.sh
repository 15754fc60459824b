# shellcheck shell=bash
# What only Podman does.
# Reads $at, $rc. Adds to $mounts and $limits.
# shellcheck disable=SC2154  # folder.sh and job.sh set them

# cow SOURCE TARGET NAME: Podman's own overlay; what the job writes there goes with the container.
# --volume splits at colons, the kernel's overlay at commas; Podman quotes neither.
cow() {
  if [[ $PWD/$1 == *[:,\\]* ]]; then
    say "channel $3 is read-only: Podman overlays no path with a colon, a comma or a backslash"
    bind "$1" "$2" readonly
  else
    mounts+=(--volume "$PWD/$1:$2:O")
    remember_place "$1" "$2"
  fi
}

# started: did a container run? Podman leaves an id behind when its start failed, and says why in a
# last line, as a script may; it exits with 126 also when its runtime refuses all containers.
started() {
  local last
  if [[ ! -s $at/container-id ]]; then return 1; fi
  last=$(tail -n 1 "$at/log")
  case $rc-$last in
    125-'Error: '* | 126-'Error: OCI runtime error: '*)
      if ! never_started; then return 0; fi
      echo "$last" > "$at/engine-error"
      return 1 ;;
  esac
}

# limit_processes: Podman's default is the caller's own hard limit or pid_max. Where the other is
# less, and Podman may not raise limits, no container starts.
limit_processes() {
  local processes most
  if [[ ! -r /proc/sys/kernel/pid_max ]]; then return 0; fi
  processes=$(ulimit -Hu)
  read -r most < /proc/sys/kernel/pid_max
  if [[ $processes == unlimited ]] || (( most < processes )); then
    processes=$most
  fi
  limits+=(--ulimit "nproc=$processes:$processes")
}
