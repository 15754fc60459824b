# shellcheck shell=bash
# What is different in a job's own recipe when it opens a shell where the job has ended. The
# functions here take the place of those that the recipe has sourced under the same names.
# Reads $reopened, the job, and $reopened_host, one of its hosts or '' for the first, which
# reopen.sh sets, and what lib/ sets.
# shellcheck disable=SC2034,SC2154  # so shellcheck misses a use and an assignment here

source sm_local/lib/shell.sh
make_begin=$(declare -f begin_job) make_furnish=$(declare -f furnish_job)
# `source <( )` would read nothing in Bash 3.2
source /dev/stdin <<< "make_begin${make_begin#begin_job}"
source /dev/stdin <<< "make_furnish${make_furnish#furnish_job}"

old=output/$reopened   # the job's folder; $dir is the shell's
rc=0                   # the shell's exit status
shell_here='if command -v bash > /dev/null; then exec bash; else exec sh; fi'

# begin_job STEM: make a folder for the shell. The job's name stays its own.
begin_job() {
  if [[ -d $old/algo-1 && ! $reopened_host ]]; then reopened_host=algo-1; fi
  [[ -d $old/$reopened_host ]] || die "$reopened has no host $reopened_host"
  make_begin "$1"
  stamp=${reopened#"$1"}
}

# furnish_job FOLDER...: make these in it, with copies of what the job has left there.
furnish_job() {
  local folder
  make_furnish "$@"
  for folder; do
    case /$folder/ in
      */config/* | */cow/* | */code/* | */pipes/*) continue ;;
      */output/*) folder=${folder%%output/*}output ;;
    esac
    copy_in "$folder"
  done
  : > "$dir/record/copied"
}

# copy_in FOLDER: copy what the job has left there.
copy_in() {
  if [[ ! -d $old/$1 ]]; then return 0; fi
  cp -pR "$old/$1/." "$dir/$1/" || die "$old/$1 could not be copied (above); is the disk full?"
}

# keep_recipe: the job's own; the sandbox runs it once more inside its namespaces.
keep_recipe() { cp "$old/recipe.sh" "$dir/recipe.sh"; }

# take_code: what the job ran; code/ of today where that was too large to be recorded.
take_code() {
  local entry
  for entry in "$old"/code/* "$old"/code/.[!.]*; do
    if [[ -e $entry ]]; then
      cp -pR "$old/code/." "$dir/code/"
      return 0
    fi
  done
  large=1
  say "the code of $reopened was not recorded: this is code/ as it is today"
}

# checkpoints_name: a shell keeps no job off the checkpoints.
checkpoints_name() { name=$job-$$-shell; }

# start_job COMMAND...: open the shell in the place of the job's program, on one host.
start_job() {
  local command terminal=(--interactive) checkpoints=''
  "$before_start"
  case $1 in
    run_parked) shift ;;
    python3) shift 3 ;;               # PDB=1's own terminal
  esac
  command=("$1")
  if [[ $at != "$dir" && ${at##*/} != "$reopened_host" ]]; then return 0; fi
  record verb=shell
  if [[ -t 0 && -t 1 ]]; then terminal+=(--tty); fi
  if declare -F need_image > /dev/null; then
    need_image
    in_image "${@:2}"
  else
    in_sandbox "${@:2}"
  fi
  if [[ " ${places[*]} " == *' opt/ml/checkpoints '* ]]; then
    checkpoints=", today's checkpoints"
  fi
  say "a shell where $reopened has ended: its code, copies of its model and output$checkpoints;" \
    "'exit' leaves it"
  trap : INT TERM HUP USR1            # signals are for the shell inside
  "${command[@]}" || rc=$?
}

# in_image run OPTION... IMAGE WORD...: add it to the engine in start_job's $command, with a shell
# as the program.
in_image() {
  local own=${built:-$image}
  if [[ $built && recipes/.built-$engine -nt $old/recipe.sh ]]; then
    say "the image was built anew since $reopened ran"
  fi
  while (( $# )) && [[ $1 != "$own" ]]; do
    case $1 in
      --entrypoint) shift 2 ;;
      --interactive | --tty) shift ;;
      *)
        command+=("$1")
        shift ;;
    esac
  done
  command+=("${terminal[@]}" --entrypoint sh "$own" -c "$shell_here")
}

# in_sandbox WORD... env -i NAME=VALUE... PROGRAM...: the same behind the sandbox's first word.
in_sandbox() {
  while [[ $1 != env || $2 != -i ]]; do
    command+=("$1")
    shift
  done
  command+=(env -i)
  shift 2
  while [[ $1 =~ ^([A-Za-z_][A-Za-z0-9_]*=|looked-up:) ]]; do
    command+=("$1")
    shift
  done
  command+=("PATH=$PWD/container:$PATH" "TERM=${TERM:-dumb}" bash)
}

# limit_time SECONDS: a person takes as long as it takes.
limit_time() { say "the job had at most $1 s; this shell has no limit"; }

# verdict PRODUCT: the shell has ended.
verdict() {
  at=$dir${reopened_host:+/$reopened_host}
  drop_copies
  rm -f "$dir"/algo-*/container-id
  if (( EUID )) && is_as_it_was; then touch "$dir/record/copied"; fi
  leave_shell "$rc" "$dir/record/copied" "; $old is as it was"
}

# is_as_it_was: is what is here what the job left? When files are given back to a caller who is not
# root, each has a new time of change, so only their contents tell.
is_as_it_was() {
  local name
  for name in model output; do
    diff -rq "$old${reopened_host:+/$reopened_host}/$name" "$at/$name" > /dev/null 2>&1 || return 1
  done
}

# look_at_code: and what follows: a shell has neither an end to wait for nor results to hand over.
look_at_code() { :; }
lock_checkpoints() { :; }
drop_deadline() { :; }
listen() { :; }
warn_if_stale() { :; }
point_links() { :; }
wait_job() { :; }
settle() { :; }
pack() { :; }
look_for_debugger() { :; }
need_terminal() { :; }
leave_terminal() { :; }

# say_start HEADLINE: and what follows: nothing is parked for a shell.
say_start() { say "$job: $1"; }
take_parked() { :; }
fit_parked() { :; }
leave_parked() { :; }
park() { :; }
