#!/usr/bin/env bash
# usage: dry.sh 'EXPLAIN DRY_RUN' RECIPE    print a recipe: with EXPLAIN, each line with its reasons
# Without DRY_RUN it runs then. With DRY_RUN all that a recipe looks at before it makes anything is
# looked at: is the image here, is the data? No folder is made.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh

# what takes the place of the function that makes a job's folder
would_run='new_job() {
  if declare -F need_image > /dev/null; then need_image; fi
  exit 0
}
main'

main() {
  local recipe=$2
  if [[ $1 == *EXPLAIN* ]]; then
    sm_local/.venv/bin/python -m sm_local explain < "$recipe"
  else
    cat "$recipe"
  fi
  if [[ $1 != *DRY_RUN* ]]; then exec bash -p "$recipe"; fi
  if grep -q '^  new_job ' "$recipe"; then look; fi
  say "dry run: $(headline); nothing was run, no folder was made"
}

# look: let main's $recipe look at what it needs; die of what it misses, as it would.
look() { bash -p <(sed '$d' "$recipe"; printf '%s\n' "$would_run") || exit; }

# headline: print what main's $recipe says it runs.
headline() {
  local text
  text=$(sed -n -e '1,2d' -e '/^set /q' -e 's/^# //p' "$recipe")
  echo "${text//$'\n'/ }"
}

main "$@"
