# shellcheck shell=bash
# AWS credentials for the job alone.
# Reads $answer. Sets $credentials, arguments of `docker run`.
# shellcheck disable=SC2034,SC2154  # the recipe reads $credentials; $answer is sidecar.sh's

# start_credentials ADDRESS REGION [ROLE]: serve the caller's credentials, or a role's, to this job
# alone. The server prints the variable that points to it. It goes to the container by its name:
# the command line, the recipe and the log do not show it.
start_credentials() {
  if [[ ! -e sm_local/.venv/aws ]]; then bash -p sm_local/libexec/venv.sh aws; fi
  sidecar credentials exec sm_local/.venv/bin/python -m sm_local.libexec.credentials "$@"
  if [[ ! $answer ]]; then exit 1; fi     # the server has said why
  export "${answer%%=*}=${answer#*=}"
  credentials=(--env "${answer%%=*}")
}
