# shellcheck shell=bash

# start_credentials ADDRESS REGION [ROLE]: serve the caller's credentials, or a role's, to this job alone. The server's stdin is
# held by the recipe and by the job, so it ends with the last of them. The variable goes to the container by its name:
# the command line, the recipe and the log do not show it.
start_credentials() {
  local variable=''
  if [[ ! -e sm_local/.venv/aws ]]; then bash sm_local/libexec/venv.sh aws; fi
  mkfifo "$dir/.in" "$dir/.out"
  ( sm_local/.venv/bin/python -m sm_local.libexec.credentials "$@" < "$dir/.in" > "$dir/.out" & )
  exec 6> "$dir/.in"
  read -r variable < "$dir/.out" || true
  rm "$dir/.in" "$dir/.out"
  if [[ ! $variable ]]; then exit 1; fi            # it has said why
  export "${variable%%=*}=${variable#*=}"
  credentials=(--env "${variable%%=*}")
}
