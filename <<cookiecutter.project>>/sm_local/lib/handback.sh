# shellcheck shell=bash
# Root inside, yours outside. The daemon runs as root, so what a job writes belongs to root; a
# helper container gives it back. It is started together with the job, which costs a tenth of
# starting it afterwards, and goes to work when the recipe and the job have let go of it.
# Reads $dir, $job, $recipe, $answer. Sets $handback, $unswept.
# shellcheck disable=SC2034,SC2154  # folder.sh and sidecar.sh set and read the others
# shellcheck disable=SC2016  # $program is expanded in the helper

handback=()            # docker arguments: what is given back, mounted under /handback
# the shell program that runs in the helper; $1 and $2 are the caller's UID:GID and UID. Links are
# changed, never followed.
program='set -e
cat > /dev/null
for folder in /handback/job /handback/job/algo-* /handback/output/* /handback/output/*/algo-*; do
  job=${folder#/handback/output/}
  # of a job that is not over these are in use
  if [ ! -f "/handback/output/.open/${job%%/*}" ]; then rm -rf "$folder/cow" "$folder/views"; fi
done
for folder in /handback/*; do
  case $folder in
    /handback/new-*)
      # not any recipe.sh: a job can make one, with any time, where it writes
      started=$(ls -d /handback/job/recipe.sh /handback/output/*/recipe.sh 2> /dev/null |
        head -n 1)
      # by the change that no program can date back; not every find knows it
      find "$folder" -mindepth 1 -user 0 -cnewer "$started" -exec chown -h "$1" {} + 2> /dev/null ||
        find "$folder" -mindepth 1 -user 0 -newer "$started" -exec chown -h "$1" {} + ;;
    /handback/job)
      chown -hR "$1" "$folder" ;;
    *)
      chown -hR --from=0 "$1" "$folder" 2> /dev/null ||
        find "$folder" -user 0 -exec chown -h "$1" {} + ;;
  esac
done
for job in /handback/output/*; do
  if [ -f "$job/recipe.sh" ]; then
    find "$job" -prune -type d -user "$2" -exec chown -hR "$1" {} +
  fi
done
echo given'

# hand_back FOLDER NAME: all that root owns in FOLDER goes back to the caller. NAME `new-…`, and a
# folder outside the project that a link leads to: only what is newer than the job. NAME `job`, and
# the caller's jobs in `output`: everything, because root in a container can give files to anybody,
# as unpacking an archive does.
hand_back() {
  local field name=$2
  if leads_out "$1"; then name=new-$2; fi
  csv "source=$PWD/$1"
  handback+=(--mount "type=bind,$field,target=/handback/$name")
}

# leads_out FOLDER: does a link in this path lead out of the project?
leads_out() {
  local path=$1
  while [[ ! -L $path ]]; do
    if [[ $path != */* ]]; then return 1; fi
    path=${path%/*}
  done
  [[ $(cd "$1" && pwd -P) != "$PWD"/* ]]
}

# start_helper IMAGE: only for a caller who is not root.
start_helper() {
  if (( EUID == 0 )); then return 0; fi
  hand_back "$dir" job
  sidecar handback helper "$1" 2> /dev/null
}

# helper IMAGE: the process itself. Without a word from the recipe, which was killed then, the end
# of its stdin says that nothing here holds the job any more; its containers may go on.
helper() {
  {
    if ! read -r; then wait_for_containers; fi
  } | docker run --rm --interactive --network none --log-driver none \
    --pull never --label "sm-local.project=$PWD" --label "sm-local.helper=$job" \
    --label "sm-local.recipe=$recipe" \
    "${handback[@]}" --entrypoint sh "$1" \
    -c "$program" sh "$EUID:${GROUPS[0]}" "$EUID"
}

# finish_helper IMAGE: let the helper work and wait for its answer. An image may have no shell, no
# chown, no find: then the same program runs with this machine's programs.
finish_helper() {
  if (( EUID == 0 )); then return 0; fi
  end_handback
  if [[ $answer == given ]] || ! started; then return 0; fi
  drop_helper
  if run_with_host_tools "$1"; then return 0; fi
  unswept=1
  say "files in $dir are still root's; 'make chown' gives them back when docker answers"
}

# drop_helper: remove a helper whose client was killed.
drop_helper() {
  local id
  while read -r id; do
    docker rm -f -v "$id" > /dev/null 2>&1 || true
  done < <(exec docker ps --all --quiet --filter "label=sm-local.helper=$job" 2> /dev/null)
}

# run_with_host_tools IMAGE: in any image, even an empty one; this machine's programs are mounted
# over the image's.
run_with_host_tools() {
  local folder
  for folder in /usr /bin /lib /lib64; do
    if [[ -e $folder ]]; then
      handback+=(--mount "type=bind,source=$folder,target=$folder,readonly")
    fi
  done
  set -m                              # a process group of its own: Ctrl-C does not reach it
  docker run --rm --network none --log-driver none --pull never \
    --label "sm-local.project=$PWD" --label "sm-local.helper=${job-}" \
    "${handback[@]}" --entrypoint /bin/sh "$1" \
    -c "$program" sh "$EUID:${GROUPS[0]}" "$EUID" < /dev/null > /dev/null &
  set +m
  wait $!
}
