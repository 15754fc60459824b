# shellcheck shell=bash
# Root inside, yours outside. The daemon runs as root, so what a job writes is root's; a helper container gives it back.
# It is started beside the job and waits for the end of its stdin, which costs a tenth of starting one afterwards. The
# job holds the other end too: whoever is killed, the helper goes to work when the last of them has ended.

handback=()            # docker arguments: what is given back, mounted under /handback

# give FOLDER NAME: all that root owns in FOLDER goes back to the caller. NAME `new-…`: only what is newer than the job; `job`, and
# the caller's jobs in `output`: everything, for root in a container can give files to anybody, as unpacking an archive does.
give() { local field; csv "source=$PWD/$1"; handback+=(--mount "type=bind,$field,target=/handback/$2"); }

# giving_back: the shell program that runs in the helper. Links are changed, never followed.
giving_back() {
  cat << GIVE
set -e
cat > /dev/null
for folder in /handback/job /handback/job/algo-* /handback/output/* /handback/output/*/algo-*; do rm -rf "\$folder/cow" "\$folder/views"; done
for folder in /handback/*; do
  case \$folder in
    /handback/new-*) find "\$folder" -user 0 -newer "\$(ls -d /handback/job/recipe.sh /handback/output/*/recipe.sh 2> /dev/null | head -n 1)" -exec chown -h $1 {} + ;;
    /handback/job) chown -hR $1 "\$folder" ;;
    *) chown -hR --from=0 $1 "\$folder" 2> /dev/null || find "\$folder" -user 0 -exec chown -h $1 {} + ;;
  esac
done
for job in /handback/output/*; do
  if [ -f "\$job/recipe.sh" ]; then find "\$job" -prune -type d -user ${1%:*} -exec chown -hR $1 {} +; fi
done
echo given
GIVE
}

# start_helper IMAGE: only for a caller who is not root.
start_helper() {
  if (( EUID == 0 )); then return 0; fi
  give "$dir" job
  mkfifo "$dir/.in" "$dir/.out"
  ( docker run --rm --interactive --network none --log-driver none --pull never --label "sm-local.helper=$job" \
      "${handback[@]}" --entrypoint sh "$1" -c "$(giving_back "$EUID:$(id -g)")" < "$dir/.in" > "$dir/.out" 2> /dev/null & )
  exec 8> "$dir/.in" 9< "$dir/.out"
  rm "$dir/.in" "$dir/.out"
}

# finish_helper IMAGE: let the helper work and wait for its word. An image may have no shell, no chown, no find: then the
# same program runs with this machine's own.
finish_helper() {
  local word=''
  if (( EUID == 0 )); then rm -rf "$dir/cow" "$dir"/algo-*/cow; return 0; fi
  exec 8>&-
  read -r word <&9 || true
  exec 9<&-
  if [[ $word == given ]] || ! started || run_with_host_tools "$1"; then return 0; fi
  say "files in $dir are still root's; 'sudo chown -R $EUID $dir' gives them back"
}

# run_with_host_tools IMAGE: in any image, even an empty one; this machine's programs are mounted over the image's.
run_with_host_tools() {
  local folder
  for folder in /usr /bin /lib /lib64; do
    if [[ -e $folder ]]; then handback+=(--mount "type=bind,source=$folder,target=$folder,readonly"); fi
  done
  docker run --rm --network none --log-driver none --pull never "${handback[@]}" --entrypoint /bin/sh "$1" \
    -c "$(giving_back "$EUID:$(id -g)")" < /dev/null > /dev/null
}
