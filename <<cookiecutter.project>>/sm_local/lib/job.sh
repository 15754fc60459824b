# shellcheck shell=bash
# A job's life: its process group, its signals, its verdict.
# Reads $dir, $job, $engine, $seconds, $why_stopped, $stop_grace, $interrupt_grace; engine_stop
# SECONDS, engine_kill, engine_gone, look_again, wait_for_containers, started, out_of_memory,
# ended_outside and explain_refusal come from the engine's files. Sets $at, $rc and what follows.
# shellcheck disable=SC2154  # the recipe and folder.sh set what is read

running=()             # the processes whose end is the job's end, one for each host
rc=''                  # the container's exit status
stops=0                # signals that asked for a stop
ending=''              # the recipe's exit status then
unwritten=''           # the exit status is not known: its file could not be written
sample=''              # which part of its channels the job sees, where that is not all
oom=''                 # the kernel killed something in the container to get its memory
empty=''               # what the verdict says about a folder without files
under=''               # what it says about the time that the job took
input=/dev/null        # what the job reads as its stdin, and the function that starts it;
begin=beside           # terminal.sh has others
before_start=:         # what it waits for before it starts; code.sh has another

# start_job COMMAND...: start it as the job, or as one of its hosts, log it, and pass signals on as
# SageMaker does.
start_job() {
  local early=''
  if (( stops )); then return 0; fi       # asked to stop before all hosts were started
  "$before_start"
  trap 'early=INT' INT
  trap 'early=TERM' TERM
  trap 'early=HUP' HUP
  trap 'early=USR1' USR1
  trap - EXIT
  "$begin" "$@"
  heed_signals
  case $early in       # it came before there was a job to stop
    INT) interrupt ;;
    TERM) stop_job 143 "$stop_grace" ;;
    HUP) stop_job 129 "$stop_grace" ;;
    USR1) host_failed ;;
  esac
}

# beside COMMAND...: start it in a process group of its own: Ctrl-C reaches this script alone. One
# process here, which makes the pipeline: of a Ctrl-C that comes while Bash starts one by itself it
# ends, trap or not, or waits for what it has started so far.
beside() {
  set -m
  if [[ $at == "$dir" ]]; then
    { run_here "$@" 2>&1 | keep_log "$at"; } &
  else
    { run_here "$@" 2>&1 | keep_log "$at" | show_host; } &
  fi
  running+=($!)
  set +m
}

# heed_signals: what signals mean while the job runs.
heed_signals() {
  trap interrupt INT
  trap 'stop_job 143 "$stop_grace"' TERM
  trap 'stop_job 129 "$stop_grace"' HUP
  trap host_failed USR1
}

# wait_job: wait for the job's end; set $rc. Of several hosts the first that failed speaks for the
# job. Hosts must be the only children: when a signal comes just as one ends, Bash may miss its end
# and wait until there is no child at all.
wait_job() {
  local host
  for host in "${running[@]}"; do
    until wait "$host" 2> /dev/null; do kill -0 "$host" 2> /dev/null || break; done
  done
  trap '' INT TERM HUP USR1       # what is left is short, and must not be left half done
  if [[ $at != "$dir" ]]; then
    at=$dir/algo-1
    if recall failed "$job"; then at=$value; fi
    if read -r rc 2> /dev/null < "$at/exit-code"; then record "exit-code=$rc"; fi
  elif [[ /dev/stdout -ef /dev/stderr ]] && ends_within_a_line "$at/log"; then
    printf '\n' >&2 || true       # the verdict has a line of its own
  fi
  if ! read -r rc 2> /dev/null < "$at/exit-code"; then
    rc=137             # no file: the job's own processes here were killed too
    if [[ -e $at/exit-code ]]; then rc=1 unwritten=1; fi
    if (( stops )); then engine_stop "$interrupt_grace" || true; else wait_for_containers; fi
  fi
  if engine_gone; then give_up; fi
}

# give_up: of a job that may go on without anybody: nothing is packed, given back or removed. The
# next verb that finds the engine does it.
give_up() {
  count_seconds
  record status=Failed
  say "Failed after $seconds s: $engine does not answer any more, and the job may run on; what" \
    "its log, model and output have so far is in $dir, and 'make pack' packs it"
  exit "${ending:-$rc}"
}

