#!/usr/bin/env bash
# usage: devcontainer.sh ENGINE own|named|dlc|other IMAGE NAME REMEDY [kernel]    IMAGE gets NAME
# An editor calls it on this machine, in the project's folder, before it makes the container. IMAGE
# is the one that `make train` runs, NAME one that no registry resolves: editors pull what is
# missing. With `kernel`, .devcontainer/kernel leads to a Jupyter kernel for its Python.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh
source sm_local/lib/build.sh

main() {
  local engine=$1 source=$2 image=$3 name=$4 missing=$5 built=$3 kernel
  cd -P . || exit 1
  if [[ $source == own ]]; then find_built; fi
  "$engine" image inspect "$built" > /dev/null 2>&1 ||
    die "image '$image' is not here; ${missing:-"'$engine pull $image' fetches it"}"
  "$engine" tag "$built" "$name"
  if [[ $(< .devcontainer/devcontainer.json) == *opt/ml/checkpoints* ]]; then
    mkdir -p opt/ml/checkpoints
  fi
  if [[ ${6-} ]]; then
    kernel=$(bash -p sm_local/libexec/kernel.sh "$engine" "$name") || exit 1    # it has said why
    ln -sfn "$kernel" .devcontainer/kernel
  fi
}

main "$@"
