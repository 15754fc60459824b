# shellcheck shell=bash
# What is known of a job, a file for each fact: output/<job>/record/KEY, one line. Three facts are
# for people and programs too and have their documented places: output/<job>/status, exit-code and
# container-id. `make stop`, `jobs` and `clean` know jobs by these files alone.
#
#   recipe      the process that runs the job's recipe: its number, start time and machine
#   verb        train, process or shell
#   watch       which run of `make watch` it is
#   engine      docker, podman or sandbox
#   stop_grace  seconds between SIGTERM and SIGKILL
#   sample      which part of the channels' files the job sees, where that is not all
#   secondary_status            SageMaker's, of a job that was stopped because its time was over
#   failed      the folder of the first of several hosts to fail
#   events      what the engine says of the job's containers (events.sh)
#   client      how the engine's client ended, where the job outlived it
#   silent      how the engine's client ended when the engine did not answer any more
#   broken      why the data of a Pipe channel cannot be read
#   old_model, old_output       where the links in opt/ml led before this job
#   empty_model, empty_output   there was an empty folder in place of the link
#
#   parked      the container that was made before the job, when it ends by itself, and how many
#               bytes it has printed by then; parked-for: what it is made for; parker: the process
#               that made it and has its client; told, detached: it was told of the job, and how
#               that client ended
#
#   reserve, reserve-algo-N   room for an exit status, should the disk be full by then
#   cut_log     what was stop_grace: a log could not be written to its end
#
# Reads $dir, the job's folder. Sets $value and $unkept.
# shellcheck disable=SC2034,SC2154  # $dir is the caller's; other files read $unkept

value=''               # what recall found
unkept=''              # something is not kept: the exit status of a recipe whose job succeeded

# record KEY=VALUE...: write facts of the job in $dir. Never fails; says what could not be kept.
record() {
  local fact file
  for fact; do
    fact_file "${fact%%=*}" "$dir"
    if ! keep "$file" "${fact#*=}"; then
      unkept=1
      say "$file could not be kept; it should be '${fact#*=}'. Is the disk full?"
    fi
  done
}

# keep FILE TEXT: write a fact, if need be where it takes no new room.
keep() { { write_fact "$@" || overwrite "$@"; } 2> /dev/null; }

# write_fact FILE TEXT: a new one is written by Bash itself, without a process; one that changes is
# moved into place, so a reader finds the old one or the new one. One that cannot be written stays
# as it was.
write_fact() {
  local new=$1
  if [[ -e $1 ]]; then new=$1.new.$$; fi
  if printf '%s\n' "$2" > "$new"; then
    if [[ $new == "$1" ]] || move "$new" "$1"; then return 0; fi
  fi
  rm -f "$new"
  return 1
}

# reserve FOLDER...: make room for the job's exit status, and for that of each host whose config
# folder is among these.
reserve() {
  local folder name
  for folder in config "$@"; do
    case $folder in
      config) name=reserve ;;
      algo-*/config) name=reserve-${folder%/config} ;;
      *) continue ;;
    esac
    printf '%s\n\n\n\n' '' > "$dir/record/$name"
  done
}

# overwrite FILE TEXT: write a fact over what a block of the disk has already: over the old one, or
# over newlines, and so it may end with blanks or empty lines.
overwrite() {
  local folder=${1%/*} host new=$1
  if [[ ! -s $1 ]]; then
    host=${folder#"$dir"}
    new=$1.new.$$
    move "$dir/record/reserve${host/\//-}" "$new"
  fi
  [[ -s $new ]] || return 1
  if [[ $1 == */status ]]; then
    printf '%-32s\n' "$2" 1<> "$new"
  else
    printf '%s\n' "$2" 1<> "$new"
  fi && { [[ $new == "$1" ]] || move "$new" "$1"; }
}

# note_cut_log: a log could not be written. By a rename, for which there is room.
note_cut_log() {
  mv -f "$dir/record/stop_grace" "$dir/record/cut_log" 2> /dev/null || true
}

# move FILE TO: Ctrl-C reaches all that runs in the terminal, and must not end this.
move() { ( trap '' INT TERM HUP; exec mv -f "$1" "$2" ); }

# recall KEY JOB: set $value to a fact; fails where it is not known.
recall() {
  local file
  value=''
  fact_file "$1" "output/$2"
  IFS= read -r value 2> /dev/null < "$file" || true
  if [[ $1 == status ]]; then value=${value%%  *}; fi     # it may have been overwritten
  [[ $value ]]
}

# fact_file KEY FOLDER: set the caller's $file.
fact_file() {
  case $1 in
    status | exit-code | container-id) file=$2/$1 ;;
    *) file=$2/record/$1 ;;
  esac
}
