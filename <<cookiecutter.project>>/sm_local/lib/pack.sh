# shellcheck shell=bash
# model.tar.gz and output.tar.gz as SageMaker uploads them: no ./, no top entry, owner 0/0, mode and
# time kept.
# Sets $unkept, and $interrupted, $full, $entries, $sparse and $why for its own functions.

unkept=''              # as in record.sh: an archive is missing
interrupted=''         # Ctrl-C was typed while archives were made
full=()                # folders that have something to pack
entries=()             # what is in one of them
sparse=''              # tar's option for files that are mostly holes
why=''                 # what tar and gzip say

# pack MODE FOLDER: MODE `auto` leaves more than 64 MB to `make pack`, `always` packs, `never` does
# not. Files of several hosts become one archive; which of two files of one name an unpacker keeps
# is up to it, as on SageMaker. Ctrl-C ends the packing alone. Fails if a file could not be made.
pack() {
  local hosts=("$2")
  if [[ $1 == never ]]; then return 0; fi
  if [[ -d $2/algo-1 ]]; then hosts=("$2"/algo-*); fi
  if is_large "$1" "${hosts[@]/%//model}" "${hosts[@]/%//output/data}"; then return 0; fi
  trap 'interrupted=1' INT      # not '', which tar and gzip would inherit
  archive "$2/model.tar.gz" "${hosts[@]/%//model}" || unkept=1
  archive "$2/output.tar.gz" "${hosts[@]/%//output/data}" || unkept=1
  trap '' INT
  if [[ ! $unkept ]]; then return 0; fi
  if [[ $interrupted ]]; then
    unkept=130
    say "packing was interrupted; the files are in $2, and 'make pack JOB=$2' packs them"
  fi
  return 1
}

# is_large MODE FOLDER...: are these more than 64 MB, and is MODE `auto`? Says so. Sets $sparse.
is_large() {
  local mode=$1 folder total
  full=() sparse=''
  for folder in "${@:2}"; do
    list_entries "$folder"
    if (( ${#entries[@]} )); then full+=("$folder"); fi
  done
  if (( ! ${#full[@]} )); then return 1; fi
  add_up --apparent-size
  if (( total <= 64 * 1024 )); then return 1; fi
  if [[ $mode == auto ]]; then
    say "$((total / 1024)) MB in model and output/data; 'make pack' makes the archives"
  else
    find_holes "$total"
    return 1
  fi
}

# add_up [--apparent-size]: set the caller's $total to the KiB of what is in $full: of its bytes, or
# where du knows only that, of its blocks.
add_up() {
  local size sizes='' option=${1-}
  if [[ $OSTYPE == darwin* && $option ]]; then option=-A; fi
  if [[ $option ]]; then sizes=$(exec du -sk "$option" "${full[@]}" 2> /dev/null) || true; fi
  if [[ ! $sizes ]]; then sizes=$(exec du -sk "${full[@]}" 2> /dev/null) || true; fi
  total=0
  while read -r size _; do
    total=$((total + size))
  done <<< "$sizes"
}

# find_holes SIZE: set $sparse if much of so many KiB takes no room on the disk. tar would read each
# hole for as long as a disk is large. Other archives stay as SageMaker's are, without that format.
find_holes() {
  local total
  add_up
  if [[ $OSTYPE == linux-gnu* ]] && (( total < $1 / 2 )); then sparse=S; fi
}

# list_entries FOLDER: set $entries to what is there; nothing in a link. A script can put a link in
# the place of output/data, and it leads to files of this machine: as if the folder were empty.
list_entries() {
  entries=()
  if [[ -L $1 ]]; then return 0; fi
  shopt -s dotglob nullglob
  entries=("$1"/*)
  shopt -u dotglob nullglob
}

# archive FILE FOLDER...: no file for empty folders; what SageMaker does then is not documented.
# Until it is whole it has another name.
archive() {
  local file=$1 folder status=0
  shift
  full=()
  if [[ $interrupted ]]; then return 1; fi
  for folder; do
    if [[ -L $folder ]]; then say "$folder is a link; what it leads to is not packed"; fi
    list_entries "$folder"
    if (( ${#entries[@]} )); then full+=("$folder"); fi
  done
  case ${#full[@]} in
    0) return 0 ;;
    1) archive_one "$file.part" || status=1 ;;
    *) archive_several "$file.part" || status=1 ;;
  esac
  if (( ! status )); then move "$file.part" "$file" || status=1; fi
  if (( status )); then
    ( trap '' INT; exec rm -f "$file.part" "$file.part.tar" )
    if [[ $interrupted ]]; then return 1; fi
    if [[ $why ]]; then printf '%s\n' "$why" >&2; fi
    say "could not pack ${file##*/} (above); the files are where they were"
  fi
  return "$status"
}

# archive_one FILE: of the one folder in $full.
archive_one() {
  local compress=gzip
  list_entries "${full[0]}"
  if command -v pigz > /dev/null; then compress=pigz; fi
  why=$( { add_entries c - "${full[0]}" | exec "$compress" > "$1"; } 2>&1)
}

# archive_several FILE: of those in $full, one after the other.
archive_several() {
  local folder how=c compress=gzip status=0
  if command -v pigz > /dev/null; then compress=pigz; fi
  for folder in "${full[@]}"; do
    list_entries "$folder"
    why=$(add_entries "$how" "$1.tar" "$folder" 2>&1) || status=1
    if (( status )); then break; fi
    how=r
  done
  if (( ! status )); then why=$( { "$compress" < "$1.tar" > "$1"; } 2>&1) || status=1; fi
  if (( ! status )); then rm -f "$1.tar"; fi
  return "$status"
}

# add_entries c|r FILE FOLDER: make a tar file of $entries, or append them to one. To be called in a
# process of its own: it becomes GNU tar where the names are few enough to be arguments.
add_entries() {
  local owner=(--owner=0 --group=0 --numeric-owner)
  if [[ $OSTYPE == darwin* ]]; then owner=(--uid 0 --gid 0 --uname '' --gname ''); fi
  if [[ $OSTYPE == linux* ]] && (( ${#entries[@]} <= 200 )); then
    exec tar "-$1$sparse" -f "$2" "${owner[@]}" -C "$3" -- "${entries[@]##*/}"
  fi
  printf '%s\0' "${entries[@]##*/}" |
    COPYFILE_DISABLE=1 tar "-$1$sparse" -f "$2" "${owner[@]}" -C "$3" --null -T -
}
