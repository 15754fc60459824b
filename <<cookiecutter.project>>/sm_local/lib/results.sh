# shellcheck shell=bash
# What comes back from a job is data: files that nobody runs with another's rights, and no devices.
# Reads $dir.
# shellcheck disable=SC2154  # $dir is folder.sh's

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
  done < <(exec find -H "$@" -cnewer "$dir/recipe.sh" \( -type f ${drop[@]+"${drop[@]}"} \
    \( -perm -4000 -o -perm -2000 \) -exec chmod ug-s {} + \
    -o \( -type b -o -type c -o -type s \) -print0 -exec rm -f {} + \) 2> /dev/null)
  if (( ${#found[@]} )); then
    say "removed what is no data: ${found[*]:0:3}$( (( ${#found[@]} <= 3 )) || echo ' and more')"
  fi
  chmod +rx "$dir"
}
