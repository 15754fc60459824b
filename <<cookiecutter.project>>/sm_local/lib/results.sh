# shellcheck shell=bash
# What comes back from a job is data: files that nobody runs with another's rights, and no devices.
# Reads $dir.
# shellcheck disable=SC2154  # $dir is folder.sh's

# settle FOLDER...: disarm what the job has written there; meanwhile, remove the hosts' copies.
settle() {
  local dropping=''
  if [[ -d $dir/cow || -d $dir/algo-1/cow ]]; then
    drop_copies &
    dropping=$!
  fi
  disarm "$@"
  if [[ $dropping ]]; then wait "$dropping" || true; fi
}

# drop_copies: remove what the hosts changed of what they share. Without write permission in a
# folder, as some tools make them, nothing in it can be removed.
drop_copies() {
  local copy
  for copy in "$dir"/cow "$dir"/algo-*/cow; do
    if [[ ! -d $copy ]]; then continue; fi
    rm -rf "$copy" 2> /dev/null || { chmod -R u+rwX "$copy" && rm -rf "$copy"; } 2> /dev/null ||
      true
  done
}

# disarm FOLDER...: take setuid, setgid and capabilities from what the job has written there, and
# remove device nodes and sockets. Only then may others look into the job's own folder: a program of
# root's in it would run as root for all of them.
disarm() {
  local entry drop=() found=()
  # root's container may give programs capabilities; a chown that changes nothing drops them
  if (( EUID == 0 )) && [[ $OSTYPE == linux* ]]; then
    drop=(\( -perm -100 -o -perm -10 -o -perm -1 \) -exec chown -h '' {} + -o -type f)
  fi
  while IFS= read -r -d '' entry; do
    found+=("${entry#"$PWD/"}")
  done < <(exec find -H "$@" \( -path "$dir/cow" -o -path "$dir/algo-*/cow" \) -prune -o \
    -cnewer "$dir/recipe.sh" \( -type f ${drop[@]+"${drop[@]}"} \
    \( -perm -4000 -o -perm -2000 \) -exec chmod ug-s {} + \
    -o \( -type b -o -type c -o -type s \) -print0 -exec rm -f {} + \) 2> /dev/null)
  if (( ${#found[@]} )); then
    say "removed what is no data: ${found[*]:0:3}$( (( ${#found[@]} <= 3 )) || echo ' and more')"
  fi
  chmod +rx "$dir"
}
