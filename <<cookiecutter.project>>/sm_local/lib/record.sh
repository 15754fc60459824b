# shellcheck shell=bash
# What is known of a job, a file for each fact: output/<job>/record/KEY, one line. Three facts are
# for people and programs too and have their documented places: output/<job>/status, exit-code and
# container-id. `make stop`, `jobs` and `clean` know jobs by these files alone.
#
#   recipe      the process that runs the job's recipe: its number, start time and machine
#   verb        train, process or shell
#   engine      docker, podman or sandbox
#   stop_grace  seconds between SIGTERM and SIGKILL
#   failed      the folder of the first of several hosts to fail
#   events      what the engine says of the job's containers (events.sh)
#   broken      why the data of a Pipe channel cannot be read
#   old_model, old_output       where the links in opt/ml led before this job
#   empty_model, empty_output   there was an empty folder in place of the link
#
# Reads $dir, the job's folder. Sets $value.
# shellcheck disable=SC2154  # $dir is the caller's

value=''               # what recall found

# record KEY=VALUE...: write facts of the job in $dir. A new one is written by Bash itself, without
# a process; one that changes is moved into place, so a reader finds the old one or the new one.
# The disk may be full: then the fact is empty, that is, unknown. Never fails.
record() {
  local fact file new
  for fact; do
    fact_file "${fact%%=*}" "$dir"
    if [[ ! -e $file ]]; then
      printf '%s\n' "${fact#*=}" > "$file" || true
      continue
    fi
    new=$file.new.$$
    { printf '%s\n' "${fact#*=}" > "$new" && move "$new" "$file"; } ||
      { rm -f "$new" && : > "$file"; } || true
  done 2> /dev/null
}

# move FILE TO: Ctrl-C reaches all that runs in the terminal, and must not end this.
move() { ( trap '' INT TERM HUP; exec mv -f "$1" "$2" ); }

# recall KEY JOB: set $value to a fact; fails where it is not known.
recall() {
  local file
  value=''
  fact_file "$1" "output/$2"
  IFS= read -r value 2> /dev/null < "$file" || true
  [[ $value ]]
}

# fact_file KEY FOLDER: set the caller's $file.
fact_file() {
  case $1 in
    status | exit-code | container-id) file=$2/$1 ;;
    *) file=$2/record/$1 ;;
  esac
}
