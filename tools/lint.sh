#!/usr/bin/env bash
# usage: bash tools/lint.sh    ruff and shellcheck over the repository and the template
set -euo pipefail

main() {
  local template='<<cookiecutter.project>>'
  ruff check --no-cache .
  shellcheck .ci/run tools/*.sh "$template/container/train" "$template/sm_local/libexec/probe.sh"
  (cd "$template" && shellcheck -x sm_local/libexec/*.sh)    # bash/*.sh are checked as recipes carry them: tests/test_recipes.py
  echo "lint: clean"
}

main "$@"
