# shellcheck shell=bash
# Channels in Pipe mode. Linux only.
# Reads $dir, $at, and $objects, the arguments of objects.py, which the recipe sets.
# shellcheck disable=SC2154  # $dir and $at are folder.sh's, $objects is the recipe's

# feed CHANNEL OPTION...: stream $objects, as objects.py lists them, through the FIFOs of a Pipe
# channel. The feeder ends with the job. What cannot be read is written to record/broken and
# reported by SIGUSR1: the job is ended then, while the FIFO is still without an end.
feed() {
  mkfifo "$at/pipes/${1}_0"
  sidecar feeders feeder "$@"
}

# feeder CHANNEL OPTION...: the process itself. Its stdin, which ends with the job, becomes
# descriptor 3, because pipe.py's stdin is the list.
feeder() {
  local channel=$1
  shift
  {
    python3 -B sm_local/libexec/objects.py list "${objects[@]}" < /dev/null |
      python3 -B sm_local/libexec/pipe.py "$@" \
        --broken "$dir/record/broken" --recipe $$ -- "$at/pipes" "$channel"
  } 3<&0
}

# drop_pipes: remove their folders, where the engine has made places to mount other channels on.
# They are renamed first, and so go at once: a feeder that is just about to make its next FIFO finds
# no folder, and knows that the job has ended.
drop_pipes() {
  local pipes
  for pipes in "$dir/pipes" "$dir"/algo-*/pipes; do
    if [[ -d $pipes ]]; then
      mv "$pipes" "$pipes.ended"
      rm -rf "$pipes.ended"
    fi
  done
  rm -f "$dir/.feeders"
}
