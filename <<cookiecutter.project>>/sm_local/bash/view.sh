# shellcheck shell=bash
# Channels that are not just a folder of a person's own: from S3's mirror, a part of a prefix, a manifest, a shard.

# find_objects CHANNEL URI MARK OPTION...: sets $objects, the arguments of objects.py. MARK is there when `make data` has
# fetched all of it; '' for a folder, file:FOLDER.
find_objects() {
  command -v python3 > /dev/null || die "python3 is not on PATH; channel $1 needs it"
  if [[ $3 && ! -e $3 ]]; then die "channel $1: $2 is not here; run 'make data', or put a folder opt/ml/input/data/$1 in its place"; fi
  if [[ ! $3 && ! -e ${2#file:} ]]; then die "channel $1: ${2#file:} is not there; put its data there"; fi
  objects=("$2" "${@:4}")
}

# view CHANNEL: sets $view to a folder of hard links to $objects: nothing is copied.
view() {
  view=$at/views/$1
  mkdir -p "$view"
  python3 -B sm_local/objects.py link "$view" "${objects[@]}" || exit 1
}

# view_prefix CHANNEL MODE: as view, but a prefix that is one folder, and nothing beside it, is that folder itself: O(1).
view_prefix() {
  local uri=${objects[0]} path other
  path=data/s3/${uri#s3://}; path=${path%/}
  if [[ $2 == FastFile && ! -e $path ]]; then
    die "channel $1: For FastFile mode, partial S3 prefix is not supported. S3 prefix has to end with a full file or folder ($uri)"
  fi
  if [[ -d $path ]]; then
    view=$path
    if [[ $uri == */ || $uri != s3://*/* ]]; then return; fi
    for other in "$path"?*; do
      if [[ -e $other ]]; then view=''; fi
    done
    if [[ $view ]]; then return; fi
  fi
  view "$1"
}

# list_objects CHANNEL: write the manifest that lies beside a channel's folder.
list_objects() {
  mkdir -p "$at/manifests"
  python3 -B sm_local/objects.py manifest "${objects[@]}" > "$at/manifests/$1-manifest" || exit 1
  bind "$at/manifests/$1-manifest" "/opt/ml/input/data/$1-manifest"
}

# drop_views: they were links to files that lie elsewhere.
drop_views() { rm -rf "$dir/views" "$dir"/algo-*/views "$dir/manifests" "$dir"/algo-*/manifests; }
