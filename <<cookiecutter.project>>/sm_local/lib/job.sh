# shellcheck shell=bash
# A job's life: its process group, its signals, its verdict.
# engine_stop SECONDS and engine_kill come from the engine's file.

running=() rc=''       # the processes whose end is the job's end, one a host; the container's exit status
stops=0 ending=''      # signals that asked for a stop; the recipe's exit status then
unwritten=''           # the exit status is not known: its file could not be written

# start_job COMMAND...: start it as the job, or as one of its hosts, log it, and hand signals on as SageMaker does.
start_job() {
  local early=''
  if (( stops )); then return 0; fi               # asked to stop before all hosts were started
  trap 'early=INT' INT; trap 'early=TERM' TERM; trap 'early=HUP' HUP; trap 'early=USR1' USR1
  trap - EXIT
  set -m                                          # a process group of its own: Ctrl-C reaches this script alone
  if [[ $at == "$dir" ]]; then
    run_here "$@" 2>&1 | keep_log "$at" &
  else
    run_here "$@" 2>&1 | keep_log "$at" | show_host &
  fi
  running+=($!)
  set +m
  trap interrupt INT
  trap 'stop_job 143 "$stop_grace"' TERM
  trap 'stop_job 129 "$stop_grace"' HUP
  trap host_failed USR1
  case $early in                                  # it came before there was a job to stop
    INT) interrupt ;;
    TERM) stop_job 143 "$stop_grace" ;;
    HUP) stop_job 129 "$stop_grace" ;;
    USR1) host_failed ;;
  esac
}

# wait_job: wait for the job's end; sets $rc. Of several hosts the first that failed speaks for the job. Hosts must be the only
# children: when a signal comes just as one ends, Bash may lose its end and wait until there is no child at all.
wait_job() {
  local host
  for host in "${running[@]}"; do
    until wait "$host" 2>/dev/null; do kill -0 "$host" 2>/dev/null || break; done
  done
  trap '' INT TERM HUP USR1                       # what is left is short, and must not be left half done
  if [[ $at != "$dir" ]]; then
    at=$dir/algo-1
    if [[ -s $dir/failed ]]; then read -r at < "$dir/failed"; fi
    cp "$at/exit-code" "$dir/exit-code" 2> /dev/null || true
  elif [[ /dev/stdout -ef /dev/stderr && $(tail -c 1 "$at/log" 2> /dev/null | LC_ALL=C tr '\000' '?') ]]; then
    printf '\n' >&2 || true                         # output that ends within a line; the verdict has one of its own
  fi
  if ! read -r rc 2> /dev/null < "$dir/exit-code"; then
    rc=137                                        # no file: the job's own processes here were killed too
    if [[ -e $dir/exit-code ]]; then rc=1 unwritten=1; fi
  fi
}

# run_here COMMAND...: run it and note its exit status.
run_here() {
  rc=0
  "$@" < /dev/null || rc=$?
  { echo "$rc" > "$at/exit-code"; } 2> /dev/null || true      # the disk may be full
  if [[ $at != "$dir" ]] && (( rc )); then tell_failure; fi
}

# tell_failure: the first of several hosts to fail leaves its folder's name and wakes the recipe, which stops the others.
tell_failure() {
  if ( set -C; echo "$at" > "$dir/failed" ) 2> /dev/null; then kill -USR1 $$; fi
}

# host_failed: a job needs all its hosts, and all its data. How SageMaker ends the others is not documented: here as Ctrl-C
# does. Hosts that `make stop` is ending have not failed.
host_failed() {
  local now=''
  read -r now < "$dir/status" || true             # empty while it is written, or after a full disk
  if [[ $now == Stopping ]] || (( stops++ )); then return 0; fi
  if [[ -e $dir/broken ]]; then say "stopping the job: its data cannot be read"; else say "a host failed: stopping the others"; fi
  until_gone stop "$interrupt_grace"
}

