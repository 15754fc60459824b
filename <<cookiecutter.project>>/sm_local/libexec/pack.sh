#!/usr/bin/env bash
# usage: make pack [JOB=output/NAME]    make model.tar.gz and output.tar.gz of a job, or of the last
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh
source sm_local/lib/record.sh
source sm_local/lib/pack.sh

main() {
  local dir=${1-}
  if [[ ! $dir ]]; then
    [[ -L opt/ml/model ]] || die "no job has run yet; 'make train' runs one"
    dir=$(readlink opt/ml/model)
    dir=${dir#../../}
    dir=${dir%/model}
  fi
  dir=${dir%/}
  # a host's folder: the job's is above it
  if [[ -f ${dir%/*}/status ]]; then dir=${dir%/*}; fi
  [[ -d $dir/model || -d $dir/algo-1/model ]] ||
    die "$dir is not a job's folder; 'make jobs' lists them"
  pack always "$dir" || exit "$unkept"
  say "packed: $dir"
}

main "$@"
