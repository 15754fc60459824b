# shellcheck shell=bash
# model.tar.gz and output.tar.gz as SageMaker uploads them: no ./, no top entry, owner 0/0, mode and time kept.

# pack MODE FOLDER: MODE `auto` leaves more than 64 MB to `make pack`, `always` packs, `never` does not. What several hosts
# left becomes one archive; which of two files of one name an unpacker keeps is his affair, as on SageMaker.
pack() {
  local size total=0 hosts=("$2")
  if [[ -d $2/algo-1 ]]; then hosts=("$2"/algo-*); fi
  if [[ $1 == never ]]; then return 0; fi
  if [[ $1 == auto ]]; then
    while read -r size _; do total=$((total + size)); done < <(du -sk "${hosts[@]/%//model}" "${hosts[@]/%//output/data}")
    if (( total > 64 * 1024 )); then say "$((total / 1024)) MB in model and output/data; 'make pack' makes the archives"; return 0; fi
  fi
  archive "$2/model.tar.gz" "${hosts[@]/%//model}"
  archive "$2/output.tar.gz" "${hosts[@]/%//output/data}"
}

# archive FILE FOLDER...: no file for empty folders; what SageMaker does then is not documented.
archive() {
  local file=$1 folder entries how=c compress=gzip
  shift
  if command -v pigz > /dev/null; then compress=pigz; fi
  shopt -s dotglob nullglob
  for folder; do
    entries=("$folder"/*)
    if (( ${#entries[@]} == 0 )); then continue; fi
    if (( $# == 1 )); then
      add_entries c - "$folder" | "$compress" > "$file" || how=failed
    else
      if add_entries "$how" "$file.tar" "$folder"; then how=r; else how=failed; fi
    fi
  done
  shopt -u dotglob nullglob
  if [[ $how == r ]]; then "$compress" < "$file.tar" > "$file" || how=failed; fi
  if (( $# > 1 )); then rm -f "$file.tar"; fi
  if [[ $how == failed ]]; then rm -f "$file"; say "could not pack ${file##*/}; the files are where they were"; fi
}

# add_entries c|r FILE FOLDER: make a tar file of $entries, or append them to one.
add_entries() {
  local owner=(--owner=0 --group=0 --numeric-owner)
  if [[ $OSTYPE == darwin* ]]; then owner=(--uid 0 --gid 0 --uname '' --gname ''); fi
  printf '%s\0' "${entries[@]##*/}" | COPYFILE_DISABLE=1 tar "-$1" -f "$2" "${owner[@]}" -C "$3" --null -T -
}
