# shellcheck shell=bash
# What the engine itself says of the job's containers. A script can print anything and exit with any
# status, so whether it started, who ended it and whether memory ran out is read from here alone.
# Reads $dir, $at, $job, $engine, $rc, $recipe, $parked. Sets $events, $why_stopped, $unswept.
# shellcheck disable=SC2034,SC2154  # folder.sh, job.sh and the recipe set what is read

events=''              # lines of record/events: container, event, and its signal or exit status
why_stopped=''         # what ended the job from outside

# listen: let a process beside the job write record/events, from the container's creation on. It
# asks the engine after half a second: it tells what was, too, and a job as short as that, which
# nobody had the time to stop, costs nothing.
listen() {
  listener keep_events
}

# keep_events: the process itself. It ends with the recipe, and asks at once when it reads a line.
keep_events() {
  local status=0
  if (( BASH_VERSINFO[0] > 3 )); then read -r -t 0.5 || status=$?; fi
  if (( status && status <= 128 )); then return 0; fi
  set -m
  # a job that was refused has no folder any more
  { tell_events < /dev/null > "$dir/record/events"; } 2> /dev/null &
  set +m
  until_let_go
  kill -- -$! 2> /dev/null || true
}

# tell_events: print them until the engine closes the connection. No time is named: the engine's
# clock may be another than this machine's.
tell_events() {
  local signal='{{index .Actor.Attributes "signal"}}{{index .Actor.Attributes "exitCode"}}'
  local format="{{.Actor.ID}} {{.Action}} $signal" since=1 whose="label=sm-local.job=$job"
  if [[ $engine == podman ]]; then format='{{.ID}} {{.Status}} ' since=24h; fi
  if [[ $parked ]]; then
    until [[ -s $at/container-id ]]; do sleep 0.1; done
    whose=container=$(< "$at/container-id")     # it was made before the job, and has no such label
  fi
  "$engine" events --since "$since" --filter type=container --filter "$whose" \
    --format "$format" | pass_on_events || true
  echo '- closed '
}

# pass_on_events: from stdin to stdout. The engine's client would wait for ever for events of a job
# that is over; should the listener be killed, it ends soon after the recipe.
pass_on_events() {
  local line='' part='' status patience=()
  # with Bash 3.2 a timeout has the status of an end
  if (( BASH_VERSINFO[0] > 3 )); then patience=(-t 2); fi
  while :; do
    status=0
    IFS= read -r ${patience[@]+"${patience[@]}"} line || status=$?
    part+=$line
    if (( ! status )); then
      printf '%s\n' "$part"
      part=''
    elif (( status <= 128 )); then
      return 0
    fi
    if has_died "$recipe"; then kill 0; fi
  done
}

# hear: set $events, when the end of the container in hand was told; that takes a moment. A shell
# does not listen.
hear() {
  local id=''
  if ! ( echo >&3 ) 2> /dev/null; then return 0; fi
  read -r id 2> /dev/null < "$at/container-id" || true
  await_events "$id (destroy|remove)" 3
  if [[ ! $events =~ "$id "(destroy|remove) ]]; then unswept=1; fi
}

# await_events EXPRESSION SECONDS: set $events to what was told so far, when that or the end of the
# connection is in it, or the time is up.
await_events() {
  local twentieths=0
  read_events
  until [[ $events =~ $1 || $events == *closed* ]] || (( twentieths++ >= 20 * $2 )); do
    sleep 0.05
    read_events
  done
}

# read_events: set $events to what was told so far.
read_events() { { IFS= read -r -d '' events < "$dir/record/events"; } 2> /dev/null || true; }

# never_started: does the engine know the container in hand, and that it was never started?
never_started() {
  local id
  hear
  read -r id < "$at/container-id" || true       # it has no newline
  [[ $events == *"$id create"* && $events != *"$id start"* ]]
}

# engine_gone: did the engine go away without telling that the container in hand has ended?
engine_gone() {
  local id=''
  if [[ ! -e $dir/record/silent ]]; then return 1; fi
  read -r id 2> /dev/null < "$at/container-id" || true
  await_events "$id die" 1
  [[ $events != *"$id die"* ]]
}

# out_of_memory: did the kernel kill something in the job's container because its memory was used
# up? Podman does not tell.
out_of_memory() {
  local id=''
  hear
  read -r id 2> /dev/null < "$at/container-id" || true
  [[ $events == *"$id oom"* ]]
}

# ended_outside: did somebody else than this recipe and `make stop` end the job? Sets $why_stopped.
# SIGKILL alone is no request to stop. Podman names no signal, so the exit status tells that one;
# of `podman stop` it tells nothing.
ended_outside() {
  local asked=$' kill (15|2|3)\n| stop '
  if (( rc != 137 )); then asked+=$'| kill \n'; fi
  if [[ ! -e $dir/record/events ]]; then return 1; fi
  await_events ' start ' 1            # it may only just have asked
  # it may have been gone before it could tell anything
  if [[ $events == '- closed'* ]] && ! "$engine" ps --quiet > /dev/null 2>&1; then
    why_stopped="$engine was shut down"
    return 0
  fi
  if [[ ! $events =~ $asked ]]; then return 1; fi
  hear
  why_stopped="stopped from outside, as '$engine stop' does"
  if [[ $events == *closed* ]]; then why_stopped="$engine was shut down"; fi
}
