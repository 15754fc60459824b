# shellcheck shell=bash
# The project's own image: which one it is, what it was made from, and whether that has changed.
# recipes/.built-ENGINE is what `make build` did here last: the image's ID and name in one line,
# then what container/ was. Engines do not share their images, so each has a record of its own.
# Reads $engine, $image and $missing. Sets $built.
# shellcheck disable=SC2034,SC2154  # the recipe sets what is read, and reads $built

# find_built: set $built to the ID of the image that was built here. Not its name: another project
# of that name may have given it to an image of its own.
find_built() {
  local name=''
  read -r built name 2> /dev/null < "recipes/.built-$engine" || true
  [[ $name == "$image" ]] ||
    die "image '$image' was not built in this folder; $missing," \
      "or run whatever has that name: IMAGE=$image"
}

# record_build IMAGE: note which image was built, for whoever runs it. The engine has
# written its ID into recipes/.id-$$.
record_build() {
  local record=recipes/.built-$engine
  { printf '%s %s\n' "$(< "recipes/.id-$$")" "$1"; container_sum; } > "$record.$$"
  mv -f "$record.$$" "$record"
  rm -f "recipes/.id-$$"
}

# container_sum: print what the project's own image is made from, as one text.
container_sum() {
  local file files=()
  for file in container/* container/*/*; do
    if [[ -f $file ]]; then files+=("$file"); fi      # to read a FIFO would wait
  done
  if (( ${#files[@]} )); then cksum "${files[@]+"${files[@]}"}" 2> /dev/null || true; fi
}

# warn_if_stale: say that container/ is not what it was. Not to be called in the recipe's own
# process: a signal that comes while Bash 5.2 reads a $( ) breaks traps.
warn_if_stale() {
  local record=recipes/.built-$engine
  if [[ -f $record && $(container_sum) != "$(exec tail -n +2 "$record")" ]]; then
    say "container/ changed since the image was built; run 'make build'"
  fi
}
