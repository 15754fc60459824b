# shellcheck shell=bash
# Sidecars: processes that live as long as the job. The recipe holds the other end of a sidecar's
# stdin, and so does all that it starts, the job above all. Whoever is killed: the sidecar reads to
# the end of its stdin when the last of them has ended. No sidecar may hold another's.
#
#   descriptor  held by the recipe and the job
#   4           switch: the sandbox's network between hosts; with an engine, listener: what it says
#               of the job's containers
#   5           feeders: the programs that feed Pipe channels, all of them
#   6           credentials: their server
#   7           no sidecar: the lock of opt/ml/checkpoints (sandbox.sh)
#   8, 9        handback: the container that gives root's files back, and its answer
#
# Reads $dir. Sets $answer.
# shellcheck disable=SC2034,SC2154  # $dir is folder.sh's; other files read $answer

answer=''              # the first line that a sidecar printed; empty if it ended without one

# sidecar NAME COMMAND...: start one of the table; `exec PROGRAM` as COMMAND saves a process. Waits
# for its answer, but handback's comes at the end, and listener and feeders have none. Feeders share
# a FIFO. In a process group of its own: what is typed in the terminal is not for them.
sidecar() {
  local name=$1 in=$dir/.in out=$dir/.out
  shift
  answer=''
  case $name in
    feeders) in=$dir/.feeders out='' ;;
    listener) in=$dir/.listener out='' ;;
  esac
  if [[ ! -p $in ]]; then mkfifo "$in" ${out:+"$out"}; fi
  ( set -m; start_sidecar "$@" & )
  case $name in
    switch | listener) exec 4> "$in" ;;
    feeders) exec 5> "$in" ;;
    credentials) exec 6> "$in" ;;
    handback) exec 8> "$in" 9< "$out" ;;
  esac
  if [[ $name == feeders ]]; then return 0; fi
  if [[ $out && $name != handback ]]; then read -r answer < "$out" || true; fi
  rm "$in" ${out:+"$out"}
}

# start_sidecar COMMAND...: the process itself; $in and $out are sidecar's.
start_sidecar() {
  trap '' TTOU
  exec < "$in"
  if [[ $out ]]; then exec > "$out"; fi
  without_sidecars "$@"
}

# end_handback: let go of handback, having said that the job has ended, and wait for its answer.
end_handback() {
  answer=''
  echo go 2> /dev/null >&8 || true
  exec 8>&-
  read -r answer <&9 || true
  exec 9<&-
}

# without_sidecars COMMAND...: run it holding none of them; to be called in a process of its own.
without_sidecars() {
  exec 4>&- 5>&- 6>&- 8>&- 9<&-
  "$@"
}
