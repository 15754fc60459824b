#!/usr/bin/env bash
# usage: bash tools/lint.sh    ruff, mypy and shellcheck over the repository and the template
set -euo pipefail

main() {
  local template='<<cookiecutter.project>>' top=$PWD
  ruff check --no-cache .
  ruff format --no-cache --check --quiet . || die "ruff format would change files; 'ruff format .'"
  shellcheck .ci/run tools/*.sh "$template/container/train"
  cd "$template"
  shellcheck -x sm_local/lib/*.sh sm_local/libexec/*.sh
  mypy --config-file "$top/pyproject.toml" --cache-dir "$top/build/.mypy_cache" \
    --no-error-summary -p sm_local
  mypy --config-file "$top/pyproject.toml" --cache-dir "$top/build/.mypy_cache" \
    --no-error-summary container/toolkit.py container/run_script.py container/failure.py
  echo "lint: clean"
}

die() {
  echo "lint: $1" >&2
  exit 1
}

main "$@"
