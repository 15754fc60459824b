# shellcheck shell=bash
# A job's folder.
# Reads $library, the version of these files that the recipe was written for. Sets $job, $stamp,
# $dir, $at, $places.
# shellcheck disable=SC2034,SC2154  # $library is the recipe's; $at is read in other files

job='' dir=''          # the job's name; its folder, output/<job>
stamp=''               # the end of the name: the time, and a number for jobs of one second
at=''                  # the folder of the host in hand: $dir, or output/<job>/algo-N of several
places=()              # where the job sees the project's folders: path there, path here, and so on

# new_job STEM FOLDER...: make the folder of a new job, and in it the folders that the job mounts:
# model and output start empty, as on SageMaker. -P: labels and mounts get the folder's own path,
# even where a link led here.
new_job() {
  local stem time n=1
  [[ ${library-} == 1 ]] ||
    die "this recipe is of another version of sm_local/; 'make train' writes a new one"
  cd -P . || exit 1
  [[ -d opt/ml ]] || die "no opt/ml here; run this in the project's folder"
  [[ -d output ]] || mkdir -p output
  utc_time
  stem=$1-$time
  job=$stem
  # the atomic step: two jobs that start in the same second get a folder each
  until mkdir "output/$job" 2> /dev/null; do
    [[ -d output/$job ]] ||
      die "cannot make output/$job; is output/ yours? 'make chown' gives it back"
    job=$stem-$((++n))
  done
  dir=output/$job at=output/$job stamp=${job#"$1"}
  trap 'rm -rf "$dir"' EXIT       # until the job has started there is nothing worth keeping
  shift
  { mkdir -p "$dir/record" "${@/#/$dir/}" && reserve "$@" && keep_recipe; } 2> /dev/null || no_room
  find_start $$ || true
  record recipe="$$ $start $HOSTNAME" status=InProgress
  if [[ $unkept ]]; then exit 1; fi
}

# no_room: die because a job's folder cannot be made.
no_room() {
  die "$dir could not be made; is the disk full? 'make doctor' says how much is free," \
    "'make clean' deletes old jobs"
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
  local line='' text=''
  while IFS= read -r line || [[ $line ]]; do text+=$line$'\n'; done < "$0"
  printf %s "$text" > "$dir/recipe.sh"
}
