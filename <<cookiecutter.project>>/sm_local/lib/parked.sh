# shellcheck shell=bash
# FAST=1: what takes long is to start a container, so the next job's is started when this one has
# ended. It is parked: its process 1 waits, then becomes the job by exec. It is never used again, so
# nothing has to be reset. Its folder is output/.parked/ready, and becomes the job's by a rename,
# which mounts follow; what is in it, code/ above all, is put there when the job takes it.
# Docker on Linux only.
# Reads $dir, $at, $job, $recipe, $name, $image, $built, $ending, $large and the recipe's arrays:
# $named (variables that differ from job to job), $options and $starts (of `docker run`), $folders,
# $lower and $bound (what is mounted, copy-on-write or as it is). Sets $parked, $how, $spoken.
# shellcheck disable=SC2034,SC2154  # folder.sh and the recipe set what is read; container.sh reads

how=''                 # what the headline says of it
cold=''                # why the job gets none
go='' heard='' listed=''         # descriptors: its stdin, its output, what its data is now
facts=()               # what a parked container is made for: a subject, a tab and its value each
waits='sm-local: parked' begins='sm-local: begin'       # what its process 1, wait.sh, says
# Python starts twice, as container/train starts it: the first finds out what the locale is.
like_train='import os, sys
os.execv(sys.executable, [sys.executable, "-u", "-c", *sys.argv[1:]])'

# take_parked: let the parked folder be the job's; of two jobs that try, one gets it.
take_parked() {
  local now end=0 client='' why='' ready=output/.parked/ready
  trap 'drop_parked; forget_job' EXIT
  if [[ ! -O $ready ]] || ! mv -fT "$ready" "$dir" 2> /dev/null; then
    cold="nothing is parked yet"
    if read -r why 2> /dev/null < output/.parked/why; then cold="none could be parked: $why"; fi
    return 0
  fi
  { read -r parked; read -r end; read -r spoken; } 2> /dev/null < "$dir/record/parked" || true
  read -r client 2> /dev/null < "$dir/record/parker" || true
  find_now
  if (( now + 10 > end )) || has_died "$client"; then
    cold="what was parked has ended"
    drop_parked
  else
    reach_parked
  fi
}

# reach_parked: reach its client. Opened to read and write first, its output waits for nobody, in
# case that client has just died.
reach_parked() {
  local output
  exec {go}<> "$dir/record/go" {output}<> "$dir/record/heard"
  exec {heard}< "$dir/record/heard" {output}>&- {listed}< <(list_data 2>&1)
}

# leave_parked: the job's process has it now. It gets the job's name; one that is a lock it has.
leave_parked() {
  if [[ $heard ]]; then exec {go}>&- {heard}<&- {listed}<&-; fi
  rm -f "$dir/record/go" "$dir/record/heard"
  if [[ $parked && $name != sm-local-checkpoints-* ]]; then
    ( without_sidecars docker rename "$parked" "$name" > /dev/null 2>&1 & ) || true
  fi
}

# drop_parked: remove it, and wait for its client.
drop_parked() {
  if [[ $parked ]]; then
    docker rm -f -v "$parked" > /dev/null 2>&1 || true
    drop_volumes_of label=sm-local.parked       # of one that somebody else removed they stay
  fi
  parked=''
  if [[ $heard ]]; then cat <&"$heard" > /dev/null; fi
  leave_parked
  heard=''
}

# fit_parked PRELOAD: is what is parked what the job needs? If not, it goes first: two overlays
# cannot share a folder, nor two containers a port.
fit_parked() {
  local i line was=()
  if [[ ! $parked ]]; then return 0; fi
  describe "$1"
  while IFS= read -r line; do was+=("$line"); done < "$dir/record/parked-for"
  for i in "${!facts[@]}"; do
    if [[ ${was[i]-} == "${facts[i]}" ]]; then continue; fi
    cold="since the last job ${facts[i]%%$'\t'*} changed"
    drop_parked
    return 0
  done
  how=", parked${1:+, $1 preloaded}"
}

