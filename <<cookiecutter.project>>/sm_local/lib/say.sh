# shellcheck shell=bash
# One line on stderr: who, what is wrong, what to do.

say() { ( trap '' PIPE; printf 'sm-local: %s\n' "$*" >&2 ) || true; }   # the terminal may be gone, and a trap must not die of it

die() { say "$@"; exit 1; }
