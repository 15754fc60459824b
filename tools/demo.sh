#!/usr/bin/env bash
# usage: bash tools/demo.sh    bake a project into build/demo and train in it, as a newcomer would
# In a container if an engine answers and a base image can be had; else in the sandbox. The
# environment may give PROJECT, the name of the folder and the image, and BASE_IMAGE.
set -euo pipefail

SM_PROJECT=${PROJECT:-demo}
SM_LOG=build/$SM_PROJECT.log

main() {
  local engine base='' why='' folder=build/$SM_PROJECT
  build/bake/bin/python -c '' 2> /dev/null ||
    die "build/bake does not run here, it may be another user's; 'make clean', or clone again"
  : > "$SM_LOG"
  engine=$(engine_that_answers)
  if [[ ! $engine ]]; then
    why="no container engine answers"
  elif ! base=$(base_image "$engine"); then
    why="$engine answers, but has no $(wanted_image), no registry gives it and"
    why+=" no other image here has Python ($SM_LOG)"
  fi
  rm -rf "$folder"
  build/bake/bin/cookiecutter --no-input --output-dir build . project="$SM_PROJECT" \
    ${base:+"base_image=$base"}
  if [[ ! $why ]]; then
    echo "demo: $engine answers: training in a container"
    make --no-print-directory -C "$folder" build ENGINE="$engine" ||
      why="$engine built no image from $base (above)"
  fi
  if [[ $why ]]; then
    echo "demo: $why: training in the sandbox, with this machine's Python"
    engine=sandbox
  fi
  make --no-print-directory -C "$folder" train ENGINE="$engine"
  ls -l "$folder/opt/ml/model/"
}

engine_that_answers() {
  local candidate
  for candidate in docker podman; do
    if command -v "$candidate" > /dev/null && "$candidate" info > /dev/null 2>> "$SM_LOG"; then
      echo "$candidate"
      return 0
    fi
  done
}

# wanted_image: what the template's projects start from
wanted_image() {
  echo "${BASE_IMAGE:-$(sed -n 's/^ *"base_image": "\(.*\)",$/\1/p' cookiecutter.json | head -n 1)}"
}

# base_image ENGINE: print the wanted image if it is there or can be pulled; else another one that
# is there and has Python.
base_image() {
  local wanted image
  wanted=$(wanted_image)
  if "$1" image inspect "$wanted" > /dev/null 2>> "$SM_LOG"; then echo "$wanted"; return 0; fi
  echo "demo: $1 pulls $wanted" >&2
  if "$1" pull --quiet "$wanted" < /dev/null >> "$SM_LOG" 2>&1; then echo "$wanted"; return 0; fi
  while read -r image; do
    if has_python "$1" "$image"; then
      echo "demo: no registry gives $wanted ($SM_LOG); building from $image, which has Python" >&2
      echo "$image"
      return 0
    fi
  done < <("$1" images --format '{{.Repository}}:{{.Tag}}' |
    grep -v -e '<none>' -e "\(^\|/\)$SM_PROJECT:" | head -n 20)
  return 1
}

has_python() {
  "$1" run --rm --network none --entrypoint python3 "$2" \
    -c 'import sys; sys.exit(sys.version_info < (3, 9))' \
    < /dev/null >> "$SM_LOG" 2>&1
}

die() {
  echo "sm-local: $1" >&2
  exit 1
}

main "$@"