# describe PRELOAD: set $facts, of now or of when the list of data was begun. The job's own name is
# in none of them.
describe() {
  local i id=$image data='' environment=() others=()
  for (( i = 0; i < ${#options[@]}; i++ )); do
    if [[ ${options[i]} == --env ]]; then
      environment+=("${options[++i]}")
    else
      others+=("${options[i]}")
    fi
  done
  others=("${others[@]//"/$dir/"//@/}")
  if [[ ! $built ]]; then
    read -r id < <(exec docker image inspect --format '{{.Id}}' "$image" 2> /dev/null) || true
  fi
  if [[ ! $listed ]]; then exec {listed}< <(list_data 2>&1); fi
  IFS= read -r -d '' data <&"$listed" || true
  facts=()
  fact "the image" "$id"
  fact "its program" "${starts[@]}"
  fact "its environment" ${environment[@]+"${environment[@]}"}
  fact "its settings" "${others[@]//"sm-local.job=$job"/}"
  fact "PRELOAD" "$1"
  fact "the engine" "${DOCKER_HOST-}" "${DOCKER_CONTEXT-}" "${DOCKER_CONFIG-}"
  fact "its data" "$data"
}

# fact SUBJECT WORD...: add one, in one line.
fact() {
  local text
  printf -v text '%q ' "${@:2}"
  facts+=("$1"$'\t'"$text")
}

# list_data: print what is mounted copy-on-write, which must not change under an overlay, and which
# folders the others are: a mount follows a folder that was replaced.
list_data() {
  if (( ${#lower[@]} )); then find -H "${lower[@]}" -printf '%D:%i %p %s %C@\n' | cksum; fi
  if (( ${#bound[@]} )); then stat -L -c '%n %d:%i' "${bound[@]}"; fi
}

# say_start HEADLINE: say what runs where, and why it was not started ahead.
say_start() {
  say "$job: $1$how"
  if [[ ! $parked ]]; then say "FAST=1 starts this job cold: $cold"; fi
}

# run_parked COMMAND...: be the parked container's client; without one, run the command. It answers
# before it begins: one that has ended meanwhile has run nothing, and the job starts cold. If a
# client was killed before it heard the answer, nobody knows.
run_parked() {
  local status=''
  if [[ $parked ]]; then
    spoken=$((spoken + ${#begins} + 1))
    tell_parked
    begin_log <&"$heard"
    read -r status < "$dir/record/detached" ||
      status=$(docker wait "$parked" 2> /dev/null) || status=137
    if (( status > 128 )) && [[ -e $dir/record/told ]]; then
      echo "$parked" > "$at/container-id"
    fi
    if [[ -s $at/container-id ]]; then return "$status"; fi
    say "FAST=1 starts this job cold: what was parked has ended"
    drop_parked
  fi
  { "$@" 2>&3 3>&-; } 3>&2 2> /dev/null       # as in job.sh's run_here
}

# tell_parked: tell it of the job.
tell_parked() {
  local word
  : > "$dir/record/told"
  for word in "${named[@]}" ''; do
    if [[ $word != --env ]]; then printf '%s\n' "$word"; fi
  done >&"$go"
}

# begin_log: stdin to stdout, without the container's answer.
begin_log() {
  local line=''
  while IFS= read -r line; do
    if [[ $line == "$begins" ]]; then
      echo "$parked" > "$at/container-id"
      cat
      return
    fi
    printf '%s\n' "$line"
  done
}

# park SECONDS PRELOAD: when the recipe ends, make the next job's container, which outlives it. Not
# after `make stop`, and not when the terminal was closed.
park() {
  local stopped=''
  if recall status "$job" && [[ $value == Stopped* && ! $ending ]]; then stopped=1; fi
  if [[ $stopped || $ending == 129 || ! -s $at/container-id ]]; then return 0; fi
  ( set -m
    { trap '' HUP TTOU; without_sidecars park_next "$@"; } < /dev/null > /dev/null 2>&1 & ) || true
}

# park_next SECONDS PRELOAD: the process itself.
park_next() {
  local now new=output/.parked/$job id='' end why=''
  mkdir -p output/.parked && mkdir -m 700 "$new" || return 0
  mkdir -p "$new/record" "${folders[@]/#/$new/}" && mkfifo "$new/record/"{go,heard} || return 0
  find_start "$BASHPID" && echo "$BASHPID $start $HOSTNAME" > "$new/record/parker"
  if [[ ${large-} ]]; then              # without code/ there is no code.sh
    why="code/ has $large MB, and is not copied"
  else
    listed=''
    describe "$2"
    printf '%s\n' "${facts[@]}" > "$new/record/parked-for"
    find_now
    end=$((now + $1))
    try_parked "$@"
    printf '%s\n' "$id" "$end" "$spoken" > "$new/record/parked"
    rm -f "$new/record/said"
  fi
  rm -f output/.parked/why
  if [[ $why ]]; then
    echo "$why" > output/.parked/why
    discard "$new" "$id"
  else
    attend "$id"
  fi
}

# attend CONTAINER: put the folder $new in its place, and be the container's client, as a client
# takes longer to start than a job has time. How that ends is noted in the folder, wherever it is by
# then; who reads the output sees its end after that.
attend() {
  local go heard output detached status=0
  exec {go}<> "$new/record/go" {heard}<> "$new/record/heard" {detached}> "$new/record/detached"
  exec {output}> "$new/record/heard" {heard}>&-
  if ! replace_parked; then
    discard "$new" "$1"
    return
  fi
  docker attach "$1" <&"$go" >&"$output" 2>&1 || status=$?
  echo "$status" >&"$detached"
}

# try_parked SECONDS PRELOAD: start it, by Python if it can be; set the caller's $id, $why, $spoken.
try_parked() {
  local ahead=''
  if [[ $2 || ( $built && "${starts[*]}" == "$built train" ) ]]; then ahead=1; fi
  while :; do
    why='' spoken=0
    if ! id=$(start_parked "$@"); then
      id=''
      IFS= read -r why < "$new/record/said" || true
      why=${why#docker: }
      return 0
    fi
    await_parked
    if [[ $why && $ahead && ! $2 ]]; then       # the image's `train` may be another
      docker rm -f -v "$id"
      ahead=''
      continue
    fi
    if [[ ! $why ]]; then lock_parked; fi
    return 0
  done
}

# lock_parked: while it is parked it has the name that only one container may have, which an engine
# that has just ended the last job needs a moment to give away. A job that starts cold takes it back
# (container.sh).
lock_parked() {
  local tries=0
  if [[ $name != sm-local-checkpoints-* ]]; then return 0; fi
  until docker rename "$id" "$name"; do
    if (( tries++ >= 20 )); then
      why="another job has opt/ml/checkpoints"
      return 0
    fi
    sleep 0.2
  done
}

# start_parked SECONDS PRELOAD: print its ID. Its mounts are this job's, in another folder.
start_parked() {
  local words=("${starts[@]}") more=() word
  if [[ ${words[0]} == --entrypoint ]]; then
    more=("${words[1]}")
    words=("${words[@]:2}")
  else
    while IFS= read -r -d '' word; do more+=("$word"); done < <(exec docker image inspect \
      --format '{{range .Config.Entrypoint}}{{.}}{{"\x00"}}{{end}}' "${words[0]}" 2> /dev/null)
  fi
  local others=("${options[@]//"/$dir/"//$new/}")
  local first=(sh -c "$(< sm_local/libexec/wait.sh)" sh "$1" ${more[@]+"${more[@]}"})
  first+=("${words[@]:1}")
  if [[ $2 && ${#more[@]} != 0 ]]; then
    echo "PRELOAD is not for images with an ENTRYPOINT" > "$new/record/said"
    return 1
  fi
  if [[ $ahead && ${#more[@]} == 0 ]]; then
    first=(python3 -S -c "$like_train" "$(< sm_local/libexec/preload.py)" "$1" "$2")
  fi
  exec docker run --detach --interactive --rm --pull never --name "$job-$$-parked" \
    --label sm-local.project="$PWD" --label sm-local.parked="$job" \
    --label sm-local.recipe="$recipe" "${named[@]}" \
    "${others[@]//"sm-local.job=$job"/sm-local.parked=$job}" \
    --entrypoint "${first[0]}" "${words[0]}" "${first[@]:1}" 2> "$new/record/said"
}

# await_parked: until it waits, at most a minute; sets the caller's $why if it does not, and notes
# how much it has said.
await_parked() {
  local LC_ALL=C said='' tries=0
  until [[ $said == *"$waits" ]] || (( tries++ >= 600 )); do
    sleep 0.1
    # some engines keep no logs
    said=$(docker logs "$id" 2>&1) || { docker inspect "$id" || why="it ended at once"; return; }
    if [[ $said == *'sm-local: no: '* ]]; then
      why=${said##*sm-local: no: }
      return
    fi
  done
  spoken=$((${#said} + 1))
}

# replace_parked: put the folder $new in its place; what was there goes.
replace_parked() {
  local old=output/.parked/old-$job there=''
  if mv -fT output/.parked/ready "$old" 2> /dev/null; then
    read -r there < "$old/record/parked" || true
    discard "$old" "$there"
  fi
  mv -fT "$new" output/.parked/ready
}

# discard FOLDER CONTAINER: remove both.
discard() {
  if [[ $2 ]]; then docker rm -f -v "$2"; fi
  drop_volumes_of label=sm-local.parked
  rm -rf "$1"
}
