#!/usr/bin/env bash
# usage: left.sh    print the jobs of killed recipes that nothing has cleared away yet, a line each
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/record.sh
source sm_local/lib/process.sh
source sm_local/lib/sweep.sh

find_left
for job in ${left[@]+"${left[@]}"}; do
  if [[ $job != .parked/* ]]; then echo "$job"; fi
done
