# shellcheck shell=bash
# Channels that are not simply a folder of yours: from S3's mirror, a part of a prefix, a manifest,
# a shard.
# Reads $dir, $at, and $objects, the arguments of objects.py, which the recipe sets. Sets $view.
# shellcheck disable=SC2034,SC2154  # folder.sh and the recipe set what is read, and read $view

# need_data CHANNEL URI MARK REMEDY: MARK is there when `make data` has fetched all of it; '' for a
# folder, file:FOLDER.
need_data() {
  if [[ $3 && ! -e $3 ]]; then
    die "channel $1: $2 is not here; run '$4'," \
      "or put a folder opt/ml/input/data/$1 in its place"
  fi
  if [[ ! $3 && ! -e ${2#file:} ]]; then
    die "channel $1: ${2#file:} is not there; put its data there"
  fi
}

# need_python CHANNEL: a few small programs do what Bash would take long for.
need_python() {
  command -v python3 > /dev/null || die "python3 is not on PATH; channel $1 needs it"
}

# full_prefix CHANNEL URI: FastFile mode takes no part of a name; the words are SageMaker's.
full_prefix() {
  local path=data/s3/${2#s3://}
  [[ -e ${path%/} ]] ||
    die "channel $1: For FastFile mode, partial S3 prefix is not supported." \
      "S3 prefix has to end with a full file or folder ($2)"
}

# view CHANNEL: make a folder of hard links to $objects; nothing is copied.
view() {
  need_python "$1"
  mkdir -p "$at/views/$1"
  python3 -B sm_local/libexec/objects.py link "$at/views/$1" "${objects[@]}" || exit 1
}

# view_prefix CHANNEL: as view, but a prefix that is exactly one folder needs none, however many
# files it has.
view_prefix() {
  local uri=${objects[0]} path other
  path=data/s3/${uri#s3://}
  path=${path%/}
  if [[ -d $path ]]; then
    if [[ $uri == */ || $uri != s3://*/* ]]; then return 0; fi
    for other in "$path"?*; do
      if [[ -e $other ]]; then path=''; fi
    done
    if [[ $path ]]; then return 0; fi
  fi
  view "$1"
}

# view_or_folder CHANNEL FOLDER: set $view to what view_prefix has made, else to the folder itself.
view_or_folder() {
  view=$2
  if [[ -d $at/views/$1 ]]; then view=$at/views/$1; fi
}

# list_objects CHANNEL: write the manifest that lies next to a channel's folder.
list_objects() {
  need_python "$1"
  mkdir -p "$at/manifests"
  python3 -B sm_local/libexec/objects.py manifest "${objects[@]}" \
    > "$at/manifests/$1-manifest" || exit 1
}

# drop_views: remove the links; the files lie elsewhere.
drop_views() {
  rm -rf "$dir/views" "$dir"/algo-*/views "$dir/manifests" "$dir"/algo-*/manifests
}
