# shellcheck shell=bash

# leave_shell STATUS: keep the shell's folder only if something was written there.
leave_shell() {
  trap - EXIT
  rm -f "$dir/container-id" "$dir/.recipe"
  if [[ $(find "$dir/model" "$dir/output" -type f -print | head -n 1) ]]; then
    echo "Shell $SECONDS" > "$dir/status"
    say "what you wrote under /opt/ml/model and /opt/ml/output is in $dir"
  else
    rm -rf "$dir"
  fi
  exit "$1"
}
