# shellcheck shell=bash

# feed CHANNEL OPTION...: stream $objects, as objects.py lists them, through the FIFOs of a Pipe channel. What cannot be read
# is told in $dir/broken, and by SIGUSR1: the job ends then, while the FIFO still has no end. The feeder ends when
# nobody holds the other end of its descriptor 3: this recipe, and the job itself. It must not hold it too, nor those by which
# the other helpers learn of the job's end.
feed() {
  local channel=$1
  shift
  mkfifo "$at/pipes/${channel}_0"
  if [[ ! -p $dir/.feeders ]]; then mkfifo "$dir/.feeders"; fi
  ( {
    python3 -B sm_local/libexec/objects.py list "${objects[@]}" |
      python3 -B sm_local/libexec/pipe.py "$@" --broken "$dir/broken" --recipe $$ -- "$at/pipes" "$channel"
  } 3< "$dir/.feeders" 4>&- 5>&- 6>&- 8>&- 9<&- & )
  exec 5> "$dir/.feeders"
}

# drop_pipes: their folders, where the engine has made places to mount other channels on. They go at once, by their names:
# a feeder that is just about to make its next FIFO finds no folder, and knows that the job has ended.
drop_pipes() {
  local pipes
  for pipes in "$dir/pipes" "$dir"/algo-*/pipes; do
    if [[ -d $pipes ]]; then mv "$pipes" "$pipes.ended"; rm -rf "$pipes.ended"; fi
  done
  rm -f "$dir/.feeders"
}
