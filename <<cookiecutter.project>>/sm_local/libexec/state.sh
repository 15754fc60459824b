#!/bin/sh
# usage: state.sh JOB-FILE GIVEN    print the folder that has the recipes of now
# Make calls it before it looks at the recipes. There is a folder for each state of what recipes are
# made from, known by content and not by time: mv, cp -p and a git checkout keep old times. That is:
# files, the list of channels, what the choice of engine and GPU rests on, and the command line
# (GIVEN); not lib/, which recipes source. Calls at the same time with other values do not meet.
# recipes/*.sh, which people read, are the last ones used.
# Where sh is Bash, it takes functions and options from the environment, and Make's unexport does
# not reach a $(shell).
set +efuvxC
unset -f cksum command echo find mkdir rm sh
unset GLOBIGNORE POSIXLY_CORRECT
job=${1:-job.yaml} given=$2 odd=''
set -- "$job" processing.yaml settings.env settings.local.env \
  opt/ml/input/config/hyperparameters.json \
  "${DOCKER_CONFIG:-$HOME/.docker}/config.json" /etc/docker/daemon.json
# Reading a FIFO would wait and /dev/zero has no end: what is no file counts by its name, and Python
# says what is wrong with it.
for file; do
  shift
  if [ -f "$file" ] || ! [ -e "$file" ]; then
    set -- "$@" "$file"
  else
    odd="$odd $file"
  fi
done
sum=$(
  {
    cksum -- "$@" /etc/hostname sm_local/*.py sm_local/*.tsv sm_local/*/*.py sm_local/*/api.json
    echo opt/ml/input/data/*/ "$odd"
    echo "$given" "$DOCKER_HOST" "$DOCKER_CONTEXT"
    echo /var/run/docker.soc[k] "$HOME"/.docker/run/docker.soc[k] "$XDG_RUNTIME_DIR"/docker.soc[k]
    echo /dev/nvidia[0-9]* /dev/dxg /etc/cdi/* /var/run/cdi/*
    command -v docker dockerd podman unshare nvidia-container-runtime-hook nvidia-cdi-hook
  } 2>&1 < /dev/null | cksum
)
kept=recipes/.kept/${sum% *}-${sum#* }
if [ -d "$kept" ]; then
  for recipe in "$kept"/*.sh; do
    if [ -e "$recipe" ] && ! [ "$recipe" -ef "recipes/${recipe##*/}" ]; then
      sh sm_local/libexec/show.sh "$recipe"
    fi
  done
elif ! mkdir -p "$kept" 2> /dev/null; then
  echo "sm-local: recipes/ cannot be written; is this folder yours, and its disk not read-only?" >&2
else
  rm -f recipes/*.sh
  find recipes/.kept/* -prune -mtime +7 -exec rm -rf {} +
fi
echo "$kept"
