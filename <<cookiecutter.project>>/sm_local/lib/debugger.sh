# shellcheck shell=bash
# The debugger of `make debug`: debugpy, fetched once for all jobs and images, and what starts it.
# Reads $at.
# Sets $under, which the verdict says.
# shellcheck disable=SC2034,SC2154  # the recipe and job.sh set what is read, and read the rest

debugpy=sm_local/.debugpy/1.8.22       # libexec/debugpy.sh makes it
under=' under the debugger'            # the time includes that at breakpoints

# need_debugger PORT...: before anything is made, get the debugger, and see that its ports are free.
need_debugger() {
  local port
  [[ ! -e code/sitecustomize.py ]] ||
    die "code/sitecustomize.py would run in place of what starts the debugger; rename it"
  for port; do
    if { : < "/dev/tcp/127.0.0.1/$port"; } 2> /dev/null; then
      die "port $port is in use on this machine; 'make stop' ends another 'make debug'," \
        "'make debug DEBUG_PORT=$((port + 10))' takes another port"
    fi
  done
  if [[ ! -d $debugpy ]]; then bash -p sm_local/libexec/debugpy.sh "$debugpy" || exit 1; fi
}

# show_debugger: mount it for a host.
show_debugger() {
  bind sm_local/debug /opt/sm-local/debug readonly
  bind "$debugpy" /opt/sm-local/debugpy readonly
}

# look_for_debugger: say so where no script has met it.
look_for_debugger() {
  if ! grep -qs '^sm-local: .*debugger' "$at/log"; then
    under=''
    say "nothing was debugged: no Python process ran a script of code/, or it ran with -I, -E or -S"
  fi
}
