#!/bin/sh
# usage: sh -c "$(cat wait.sh)" sh SECONDS PROGRAM ARGUMENT...    process 1 of a parked container
# Waits for a job, then is the job. It is told by lines on stdin: a variable and its value each, and
# an empty one. After SECONDS it ends. lib/parked.sh starts it; it runs in any image that has sh.
trap 'exit 125' TERM

# no: say why nothing can wait here. Stay a moment: what a container said goes when it ends.
no() {
  echo "sm-local: no: $1"
  sleep 2
  exit 125
}

command -v sleep > /dev/null || no "the image has no program 'sleep'"
command -v "$2" > /dev/null || no "the image has no program '$2'"

(
  exec 2> /dev/null
  trap 'kill "$sm_local_sleep"; wait "$sm_local_sleep"; exit' TERM
  sleep "$1" &
  sm_local_sleep=$!
  wait "$sm_local_sleep"
  kill -TERM 1
) &
sm_local_timer=$!
shift
echo "sm-local: parked"
while :; do
  IFS= read -r sm_local_line || exit 125
  [ "$sm_local_line" ] || break
  export "${sm_local_line?}"
done
kill "$sm_local_timer"
wait "$sm_local_timer" 2> /dev/null
trap - TERM
echo "sm-local: begin"
# a shell gives programs variables of its own; Bash sets them again
unset PWD OLDPWD
if [ "${BASH_VERSION-}" ]; then set -- env -u _ -u SHLVL -u PWD -u OLDPWD "$@"; fi
exec "$@" < /dev/null
