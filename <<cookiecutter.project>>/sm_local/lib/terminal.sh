# shellcheck shell=bash
# A job at the terminal, PDB=1: what is typed is for it, Ctrl-C too, and it writes to a terminal of
# its own. It is logged all the same.
# Reads $at. Sets $input, $begin, $saved.
# shellcheck disable=SC2034,SC2154  # other files set what is read, and read what is set

saved=''               # how the terminal was set

# need_terminal: refuse a job where nobody can type. A job at the terminal stands in front: it is in
# this recipe's process group, and reads /dev/tty.
need_terminal() {
  if [[ ! -t 0 || ! -t 1 ]] || ! saved=$(stty -g 2> /dev/null < /dev/tty); then
    die "PDB=1 needs a terminal, where pdb is typed into; without one leave it out," \
      "or use 'make debug'"
  fi
  input=/dev/tty begin=at_terminal
  if [[ -e code/sitecustomize.py ]]; then
    say "code/sitecustomize.py runs in place of what stops at errors; breakpoint() stops"
  fi
}

# at_terminal COMMAND...: start it in front; a closed terminal is for the recipe to tell, which
# stops the job.
at_terminal() {
  { { trap '' HUP; run_here "$@"; } 2>&1 | { trap '' HUP; keep_log "$at"; }; } &
  running+=($!)
}

# leave_terminal: set the terminal as it was, should the client have been killed; let the log have
# the lines of one, without the carriage returns of a terminal.
leave_terminal() {
  stty "$saved" 2> /dev/null < /dev/tty || true
  { LC_ALL=C tr -d '\r' < "$at/log" > "$at/log.new" && move "$at/log.new" "$at/log"; } \
    2> /dev/null || rm -f "$at/log.new"
}
