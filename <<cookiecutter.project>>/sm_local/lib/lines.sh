# shellcheck shell=bash
# The lines of a log.
# Reads and sets nothing.

# name_lines HOST: put its name in front of each line of stdin, at once. By itself sed keeps lines
# back until it has 4096 bytes, as Debian's awk does; with -u it reads one byte at a time, as Bash
# does, and takes a hundred times as long.
name_lines() {
  local line='' rename="s/^/$1 | /"
  if [[ $OSTYPE == darwin* ]]; then
    LC_ALL=C sed -l "$rename"
  elif command -v stdbuf > /dev/null; then
    LC_ALL=C stdbuf -oL sed "$rename"
  else
    while IFS= read -r line; do printf '%s | %s\n' "$1" "$line" || return 1; done
    if [[ $line ]]; then printf '%s | %s' "$1" "$line"; fi
  fi
}

# end_line LOG: print the newline that is missing at its end.
end_line() { if ends_within_a_line "$1"; then echo; fi; }

# ends_within_a_line LOG: is the last byte something else than a newline?
ends_within_a_line() {
  local LC_ALL=C text=''              # bytes
  [[ -s $1 ]] || return 1
  # a short log without a process; of what is long, or has a NUL, the last byte alone
  if IFS= read -r -d '' -n 4096 text < "$1"; then
    IFS= read -r -d '' -n 1 text < <(exec tail -c 1 "$1") || true
  fi
  [[ ${text:(-1)} != $'\n' ]]
}
