#!/usr/bin/env bash
# usage: make chown    what jobs left belongs to you again, without sudo
# In your jobs' folders everything becomes yours, elsewhere only root's files: a colleague's stay
# theirs. Links are not followed. In the channels (a job can write there with CHANNELS=rw only)
# root's files count only when they are newer than the first job.
set -euo pipefail
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
    if [[ -d $folder && $(owned_by_root "$folder" | head -n 1) ]]; then others+=("$folder"); fi
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

# owned_by_root FOLDER: print what would change hands: root's files, and all that is not yours in
# your jobs' folders.
owned_by_root() {
  local job
  find "$1" -user 0 -print 2> /dev/null || true
  if [[ $1 != output ]]; then return 0; fi
  for job in output/*/; do
    if [[ -O $job && -f $job/recipe.sh ]]; then
      find "$job" ! -user "$EUID" -print 2> /dev/null || true
    fi
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
