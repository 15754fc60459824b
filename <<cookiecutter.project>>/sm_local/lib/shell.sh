# shellcheck shell=bash
# The end of `make shell`.
# Reads $dir.
# shellcheck disable=SC2154  # $dir is folder.sh's

# leave_shell STATUS: keep the shell's folder only if something was written there; exit with STATUS.
leave_shell() {
  trap - EXIT
  rm -f "$dir/container-id"
  if [[ $(find "$dir/model" "$dir/output" -type f -print | head -n 1) ]]; then
    record "status=Shell $SECONDS"
    say "what you wrote under /opt/ml/model and /opt/ml/output is in $dir"
  else
    rm -rf "$dir"
  fi
  exit "$1"
}