# show_host: of several hosts, each line says whose it is. Not awk: Debian's keeps lines back until it has 4096 bytes.
show_host() {
  local line=''
  trap '' PIPE TTOU
  while IFS= read -r line || [[ $line ]]; do printf '%s | %s\n' "${at##*/}" "$line" || break; line=''; done 2> /dev/null
  cat > /dev/null
}

# keep_log FOLDER: stdin to the terminal, live, and to FOLDER/log, also when the reader of the terminal's side has gone.
# What the Docker client says for itself before a container runs goes to FOLDER/engine-error; the verdict explains it.
keep_log() {
  local start='' line='' one='' ended=''
  trap '' PIPE TTOU
  : > "$1/log"
  while [[ 'docker: ' == "$start"?* ]] && IFS= read -r -d '' -n 1 one; do
    start+=$one
    if [[ ! $one ]]; then ended='\0'; break; fi   # a NUL, which Bash cannot hold
  done
  if [[ $start == 'docker: ' ]]; then
    if IFS= read -r line; then ended='\n'; fi
    if [[ $line == 'Error response from daemon'* ]]; then printf '%s\n' "$line" | tee "$1/engine-error" > "$1/log"; cat > /dev/null; return 0; fi
  fi
  printf '%s%b' "$start$line" "$ended" >> "$1/log"
  printf '%s%b' "$start$line" "$ended" 2>/dev/null || true
  exec tee -a "$1/log" 2>/dev/null
}

# stop_job STATUS GRACE: as StopTrainingJob: SIGTERM, SIGKILL after GRACE seconds. A closing terminal sends HUP twice and
# make repeats TERM, so only the first one counts. A trap must return 0, or `set -e` ends the recipe before it has packed.
stop_job() {
  if (( stops++ )); then return 0; fi
  ending=$1
  { echo Stopping > "$dir/status"; } 2> /dev/null || true
  until_gone stop "$2"
}

# interrupt: Ctrl-C stops, a second one kills.
interrupt() {
  if (( stops )); then until_gone kill; return 0; fi
  stop_job 130 "$interrupt_grace"
  say "stopping $job: SIGTERM now, SIGKILL in $interrupt_grace s; Ctrl-C again kills it at once"
}

# until_gone stop SECONDS | until_gone kill: repeated until the job has ended, for there may be no container yet.
until_gone() {
  while still_running; do
    case $1 in
      stop) engine_stop "$2" || true ;;
      kill) engine_kill || true ;;
    esac
    sleep 0.2
  done < /dev/null > /dev/null 2>&1 4>&- 5>&- 6>&- 8>&- 9<&- &
}

still_running() {
  local host
  for host in "${running[@]}"; do
    if kill -0 "$host" 2> /dev/null; then return 0; fi
  done
  return 1
}

# point_links FOLDER NAME...: opt/ml/NAME shows the last job's; what a person had there is kept. What was there stays
# in the job's folder until the verdict: nobody knows yet whether the engine refuses the job.
point_links() { ( trap '' INT TERM HUP; move_links "$@" ) || true; }      # Ctrl-C reaches `ln` too

move_links() {
  local name folder=$1
  shift
  for name; do
    if [[ -L opt/ml/$name ]]; then
      cp -RP "opt/ml/$name" "$dir/.$name"
    elif [[ -d opt/ml/$name ]]; then
      if rmdir "opt/ml/$name" 2>/dev/null; then
        mkdir "$dir/.$name"
      else
        mkdir -p "output/before-$job"
        mv "opt/ml/$name" "output/before-$job/"
        say "opt/ml/$name held files of yours; they are in output/before-$job/$name now"
      fi
    fi
    ln -sfn "../../$folder/$name" "opt/ml/$name"       # not mv: that would move the link into the old job's folder
  done
}

