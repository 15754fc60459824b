# shellcheck shell=bash
# A job's folder.
# Reads $library, the version of these files that the recipe was written for. Sets $job, $stamp,
# $dir, $at, $recipe, $unswept, $seconds, $places.
# shellcheck disable=SC2034,SC2154  # $library is the recipe's; $at is read in other files

job='' dir=''          # the job's name; its folder, output/<job>
stamp=''               # the end of the name: the time, and a number for jobs of one second
unswept=''             # something of the job may be left when its recipe ends
began='' seconds=''    # the machine's age when the job was made, where it is told; the job's own
recipe=''              # this process: its number, start time and machine
at=''                  # the folder of the host in hand: $dir, or output/<job>/algo-N of several
places=()              # where the job sees the project's folders: path there, path here, and so on

# new_job STEM FOLDER...: make the folder of a new job, and in it the folders that the job mounts:
# model and output start empty, as on SageMaker. -P: labels and mounts get the folder's own path,
# even where a link led here.
new_job() {
  begin_job "$1"
  shift
  furnish_job "$@"
}

# begin_job STEM: the name and the empty folder.
begin_job() {
  [[ ${library-} == 1 ]] ||
    die "this recipe is of another version of sm_local/; 'make train' writes a new one"
  cd -P . || exit 1
  [[ -d opt/ml ]] || die "no opt/ml here; run this in the project's folder"
  trap 'exit 130' INT             # without a trap Bash forgets it if the program it runs survives
  [[ -d output/.open ]] || mkdir -p output/.open 2> /dev/null || true
  find_start $$ || true
  recipe="$$ $start $HOSTNAME"
  name_job "$1"
  leave_nothing
  { echo "$recipe" > "output/.open/$job"; } 2> /dev/null || true
}

# furnish_job FOLDER...: what is in it from the start. One that was parked has the folders.
furnish_job() {
  { [[ -d $dir/record ]] || mkdir -p "$dir/record" "${@/#/$dir/}"; } 2> /dev/null || no_room
  { reserve "$@" && keep_recipe; } 2> /dev/null || no_room
  { read -r began _ < /proc/uptime; } 2> /dev/null || true
  record recipe="$recipe" status=InProgress ${SM_LOCAL_WATCH:+"watch=$SM_LOCAL_WATCH"}
  if [[ $unkept ]]; then exit 1; fi
}

# name_job STEM: make the job's folder. This is the atomic step: two jobs that start in the same
# second get a folder each.
name_job() {
  local stem time n=1
  utc_time
  stem=$1-$time
  job=$stem
  until mkdir -m 700 "output/$job" 2> /dev/null; do
    [[ -d output/$job ]] || refuse_output
    job=$stem-$((++n))
  done
  dir=output/$job at=output/$job stamp=${job#"$1"}
}

# refuse_output: die because there is no place for the job's folder.
refuse_output() {
  local remedy="is output/ yours? 'make chown' gives it back"
  if [[ -O output && ! -w output ]]; then remedy="nobody may write there: 'chmod u+w output'"; fi
  die "cannot make output/$job; $remedy"
}

# no_room: die because a job's folder cannot be made.
no_room() {
  die "$dir could not be made; is the disk full? 'make doctor' says how much is free," \
    "'make clean' deletes old jobs"
}

# leave_nothing: until the job has started there is nothing worth keeping. With a trap no signal is
# lost: without one, Bash ignores Ctrl-C if the program that runs then ends as usual.
leave_nothing() {
  trap forget_job EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
}

# forget_job: leave nothing of it here. A process beside it may still write there, and a copy of a
# folder without write permission keeps what is in it.
forget_job() {
  local tries=0
  until rm -rf "$dir" "output/.open/$job" 2> /dev/null || (( tries++ >= 20 )); do
    chmod -R u+rwX "$dir" 2> /dev/null || true
    sleep 0.05
  done
}

# close_job STATUS: write the job's last status. By one rename the status is known and the job is no
# longer among the open ones, of which sweep.sh looks for those that nobody will close.
close_job() {
  if [[ $unswept ]]; then
    record "status=$1"
    return 0
  fi
  { printf '%s\n' "$1" > "output/.open/$job" && move "output/.open/$job" "$dir/status"; } \
    2> /dev/null || record "status=$1"
}

# count_seconds: set $seconds to the job's age, by a clock that nobody sets where there is one.
count_seconds() {
  local now
  seconds=$SECONDS
  if [[ $began ]]; then
    read -r now _ < /proc/uptime
    seconds=$(( (10#${now/./} - 10#${began/./}) / 100 ))
  fi
  if (( seconds < 0 )); then seconds=0; fi
}

# write_config NAME TEXT: write one of the files that the host finds in its config folder.
write_config() { { printf %s "$2" > "$at/config/$1"; } 2> /dev/null || no_room; }

# remember_place SOURCE TARGET: the job sees this folder of the project at TARGET.
remember_place() { places+=("$2" "$1"); }

# utc_time: set the caller's $time as the names of jobs have it; by Bash itself where it can.
utc_time() {
  if (( BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 402 )); then
    TZ=UTC0 printf -v time '%(%Y%m%d-%H%M%S)T' -1
  else
    time=$(date -u +%Y%m%d-%H%M%S)
  fi
}

# keep_recipe: copy the recipe into the job's folder, without a process.
keep_recipe() {
  local text=''
  IFS= read -r -d '' text < "$0" || true
  printf %s "$text" > "$dir/recipe.sh"
}
