#!/usr/bin/env bash
# usage: make chown    what jobs left belongs to you again, without sudo
# In your jobs' folders everything becomes yours, elsewhere only root's files: a colleague's stay
# theirs. Links are not followed. In the channels (a job can write there with CHANNELS=rw only)
# root's files count only when they are newer than the first job.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh
source sm_local/lib/record.sh
source sm_local/lib/process.sh
source sm_local/lib/sweep.sh
source sm_local/lib/container.sh
source sm_local/lib/sidecar.sh
source sm_local/lib/handback.sh
source sm_local/libexec/running.sh

main() {
  local folder sudo others=()
  if (( EUID == 0 )); then
    say "you are root; what root's jobs wrote is yours"
    exit 0
  fi
  for folder in output opt/ml/checkpoints code opt/ml/input/data; do
    if has_others "$folder"; then others+=("$folder"); fi
  done
  if (( ! ${#others[@]} )); then
    say "nothing here belongs to root"
    exit 0
  fi
  sudo="'sudo chown -R $EUID ${others[*]}' gives the files back"
  image=$(any_image)
  [[ $image ]] || die "no image is here to run chown in; $sudo"
  for folder in "${others[@]}"; do
    case $folder in
      opt/ml/input/data) hand_back "$folder" new-channels ;;
      *) hand_back "$folder" "${folder//\//-}" ;;
    esac
  done
  run_with_host_tools "$image" || die "the engine could not do it; $sudo"
  say "yours again: ${others[*]}"
}

# has_others FOLDER: is there something in it that would change hands?
has_others() {
  if [[ ! -d $1 || ! $(owned_by_root "$1" | head -n 1) ]]; then return 1; fi
  if ! leads_out "$1"; then return 0; fi
  say "$1 leads out of this project, and stays as it is; 'sudo chown' changes it"
  return 1
}

# owned_by_root FOLDER: print what would change hands: root's files, and all that is not yours in
# your jobs' folders.
owned_by_root() {
  local job i yours=()
  find -H "$1" -user 0 -print 2> /dev/null || true
  if [[ $1 != output ]]; then return 0; fi
  for job in output/*/; do
    if [[ -O $job && -f $job/recipe.sh ]]; then yours+=("$job"); fi
  done
  # one program for many jobs: one for each takes long, all may be too many for a command line
  for (( i = 0; i < ${#yours[@]}; i += 1000 )); do
    find "${yours[@]:i:1000}" ! -user "$EUID" -print 2> /dev/null || true
  done
}

# any_image: print the project's own, else any; only this machine's programs run in it.
any_image() {
  local image
  image=$(setting IMAGE '')
  if [[ $image ]] && docker image inspect "$image" > /dev/null 2>&1; then
    echo "$image"
  else
    docker images --quiet 2> /dev/null | head -n 1
  fi
}

sweep
main "$@"