# run_here COMMAND...: run it and keep its exit status; the disk may be full. What Bash says about a
# program that was killed does not belong in the log.
run_here() {
  rc=0
  { "$@" < "$input" 2>&3 3>&- || rc=$?; } 3>&2 2> /dev/null
  if (( rc )); then look_again "$@"; fi
  keep "$at/exit-code" "$rc" || { : > "$at/exit-code"; } 2> /dev/null || true
  if [[ $at != "$dir" ]] && (( rc )); then tell_failure; fi
}

# tell_failure: the first of several hosts to fail records its folder and wakes the recipe, which
# stops the others.
tell_failure() {
  if ( set -C; echo "$at" > "$dir/record/failed" ) 2> /dev/null; then kill -USR1 $$; fi
}

# host_failed: a job needs all its hosts, and all its data. How SageMaker ends the others is not
# documented: here it is done as for Ctrl-C. Hosts that `make stop` is ending have not failed.
host_failed() {
  recall status "$job" || true
  if [[ $value == Stopping ]] || (( stops++ )); then return 0; fi
  if is_broken; then
    say "stopping the job: its data cannot be read"
  else
    say "a host failed: stopping the others"
  fi
  until_gone stop "$interrupt_grace"
}

# is_broken: did a feeder report data that cannot be read?
is_broken() { [[ -e $dir/record/broken ]]; }

# show_host: put the host's name in front of each line. All is read, even when nobody reads the
# terminal's side any more: the log is written by who writes here.
show_host() {
  trap '' PIPE TTOU
  { { cat; end_line "$at/log"; } | name_lines "${at##*/}"; } 2> /dev/null || true
  cat > /dev/null
}

# keep_log FOLDER: stdin to the terminal, live, and to FOLDER/log, every byte, even when nobody
# reads the terminal's side any more.
keep_log() {
  local LC_ALL=C start='' ended=''    # bytes; what was read, and '\0' where a NUL ended it
  trap '' PIPE TTOU
  { : > "$1/log"; } 2> /dev/null || note_cut_log
  keep_client_words "$1"
  if [[ -s $1/container-id && -e $1/engine-error ]]; then rm -f "$1/engine-error"; fi
  if hold_back "$1"; then return 0; fi
  { printf '%s%b' "$start" "$ended" >> "$1/log"; } 2> /dev/null || note_cut_log
  printf '%s%b' "$start" "$ended" 2> /dev/null || true
  write_log "$1"
}

# write_log FOLDER: stdin to the terminal and to FOLDER/log. Where one of them fails, tee goes on
# with the other; what it says tells which.
write_log() {
  local said
  { said=$(exec tee -a "$1/log" 2>&1 >&3 3>&-) || true; } 3>&1
  if [[ $said == *"$1/log"* ]]; then note_cut_log; fi
}

# keep_client_words FOLDER: what comes before there is a container is the client's own. Why there is
# none goes to FOLDER/engine-error; the verdict explains it. Leaves the container's first byte in
# $start or $ended.
keep_client_words() {
  local one line
  while IFS= read -r -d '' -n 1 one; do
    if [[ -s $1/container-id ]]; then
      start=$one
      if [[ ! $one ]]; then ended='\0'; fi
      return 0
    fi
    line=''
    if [[ $one != $'\n' ]]; then IFS= read -r line || true; fi
    line=${one%$'\n'}$line
    case $line in
      'docker: '* | 'Error: '*) printf '%s\n' "${line#docker: }" > "$1/engine-error" ;;
      '' | "See 'docker "* | "Run 'docker "*) ;;
      *)
        if [[ ! -s $1/engine-error ]]; then printf '%s\n' "$line" > "$1/engine-error"; fi
        printf '%s\n' "$line" ;;
    esac 2> /dev/null || true
  done
}

# hold_back FOLDER: a client says in the same way why a container did not start. A script may say so
# too: where nothing else is said, it is kept until `started` has asked the engine.
hold_back() {
  local one rest='' status=0 words='docker: Error response from daemon'
  while [[ ! $ended && $words == "$start"?* ]] && IFS= read -r -d '' -n 1 one; do
    start+=$one
    if [[ ! $one ]]; then ended='\0'; fi
  done
  # Bash 3.2 would lose what it has read when the time is up
  if [[ $start != "$words" || $at != "$dir" ]] || (( BASH_VERSINFO[0] < 4 )); then return 1; fi
  IFS= read -r -d '' -t 1 rest || status=$?
  start+=$rest
  if (( ! status )); then ended='\0'; fi
  if (( status != 1 )); then return 1; fi
  printf %s "$start" >> "$1/log"
  rest=${start%%$'\n'*}
  printf '%s\n' "${rest#docker: }" > "$1/engine-error"
}

