# shellcheck shell=bash
# A job's folder.

job='' stamp='' dir='' at=''    # the job's name; its folder, output/<job>; its host's: the same, or output/<job>/algo-N of several

# new_job STEM FOLDER...: make the folder of a new job, and in it the folders that it mounts: model and output start empty,
# as on SageMaker. -P: labels and mounts get the folder's own path, whatever link led here.
new_job() {
  local stem n=1
  # shellcheck disable=SC2154  # the recipe's
  [[ ${library-} == 1 ]] || die "this recipe is of another version of sm_local/; 'make train' writes a new one"
  cd -P . || exit 1
  [[ -d opt/ml ]] || die "no opt/ml here; run this in the project's folder"
  [[ -d output ]] || mkdir -p output
  stem=$1-$(date -u +%Y%m%d-%H%M%S)
  job=$stem
  until mkdir "output/$job" 2>/dev/null; do       # the atomic step: two jobs of one second get a folder each
    [[ -d output/$job ]] || die "cannot make output/$job; is output/ yours? 'make chown' gives it back"
    job=$stem-$((++n))
  done
  dir=output/$job at=output/$job stamp=${job#"$1"}
  trap 'rm -rf "$dir"' EXIT                       # until the job has started there is nothing worth keeping
  shift
  mkdir -p "${@/#/$dir/}"
  cp "$0" "$dir/recipe.sh"
  echo $$ > "$dir/.recipe"                        # `make jobs`, `clean` and `stop` know by it, also while there is no container
  echo InProgress > "$dir/status"
}

# write_config NAME TEXT: one of the files that the host finds in its config folder.
write_config() { printf %s "$2" > "$at/config/$1"; }
