# shellcheck shell=bash
# The end of `make shell`.
# Reads $dir, $at, $seconds.
# shellcheck disable=SC2154  # they are folder.sh's

# leave_shell STATUS [MARK WORDS]: keep the shell's folder only if something was written there,
# after the file MARK was; say so, and the words. Exit with STATUS, after a person's own shell with
# 0.
leave_shell() {
  local newer=() where='/opt/ml/model and /opt/ml/output'
  trap - EXIT
  count_seconds
  rm -f "$dir/container-id"
  if [[ ${2-} ]]; then newer=(-cnewer "$2"); fi
  if [[ $(find "$at/model" "$at/output" -type f ${newer[@]+"${newer[@]}"} -print 2> /dev/null |
    head -n 1) ]]; then
    close_job "Shell $seconds"
    say "what you wrote under $where is in $at${3-}"
  else
    forget_job
    say "nothing was written under $where, so no folder is kept${3-}"
  fi
  # Who typed there has seen how the last command ended; 125 and more is the engine's.
  if [[ -t 0 ]] && (( $1 < 125 )); then exit 0; fi
  exit "$1"
}