# stop_job STATUS SECONDS: SIGTERM to the container, SIGKILL after the grace time. Make repeats
# TERM, so only the first one counts. A trap must return 0, or `set -e` ends the recipe before it
# has packed.
stop_job() {
  if (( stops++ )); then return 0; fi
  ending=$1
  record status=Stopping
  until_gone stop "$2"
}

# interrupt: Ctrl-C stops, a second one kills.
interrupt() {
  if (( stops )); then
    until_gone kill
    return 0
  fi
  stop_job 130 "$interrupt_grace"
  say "stopping $job: SIGTERM now, SIGKILL in $interrupt_grace s; Ctrl-C again kills it at once"
}

# until_gone stop SECONDS | until_gone kill: repeated until the job has ended, for there may be no
# container yet. In a process group of its own: a terminal that is closed sends a second SIGHUP when
# its session's leader has died of the first one. No trap may be set here: a trap runs, and Bash 5.2
# aborts when the same signal comes once more.
until_gone() {
  set -m
  { without_sidecars repeat_until_gone "$@"; } < /dev/null > /dev/null 2>&1 &
  set +m
}

# repeat_until_gone stop SECONDS | repeat_until_gone kill: the process itself.
repeat_until_gone() {
  while still_running; do
    case $1 in
      stop) engine_stop "$2" || true ;;
      kill) engine_kill || true ;;
    esac
    sleep 0.2
  done
}

# still_running: does one of the job's hosts run?
still_running() {
  local host
  for host in "${running[@]}"; do
    if kill -0 "$host" 2> /dev/null; then return 0; fi
  done
  return 1
}

# point_links FOLDER NAME...: let opt/ml/NAME show this job's. Files of yours that are there are
# kept. What was there is recorded: nobody knows yet whether the engine refuses the job. Ctrl-C
# reaches `ln` too, and must not end the recipe now.
point_links() { ( trap '' INT TERM HUP; move_links "$@" ) || true; }