# restore_links: as if there had been no such job; what another one has pointed elsewhere since stays.
restore_links() {
  local name
  for name in model output; do
    if [[ $(readlink "opt/ml/$name") != "../../$dir"/* ]]; then continue; fi
    rm "opt/ml/$name"
    if [[ -L $dir/.$name || -d $dir/.$name ]]; then
      mv "$dir/.$name" "opt/ml/$name"
    elif [[ -d output/before-$job/$name ]]; then
      mv "output/before-$job/$name" opt/ml/
      say "opt/ml/$name holds them again"
    fi
  done
  rmdir "output/before-$job" 2> /dev/null || true
}

# not_started: nothing ran, so nothing is kept; say what the engine had against it.
not_started() {
  local error
  error=$(cat "$at/engine-error" 2> /dev/null || head -n 1 "$at/log")
  restore_links
  rm -rf "$dir"
  explain_refusal "$error"
}

# verdict PRODUCT: one line that says how the job ended and where its files are; exits as the container did.
verdict() {
  local status=Completed now='' oom=''
  if (( rc == 137 )) && out_of_memory; then oom=1; fi
  read -r now < "$dir/status" || true
  if [[ -e $dir/broken ]] && (( ! rc )); then
    rc=1
    { echo "$rc" > "$dir/exit-code"; } 2> /dev/null || true
  fi
  if [[ $now == Stopping ]]; then status=Stopped; elif (( rc )); then status=Failed; fi
  rm -rf "$dir/.model" "$dir/.output" "$dir/.recipe"
  { echo "$status $SECONDS" > "$dir/status"; } 2> /dev/null || true
  if [[ $unwritten ]]; then say "the job's exit status could not be written to $dir/exit-code, and is not known; is the disk full?"; exit "${ending:-1}"; fi
  case $status in
    Completed) say "Completed in $SECONDS s; $1: $at/$1$(emptiness "$1")" ;;
    Stopped)   say "Stopped after $SECONDS s, exit code $rc$(meaning "$rc"): $dir" ;;
    Failed)    say "Failed after $SECONDS s: $(failure_reason "$rc")$(meaning "$rc"); log, model and output are in $dir" ;;
  esac
  if [[ $status == Stopped ]]; then exit "${ending:-143}"; fi
  exit "$rc"
}

# emptiness FOLDER: a job that saved nothing has mostly saved it elsewhere.
emptiness() {
  local entry
  for entry in "$at/$1"/* "$at/$1"/.[!.]*; do
    if [[ -e $entry ]]; then return 0; fi
  done
  echo " (empty: nothing was written to /opt/ml/$1)"
}

# failure_reason STATUS: the FailureReason that DescribeTrainingJob would show, at most 1024 characters.
failure_reason() {
  local text=''
  if [[ -f $at/output/failure && ! -L $at/output/failure ]]; then
    text=$(head -c 4096 "$at/output/failure" | LC_ALL=C tr -d '\000-\010\013-\037\177')
  fi
  text="AlgorithmError: $text, exit code: $1"
  if [[ $oom ]]; then
    text="ClientError: Please use an instance type with more memory, or reduce the size of job data processed on an instance."
  fi
  if [[ -e $dir/broken ]]; then text=$(< "$dir/broken"); fi
  printf '%s' "${text:0:1024}" | iconv -c -f UTF-8 -t UTF-8      # no half character where a locale counts bytes
}

# meaning STATUS: a plain word for the statuses that are not the script's own.
meaning() {
  if [[ -e $dir/broken ]]; then return 0; fi      # the recipe ended it
  case $1 in
    126) echo " (the program that should run is not executable)" ;;
    127) echo " (the program that should run is not in the image: SageMaker starts 'train', found on PATH)" ;;
    137) if [[ $oom ]]; then echo " (exit code 137: out of memory)"; else echo " (SIGKILL: killed after the grace time, by hand, or out of memory)"; fi ;;
    139) echo " (SIGSEGV: the program crashed in native code)" ;;
    143) echo " (SIGTERM)" ;;
  esac
}
