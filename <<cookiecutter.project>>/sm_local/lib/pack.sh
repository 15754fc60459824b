# shellcheck shell=bash
# model.tar.gz and output.tar.gz as SageMaker uploads them: no ./, no top entry, owner 0/0, mode and time kept.

# pack MODE FOLDER: MODE `auto` leaves more than 64 MB to `make pack`, `always` packs, `never` does not. What several hosts
# left becomes one archive; which of two files of one name an unpacker keeps is his affair, as on SageMaker. Fails if a file
# could not be made.
pack() {
  local size total=0 failed=0 hosts=("$2")
  if [[ -d $2/algo-1 ]]; then hosts=("$2"/algo-*); fi
  if [[ $1 == never ]]; then return 0; fi
  if [[ $1 == auto ]]; then
    while read -r size _; do total=$((total + size)); done < <(du -sk "${hosts[@]/%//model}" "${hosts[@]/%//output/data}" 2> /dev/null)
    if (( total > 64 * 1024 )); then say "$((total / 1024)) MB in model and output/data; 'make pack' makes the archives"; return 0; fi
  fi
  archive "$2/model.tar.gz" "${hosts[@]/%//model}" || failed=1
  archive "$2/output.tar.gz" "${hosts[@]/%//output/data}" || failed=1
  return "$failed"
}

# archive FILE FOLDER...: no file for empty folders; what SageMaker does then is not documented. A script can put a link in the
# place of output/data, and it leads to files of this machine: as if the folder were empty.
archive() {
  local file=$1 folder entries how=c compress=gzip why=''
  shift
  if command -v pigz > /dev/null; then compress=pigz; fi
  shopt -s dotglob nullglob
  for folder; do
    if [[ -L $folder ]]; then say "$folder is a link; what it leads to is not packed"; continue; fi
    entries=("$folder"/*)
    if (( ${#entries[@]} == 0 )); then continue; fi
    if (( $# == 1 )); then
      why=$( { add_entries c - "$folder" | "$compress" > "$file"; } 2>&1) || how=failed
    elif why=$(add_entries "$how" "$file.tar" "$folder" 2>&1); then how=r; else how=failed; break; fi
  done
  shopt -u dotglob nullglob
  if [[ $how == r ]]; then why=$( { "$compress" < "$file.tar" > "$file"; } 2>&1) || how=failed; fi
  if (( $# > 1 )); then rm -f "$file.tar"; fi
  if [[ $how == failed ]]; then
    rm -f "$file"
    printf '%s\n' "$why" >&2
    say "could not pack ${file##*/} (above); the files are where they were"
    return 1
  fi
}

# add_entries c|r FILE FOLDER: make a tar file of $entries, or append them to one.
add_entries() {
  local owner=(--owner=0 --group=0 --numeric-owner)
  if [[ $OSTYPE == darwin* ]]; then owner=(--uid 0 --gid 0 --uname '' --gname ''); fi
  printf '%s\0' "${entries[@]##*/}" | COPYFILE_DISABLE=1 tar "-$1" -f "$2" "${owner[@]}" -C "$3" --null -T -
}
