# shellcheck shell=bash
# The end of `make shell`.
# Reads $dir, $seconds.
# shellcheck disable=SC2154  # they are folder.sh's

# leave_shell STATUS: keep the shell's folder only if something was written there; exit with STATUS,
# after a person's own shell with 0.
leave_shell() {
  trap - EXIT
  count_seconds
  rm -f "$dir/container-id"
  if [[ $(find "$dir/model" "$dir/output" -type f -print | head -n 1) ]]; then
    close_job "Shell $seconds"
    say "what you wrote under /opt/ml/model and /opt/ml/output is in $dir"
  else
    forget_job
  fi
  # Who typed there has seen how the last command ended; 125 and more is the engine's.
  if [[ -t 0 ]] && (( $1 < 125 )); then exit 0; fi
  exit "$1"
}
