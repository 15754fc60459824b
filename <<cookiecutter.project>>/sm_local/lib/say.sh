# shellcheck shell=bash
# One line on stderr: who speaks, what is wrong, what to do.
# Reads and sets nothing.

# say WORD...: print the words as one line. The reader of stderr may have gone, and neither the
# caller nor a trap may die of that: a handler for SIGPIPE, because programs would inherit ''.
say() {
  trap : PIPE
  printf 'sm-local: %s\n' "$*" >&2 || true
}

# die WORD...: say it and exit with status 1.
die() {
  say "$@"
  exit 1
}
