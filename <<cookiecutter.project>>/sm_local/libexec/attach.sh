#!/usr/bin/env bash
# usage: make attach [JOB=output/NAME[/algo-2]]    open a shell beside the script, in a running job
# The script goes on; leaving the shell ends nothing. The newest job, and its first host, unless one
# is named.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh
source sm_local/lib/record.sh
source sm_local/lib/process.sh
source sm_local/libexec/chosen.sh
source sm_local/libexec/running.sh

# what the image has: Bash, or any shell
shell='if command -v bash > /dev/null; then exec bash; else exec sh; fi'

main() {
  local job dir id='' tty=() found=''
  find_running
  find_newest "${1-}"
  dir=output/$job
  if [[ $1 == */algo-* ]]; then dir=output/$job/${1##*/}; fi
  if [[ ! -f $dir/container-id && -d $dir/algo-1 ]]; then dir=$dir/algo-1; fi
  read -r id 2> /dev/null < "$dir/container-id" || true
  [[ $id ]] || die "$job has no container yet; try again in a moment"
  recall engine "$job" || true
  say "a shell in $job; 'exit' leaves it, the job goes on"
  if [[ $value == sandbox ]]; then enter_sandbox "$id"; fi
  if [[ -t 0 ]]; then tty=(--tty); fi
  exec "$value" exec --interactive "${tty[@]+"${tty[@]}"}" "$id" sh -c "$shell"
}

# find_newest NAME: set $job to the job that is named, or to the running one that started last.
find_newest() {
  local each
  if [[ $1 ]]; then
    choose_job "$1"
    is_running "$job" ||
      die "$job is not running; 'make shell JOB=output/$job' opens a shell where it ended"
    return 0
  fi
  job=''
  while read -r _ _ each; do
    if is_running "$each"; then job=$each; fi
  done < <(by_time)
  [[ $job ]] || die "no job of this project is running; 'make shell' opens a shell without one"
}

# enter_sandbox PROCESS: become a shell in its namespaces, with its environment.
enter_sandbox() {
  local environment=() each
  while IFS= read -r -d '' each; do environment+=("$each"); done < "/proc/$1/environ"
  exec nsenter --target "$1" --all --preserve-credentials --root --wd env -i \
    "${environment[@]+"${environment[@]}"}" sh -c "$shell"
}

main "$@"
