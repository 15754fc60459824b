#!/usr/bin/env bash
# usage: sweep.sh JOB...    clear away what killed recipes have left: containers that nobody will
# start or remove, volumes, networks, FIFOs, scratch folders, root's files. lib/sweep.sh finds the
# jobs. What runs stays, until the next verb; so does all on an engine that does not answer.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh
source sm_local/lib/record.sh
source sm_local/lib/process.sh
source sm_local/lib/container.sh
source sm_local/lib/sidecar.sh
source sm_local/lib/handback.sh
source sm_local/lib/results.sh
source sm_local/lib/docker.sh
source sm_local/libexec/running.sh

swept=()               # the jobs that are closed now
what=''                # what they had left

main() {
  local job dir engine
  cd -P . || exit 1
  for job; do
    if [[ $job == .parked/* ]]; then
      sweep_parked
      continue
    fi
    dir=output/$job engine=sandbox
    if recall engine "$job"; then engine=$value; fi
    if sweep_processes; then
      swept+=("$job")
      sweep_folder
    fi
  done
  if [[ $what ]]; then say "cleared away what ${swept[*]} had left behind:${what%,}"; fi
}

# sweep_processes: remove what the engine has of $job; fails if any of it runs, or may run.
sweep_processes() {
  if [[ $engine == sandbox ]]; then
    if sandbox_lives; then return 1; fi
  else
    sweep_containers "sm-local.job=$job" && sweep_containers "sm-local.helper=$job" &&
      sweep_taken || return 1
    sweep_things volume
    sweep_things network
  fi
}

# sweep_parked: remove a folder that no job will take, and its container, which may have ended.
sweep_parked() {
  local id=''
  read -r id 2> /dev/null < "output/$job/record/parked" || true
  if [[ $id ]]; then docker rm -f -v "$id" > /dev/null 2>&1 || true; fi
  drop_volumes_of label=sm-local.parked
  rm -rf "output/$job" 2> /dev/null || true
}

# sweep_taken: remove the container that was parked and has heard of no job; fails if it is the job.
sweep_taken() {
  local id='' state
  read -r id 2> /dev/null < "$dir/record/parked" || return 0
  drop_volumes_of label=sm-local.parked
  state=$(docker container inspect --format '{{.State.Running}}' "$id" 2> /dev/null) || return 0
  if [[ $state == true && -e $dir/record/told ]]; then return 1; fi
  if docker rm -f -v "$id" > /dev/null 2>&1; then what+=" container ${id:0:12},"; fi
}

# sandbox_lives: does process 1 of one of the hosts run?
sandbox_lives() {
  local folder first began
  for folder in "$dir" "$dir"/algo-*; do
    first='' began=''
    { read -r first < "$folder/container-id"; read -r began < "$folder/.began"; } 2> /dev/null ||
      true
    if [[ $first ]] && lives "$first" "$began"; then return 0; fi
  done
  return 1
}

# sweep_containers LABEL: fails if one runs.
sweep_containers() {
  local found id state
  found=$("$engine" ps --all --filter "label=$1" --filter "label=sm-local.project=$PWD" \
    --format '{{.ID}} {{.State}}' 2> /dev/null) || return 1
  while read -r id state; do
    case $state in
      '') ;;
      removing | stopping) await_removal "$id" || return 1 ;;
      created | configured | initialized | exited | stopped | dead)
        if "$engine" rm -f -v "$id" > /dev/null 2>&1; then what+=" container $id,"; fi ;;
      *) return 1 ;;
    esac
  done < <(printf '%s\n' "$found")
}

# await_removal CONTAINER: the engine is at it; fails if it takes more than 5 s.
await_removal() {
  local tries=0
  while "$engine" inspect "$1" > /dev/null 2>&1; do
    if (( tries++ >= 50 )); then return 1; fi
    sleep 0.1
  done
}

# sweep_things volume|network: remove those of $job.
sweep_things() {
  local id
  while read -r id; do
    if "$engine" "$1" rm "$id" > /dev/null 2>&1; then what+=" $1 ${id:0:12},"; fi
  done < <(exec "$engine" "$1" ls -q -f "label=sm-local.job=$job" 2> /dev/null)
}

# sweep_folder: give back what is root's, remove what only the running job needed, and close it.
sweep_folder() {
  local path
  if (( EUID )) && [[ $(find "$dir" -user 0 -print 2> /dev/null | head -n 1) ]]; then
    give_back
  fi
  for path in "$dir"/{.in,.out,.feeders,record/go,record/heard} \
    "$dir"/{,algo-*/}{cow,stage,pipes,views,manifests,.began}; do
    if [[ -e $path ]] && rm -rf "$path" 2> /dev/null; then what+=" ${path#output/},"; fi
  done
  rm -f "$dir"/*.new.* "$dir"/record/*.new.*       # facts that were being written
  disarm "$dir"
  if has_nothing; then
    rm -rf "$dir"
  elif [[ ! -s $dir/status ]] || is_unfinished "$job"; then
    rm -f "$dir"/*.tar.gz.part*
    record status=Abandoned
    what+=" a recipe that was killed,"
  fi
  rm -f "output/.open/$job"
}

# has_nothing: is there no status, and nothing but what a recipe writes first?
has_nothing() {
  [[ ! -s $dir/status && -d $dir && ! $(find "$dir" -type f ! -path "$dir/recipe.sh" \
    ! -path "$dir/record/*" ! -path "$dir/status" -print 2> /dev/null | head -n 1) ]]
}

# give_back: what `make chown` does, for one job.
give_back() {
  local image folder
  handback=()
  hand_back "$dir" job
  for folder in code opt/ml/checkpoints; do
    if [[ -d $folder ]]; then hand_back "$folder" "new-${folder##*/}"; fi
  done
  image=$("$engine" images --quiet 2> /dev/null | head -n 1)
  if [[ $image ]] && run_with_host_tools "$image" 2> /dev/null; then what+=" root's files,"; fi
}

main "$@"
