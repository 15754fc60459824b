# shellcheck shell=bash
# The project's own image: what it was made from, and whether that has changed since.
# Reads and sets nothing.

# container_sum: print what the project's own image is made from, as one text.
container_sum() { cksum container/* container/*/* 2> /dev/null || true; }

# warn_if_stale: recipes/.built is what container/ was when `make build` last ran here. Not to be
# called in the recipe's own process: a signal that comes while Bash 5.2 reads a $( ) breaks traps.
warn_if_stale() {
  if [[ -f recipes/.built && $(container_sum) != "$(< recipes/.built)" ]]; then
    say "container/ changed since the image was built; run 'make build'"
  fi
}
