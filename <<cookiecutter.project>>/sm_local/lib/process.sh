# shellcheck shell=bash
# Which process it is. Numbers are used again, so ours are known by number and start time, never by
# a name.
# Sets $start.

start=''               # when a process was started

# lives PROCESS START [MACHINE]: does the very process run? Not one that has ended and that nobody
# has waited for, nor any on another machine.
lives() {
  [[ ${2-} && ${3-$HOSTNAME} == "$HOSTNAME" ]] && find_start "$1" && [[ $start == "$2" ]]
}

# has_died IDENTITY: did a process of this machine end? IDENTITY is its number, start time and
# machine; of another machine's nothing is known.
has_died() {
  local start_and_machine=${1#* }
  [[ ${1##* } == "$HOSTNAME" ]] && ! lives "${1%% *}" "${start_and_machine%% *}"
}

# find_start PROCESS: set $start, one word; fails if there is no such process. On Linux without a
# process, in clock ticks since the machine's start.
find_start() {
  local stat='' i
  start=''
  if [[ ! -e /proc/self/stat ]]; then
    start=$(LC_ALL=C TZ=UTC0 ps -p "$1" -o lstart= 2> /dev/null) || return 1
    start=${start//[[:space:]]/}
    return 0
  fi
  # a program's name, in parentheses, may have blanks, newlines and parentheses
  { IFS= read -r -d '' stat < "/proc/$1/stat"; } 2> /dev/null || true
  stat=${stat##*) }
  if [[ $stat != [!ZX]* ]]; then return 1; fi
  for (( i = 3; i < 22; i++ )); do stat=${stat#* }; done
  start=${stat%% *}
}
