#!/usr/bin/env bash
# usage: make pack [JOB=output/NAME]    make a job's model.tar.gz and output.tar.gz, the last job's unless one is named
set -euo pipefail
source sm_local/bash/say.sh
source sm_local/bash/pack.sh

main() {
  local dir=${1-}
  if [[ ! $dir ]]; then
    [[ -L opt/ml/model ]] || die "no job has run yet; 'make train' runs one"
    dir=$(readlink opt/ml/model); dir=${dir#../../}; dir=${dir%/model}
  fi
  [[ -d $dir/model ]] || die "$dir is not a job's folder; 'make jobs' lists them"
  pack always "${dir%/}"
  say "packed: $dir"
}

main "$@"