# move_links FOLDER NAME...: the work itself.
move_links() {
  local folder=$1 name target links=()
  shift
  for name; do
    if [[ -L opt/ml/$name ]]; then
      links+=("$name")
    elif [[ -d opt/ml/$name ]]; then
      keep_yours "$name"
    fi
  done
  if (( ${#links[@]} )); then
    for name in "${links[@]}"; do
      IFS= read -r target
      record "old_$name=$target"
    done < <(exec readlink "${links[@]/#/opt/ml/}")
  fi
  ln -sfn "${@/#/../../$folder/}" opt/ml/.
}

# keep_yours NAME: move the folder opt/ml/NAME out of the link's way if it has files.
keep_yours() {
  if rmdir "opt/ml/$1" 2> /dev/null; then
    record "empty_$1=yes"
    return 0
  fi
  mkdir -p "output/before-$job"
  mv "opt/ml/$1" "output/before-$job/"
  say "opt/ml/$1 held files of yours; they are in output/before-$job/$1 now"
}

# restore_links: as if there had been no such job; links that another one has changed since stay.
restore_links() {
  local name
  for name in model output; do
    if [[ $(readlink "opt/ml/$name") != "../../$dir"/* ]]; then continue; fi
    rm "opt/ml/$name"
    if recall "old_$name" "$job"; then
      ln -s "$value" "opt/ml/$name"
    elif recall "empty_$name" "$job"; then
      mkdir "opt/ml/$name"
    elif [[ -d output/before-$job/$name ]]; then
      mv "output/before-$job/$name" opt/ml/
      say "opt/ml/$name holds them again"
    fi
  done
  rmdir "output/before-$job" 2> /dev/null || true
}

# not_started: nothing ran, so nothing is kept; say what the engine had against it, unless it was to
# stop before it began.
not_started() {
  local error
  error=$(cat "$at/engine-error" 2> /dev/null || exec head -n 1 "$at/log" 2> /dev/null) || true
  restore_links
  forget_job
  if [[ $ending ]]; then
    say "stopped before it had started; nothing is kept"
    exit "$ending"
  fi
  explain_refusal "$error"
}

# verdict PRODUCT: one line that says how the job ended and where its files are, and of a failed
# job what answer.sh knows; exits as the container did. PRODUCT is the folder below /opt/ml that
# the job was run for.
verdict() {
  local status=Completed
  if [[ -e $at/engine-error ]]; then show_held; fi
  if (( rc == 137 )) && out_of_memory; then oom=1; fi
  recall status "$job" || true
  if is_broken && (( ! rc )); then
    rc=1
    record "exit-code=$rc"
  fi
  if [[ $value == Stopping || $ending ]] || { (( ! stops )) && ended_outside; }; then
    status=Stopped
  elif (( rc )); then
    status=Failed
  fi
  count_seconds
  close_job "$status $seconds"
  check_kept
  say_verdict "$status" "$1"
  if [[ $status == Failed ]]; then answer; fi
  if [[ $status == Stopped ]]; then exit "${ending:-143}"; fi
  if (( ! rc )) && [[ ${unkept-} ]]; then exit "$unkept"; fi
  exit "$rc"
}

# check_kept: say what happened beside the job, and what the disk had no room for. Without an exit
# status there is no verdict.
check_kept() {
  if [[ $unwritten ]]; then
    say "the job's exit status could not be written to $dir/exit-code, and is not known;" \
      "is the disk full?"
    exit "${ending:-1}"
  fi
  if recall client "$job"; then
    say "the engine's client was ended (status $value); the job ran on without it"
  fi
  if [[ -e $dir/record/cut_log ]]; then
    unkept=1
    say "the log in $dir could not be written to its end; is the disk full?"
  fi
}

# show_held: what was held back was the script's own.
show_held() {
  rm -f "$at/engine-error"
  cat "$at/log" 2> /dev/null || true
}

# say_verdict STATUS PRODUCT: the line itself.
say_verdict() {
  local part=${sample:+ on a sample ($sample)}
  case $1 in
    Completed)
      emptiness "$2"
      say "Completed in $seconds s$under$part; $2: $at/$2$empty" ;;
    Stopped)
      say "Stopped after $seconds s$under$part, exit code $rc$(meaning "$rc"):" \
        "${why_stopped:+$why_stopped; }$dir" ;;
    Failed)
      say "Failed after $seconds s$under$part: $(failure_reason "$rc")$(meaning "$rc");" \
        "log, model and output are in $dir" ;;
  esac
}

# emptiness PRODUCT: set $empty; a job that saved nothing has mostly saved it in another place.
emptiness() {
  local entry
  empty=''
  for entry in "$at/$1"/* "$at/$1"/.[!.]*; do
    if [[ -e $entry ]]; then return 0; fi
  done
  empty=" (empty: nothing was written to /opt/ml/$1)"
}

# failure_reason STATUS: print the FailureReason that DescribeTrainingJob would show, at most 1024
# characters.
failure_reason() {
  local text=''
  if [[ -f $at/output/failure && ! -L $at/output/failure ]]; then
    text=$(head -c 4096 "$at/output/failure" | LC_ALL=C tr -d '\000-\010\013-\037\177')
  fi
  text="AlgorithmError: $text, exit code: $1"
  if [[ $oom ]]; then
    text="ClientError: Please use an instance type with more memory,"
    text+=" or reduce the size of job data processed on an instance."
  fi
  if is_broken; then text=$(< "$dir/record/broken"); fi
  # no half character where a locale counts bytes
  printf '%s' "${text:0:1024}" | iconv -c -f UTF-8 -t UTF-8
}

# meaning STATUS: print a plain word for the statuses that are not the script's own; none where the
# recipe has ended the job.
meaning() {
  if is_broken; then return 0; fi
  case $1 in
    126) echo " (a program is not executable)" ;;
    127)
      echo " (a program was not found: one that the script calls, or 'train' itself," \
        "which SageMaker starts)" ;;
    137)
      if [[ $oom ]]; then
        echo " (exit code 137: out of memory)"
      else
        echo " (SIGKILL: killed after the grace time, by hand, or out of memory)"
      fi ;;
    139) echo " (SIGSEGV: the program crashed in native code)" ;;
    143) echo " (SIGTERM)" ;;
  esac
}
