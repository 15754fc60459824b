#!/bin/sh
# usage: state.sh JOB-FILE GIVEN    called by Make before it looks at the recipes
# Throws the recipes away when what they were made from has changed. By content, not by time: mv, cp -p and a git
# checkout keep old times. What they were made from: files, the list of channels, and what the choice of engine and GPU
# rests on. Values on the command line (GIVEN is not empty) always write new ones.
[ -d recipes ] || mkdir recipes
state=$(
  exec 2>&1
  cksum "$1" settings.env settings.local.env opt/ml/input/config/hyperparameters.json \
    sm_local/*.py sm_local/*.json sm_local/*.tsv sm_local/bash/*.sh "${DOCKER_CONFIG:-$HOME/.docker}/config.json" /etc/docker/daemon.json /etc/hostname
  echo opt/ml/input/data/*/
  echo "$2" "$DOCKER_HOST" "$DOCKER_CONTEXT"
  echo /var/run/docker.soc[k] "$HOME"/.docker/run/docker.soc[k] "$XDG_RUNTIME_DIR"/docker.soc[k]
  echo /dev/nvidia[0-9]* /dev/dxg /etc/cdi/* /var/run/cdi/*
  command -v docker dockerd podman unshare nvidia-container-runtime-hook nvidia-cdi-hook
)
if [ "$2" ] || [ "$state" != "$(cat recipes/.state 2>/dev/null)" ]; then
  rm -f recipes/*.sh
  printf '%s\n' "$state" > recipes/.state
fi
