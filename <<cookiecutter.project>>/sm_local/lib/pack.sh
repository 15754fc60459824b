# shellcheck shell=bash
# model.tar.gz and output.tar.gz as SageMaker uploads them: no ./, no top entry, owner 0/0, mode and
# time kept.
# Sets $full, $entries, and $why for its own functions.

full=()                # folders that have something to pack
entries=()             # what is in one of them
why=''                 # what tar and gzip say

# pack MODE FOLDER: MODE `auto` leaves more than 64 MB to `make pack`, `always` packs, `never` does
# not. Files of several hosts become one archive; which of two files of one name an unpacker keeps
# is up to it, as on SageMaker. Fails if a file could not be made.
pack() {
  local failed=0 hosts=("$2")
  if [[ $1 == never ]]; then return 0; fi
  if [[ -d $2/algo-1 ]]; then hosts=("$2"/algo-*); fi
  if [[ $1 == auto ]] && is_large "${hosts[@]/%//model}" "${hosts[@]/%//output/data}"; then
    return 0
  fi
  archive "$2/model.tar.gz" "${hosts[@]/%//model}" || failed=1
  archive "$2/output.tar.gz" "${hosts[@]/%//output/data}" || failed=1
  return "$failed"
}

# is_large FOLDER...: are these more than 64 MB? Says so.
is_large() {
  local folder size total=0
  full=()
  for folder; do
    list_entries "$folder"
    if (( ${#entries[@]} )); then full+=("$folder"); fi
  done
  if (( ! ${#full[@]} )); then return 1; fi
  while read -r size _; do
    total=$((total + size))
  done < <(exec du -sk "${full[@]}" 2> /dev/null)
  if (( total <= 64 * 1024 )); then return 1; fi
  say "$((total / 1024)) MB in model and output/data; 'make pack' makes the archives"
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
archive() {
  local file=$1 folder status=0
  shift
  full=()
  for folder; do
    if [[ -L $folder ]]; then say "$folder is a link; what it leads to is not packed"; fi
    list_entries "$folder"
    if (( ${#entries[@]} )); then full+=("$folder"); fi
  done
  case ${#full[@]} in
    0) return 0 ;;
    1) archive_one "$file" || status=1 ;;
    *) archive_several "$file" || status=1 ;;
  esac
  if (( status )); then
    rm -f "$file"
    printf '%s\n' "$why" >&2
    say "could not pack ${file##*/} (above); the files are where they were"
  fi
  return "$status"
}

# archive_one FILE: of the one folder in $full.
archive_one() {
  local compress=gzip
  list_entries "${full[0]}"
  if command -v pigz > /dev/null; then compress=pigz; fi
  why=$( { add_entries c - "${full[0]}" | "$compress" > "$1"; } 2>&1)
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
  rm -f "$1.tar"
  return "$status"
}

# add_entries c|r FILE FOLDER: make a tar file of $entries, or append them to one. To be called in a
# process of its own: it becomes GNU tar where the names are few enough to be arguments.
add_entries() {
  local owner=(--owner=0 --group=0 --numeric-owner)
  if [[ $OSTYPE == darwin* ]]; then owner=(--uid 0 --gid 0 --uname '' --gname ''); fi
  if [[ $OSTYPE == linux* ]] && (( ${#entries[@]} <= 200 )); then
    exec tar "-$1" -f "$2" "${owner[@]}" -C "$3" -- "${entries[@]##*/}"
  fi
  printf '%s\0' "${entries[@]##*/}" |
    COPYFILE_DISABLE=1 tar "-$1" -f "$2" "${owner[@]}" -C "$3" --null -T -
}
