# shellcheck shell=bash
# model.tar.gz and output.tar.gz as SageMaker uploads them: no ./, no top entry, owner 0/0, mode and time kept.

# pack MODE FOLDER: MODE `auto` leaves more than 64 MB to `make pack`, `always` packs, `never` does not.
pack() {
  local size total=0
  if [[ $1 == never ]]; then return 0; fi
  if [[ $1 == auto ]]; then
    while read -r size _; do total=$((total + size)); done < <(du -sk "$2/model" "$2/output/data")
    if (( total > 64 * 1024 )); then say "$((total / 1024)) MB in model and output/data; 'make pack' makes the archives"; return 0; fi
  fi
  archive "$2/model" "$2/model.tar.gz"
  archive "$2/output/data" "$2/output.tar.gz"
}

# archive FOLDER FILE: no file for an empty folder; what SageMaker does then is not documented.
archive() {
  local file=$PWD/$2 owner=(--owner=0 --group=0 --numeric-owner) compress=gzip
  if [[ $OSTYPE == darwin* ]]; then owner=(--uid 0 --gid 0 --uname '' --gname ''); fi
  if command -v pigz > /dev/null; then compress=pigz; fi
  (
    cd "$1"
    shopt -s dotglob nullglob
    set -- *
    if (( $# == 0 )); then exit 0; fi
    printf '%s\0' "$@" | COPYFILE_DISABLE=1 tar -c "${owner[@]}" --null -T - -f - | "$compress" > "$file"
  ) || { rm -f "$2"; say "could not pack $1; its files are where they were"; }
}
