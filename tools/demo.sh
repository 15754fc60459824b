#!/usr/bin/env bash
# usage: bash tools/demo.sh [NAME=VALUE...]    bake a project into build/demo and train in it, as a newcomer would
set -euo pipefail

main() {
  local engine=sandbox candidate
  for candidate in docker podman; do
    if command -v "$candidate" > /dev/null && "$candidate" info > /dev/null 2>&1; then engine=$candidate; break; fi
  done
  rm -rf build/demo
  build/venv/bin/cookiecutter --no-input --output-dir build . project=demo ${BASE_IMAGE:+"base_image=$BASE_IMAGE"}
  cd build/demo
  if [[ $engine == sandbox ]]; then
    echo "demo: no container engine answers: training in the sandbox, with this machine's Python"
  else
    echo "demo: $engine answers: training in a container"
    make --no-print-directory build ENGINE="$engine"
  fi
  make --no-print-directory train ENGINE="$engine"
  ls -l opt/ml/model/
}

main "$@"
