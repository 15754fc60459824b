# shellcheck shell=bash
# Sidecars: processes that live as long as the job. The recipe holds the other end of a sidecar's
# stdin, and so does all that it starts, the job above all. Whoever is killed: the sidecar reads to
# the end of its stdin when the last of them has ended. No sidecar may hold another's.
#
#   descriptor  held by the recipe and the job
#   3           listener: what an engine says of the job's containers, and whether the recipe's
#               terminal is closed
#   4           switch: the sandbox's network between hosts
#   5           feeders: the programs that feed Pipe channels, all of them, and the deadline
#   6           credentials: their server
#   7           no sidecar: the lock of opt/ml/checkpoints (sandbox.sh)
#   8, 9        handback: the container that gives root's files back, and its answer
#
# Reads $dir. Sets $answer, $watched.
# shellcheck disable=SC2034,SC2154  # $dir is folder.sh's; other files read $answer

answer=''              # the first line that a sidecar printed; empty if it ended without one
watched=''             # a listener must tell the recipe that its terminal is closed

# sidecar NAME COMMAND...: start one of the table; `exec PROGRAM` as COMMAND saves a process. Waits
# for its answer, but feeders have none and share one FIFO, and handback's comes at the end: first
# it says that it is there. In a process group of its own: what is typed in the terminal is not for
# it. The recipe opens its end first, to read and write, which waits for nobody: killed at any
# moment, it leaves nobody who waits for it.
sidecar() {
  local name=$1 in=$dir/.in
  shift
  answer=''
  if [[ $name == feeders ]]; then in=$dir/.feeders; fi
  if [[ ! -p $in ]]; then mkfifo "$in"; fi
  case $name in
    switch) exec 4<> "$in" ;;
    feeders) exec 5<> "$in" ;;
    credentials) exec 6<> "$in" ;;
    handback) exec 8<> "$in" ;;
  esac
  if [[ $name == feeders ]]; then
    ( set -m; start_sidecar "$@" & )
    return 0
  fi
  exec 9< <( set -m; start_sidecar "$@" & )
  read -r answer <&9 || true
  if [[ $name != handback ]]; then exec 9<&-; fi
  rm "$in"
}

# start_sidecar COMMAND...: the process itself; $in and $name are sidecar's.
start_sidecar() {
  trap '' TTOU
  exec < "$in"
  if [[ $name == handback ]]; then echo; fi
  without_sidecars "$@"
}

# listener COMMAND...: start that one; without a FIFO, as Ctrl-C would end mkfifo and with it the
# recipe, whose job runs already.
listener() { exec 3> >( set -m; start_listener "$@" <&0 & ); }

# start_listener COMMAND...: the process itself.
start_listener() {
  trap '' TTOU
  without_sidecars "$@"
}

# until_let_go: in a sidecar: read until the recipe has ended. Meanwhile tell it that its terminal
# was closed, where nobody else does: if $watched.
until_let_go() {
  local status
  if [[ ! $watched ]]; then
    while read -r; do :; done
    return 0
  fi
  while { : < /dev/tty; } 2> /dev/null; do
    status=0
    read -r -t 1 || status=$?
    # with Bash 3.2 a timeout has the status of an end
    if (( status && status <= 128 )) && ! kill -0 $$ 2> /dev/null; then return 0; fi
  done
  kill -HUP $$ 2> /dev/null || true
  while read -r; do :; done
}

# leader_waits: is the terminal's closing told to a process that waits for us, instead of dying of
# it? The kernel tells the session's leader alone, and that is Make in `ssh -t host make train`,
# `script` and an IDE's task. Without a shell between that has jobs, ours is its process group.
leader_waits() {
  local stat=''
  { IFS= read -r -d '' stat < "/proc/$$/stat"; } 2> /dev/null || true
  [[ ${stat##*) } =~ ^[A-Z]\ [0-9]+\ ([0-9]+)\ ([0-9]+)\ [1-9] ]] &&
    [[ ${BASH_REMATCH[1]} == "${BASH_REMATCH[2]}" ]]
}

# is_hung_up: was stderr a terminal that is closed now? It is a device still, and no terminal. What
# else is like that does nothing.
is_hung_up() {
  [[ -c /dev/stderr && ! -t 2 ]] &&
    ! [[ /dev/stderr -ef /dev/null || /dev/stderr -ef /dev/zero || /dev/stderr -ef /dev/full ]]
}

# at once: of a terminal that is closed before the job starts nothing is left to be seen
if leader_waits; then watched=1; elif is_hung_up; then exit 129; fi

# end_handback: let go of handback, having said that the job has ended, and wait for its answer.
end_handback() {
  answer=''
  echo go 2> /dev/null >&8 || true
  exec 8>&-
  read -r answer <&9 || true
  exec 9<&-
}

# without_sidecars COMMAND...: run it holding none of them, nor the lock: what stops a job may
# outlive it for a moment, and the next job would be refused. To be called in a process of its own.
without_sidecars() {
  exec 3>&- 4>&- 5>&- 6>&- 7<&- 8>&- 9<&-
  "$@"
}
