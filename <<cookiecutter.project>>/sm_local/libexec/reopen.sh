#!/usr/bin/env bash
# usage: make shell JOB=output/NAME[/algo-2] or JOB=last    open a shell where a job ended
# Its own recipe runs again with a shell in the place of the program (reopened.sh): the same
# settings, request and channels; its code, and copies of its model and output. In a job that still
# runs, it is `make attach`. Needs no Python that the job did not need.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh
source sm_local/lib/record.sh
source sm_local/lib/process.sh
source sm_local/libexec/chosen.sh
source sm_local/libexec/running.sh
# shellcheck disable=SC2154  # $value is record.sh's

main() {
  local job name wanted=$1
  for name in ${SM_LOCAL_GIVEN-}; do
    if [[ $name != JOB ]]; then
      die "$name: the shell of an earlier job has that job's settings; leave $name out"
    fi
  done
  if [[ $wanted == last ]]; then find_last; fi
  choose_job "$wanted"
  find_running
  if is_running "$job"; then exec bash -p sm_local/libexec/attach.sh "$wanted"; fi
  recall verb "$job" || die "output/$job is not known to be a job's folder"
  if [[ $value == shell ]]; then die "output/$job is a shell's folder, and no job ran there"; fi
  open "$wanted"
}

# find_last: set main's $wanted to the last job that is no shell.
find_last() {
  local each
  while read -r _ _ each; do
    if ! is_shell "$each"; then wanted=$each; fi
  done < <(by_time)
  [[ $wanted != last ]] || die "no job has run yet; 'make train' runs one"
}

# open NAME: run main's $job's recipe, but for its last line, which calls main().
open() {
  local host=''
  if [[ $1 == */algo-* ]]; then host=${1##*/}; fi
  exec bash -p <(sed '$d' "output/$job/recipe.sh"
    printf 'reopened=%q reopened_host=%q\n' "$job" "$host"
    echo 'source sm_local/libexec/reopened.sh'
    echo main)
}

main "$@"
