# shellcheck shell=bash
# What an image's Python finds beside its own packages.
# Reads $engine, $image and $built. Sets $python_path.
# shellcheck disable=SC2034,SC2154  # the recipe sets what is read, and reads the rest

python_path=''         # the image's own PYTHONPATH, behind a colon

# find_python_path: set $python_path; the job's variable replaces the image's.
find_python_path() {
  local line format='{{range .Config.Env}}{{println .}}{{end}}'
  while IFS= read -r line; do
    if [[ $line == PYTHONPATH=?* ]]; then python_path=:${line#*=}; fi
  done < <(exec "$engine" image inspect --format "$format" "${built:-$image}" 2> /dev/null)
}
