# shellcheck shell=bash
# What a job runs: a copy of code/, as on SageMaker. $dir/code is the record of what ran. Each host
# may change what it sees; that goes with the container.
# Reads $dir, $at; bind and cow are the engine's. Sets $in_code, $large, $before_start.
# shellcheck disable=SC2034,SC2154  # folder.sh sets what is read, job.sh reads what is set

large=''               # MB in code/ where these are too many to be copied for each job
in_code=()             # what is copied of code/
copying='' copied_to=''         # the process that copies, beside the recipe, and where to
before_start=end_copy

# look_at_code: find out what a job runs of code/: not a repository, caches, and virtual
# environments, which work only where they were made. Its size is told on descriptor 3, for
# take_code, while the job's folder is made.
look_at_code() {
  local entry
  for entry in code/* code/.[!.]*; do
    case ${entry##*/} in
      .git | .hg | .svn | __pycache__ | .*_cache | .ipynb_checkpoints) continue ;;
    esac
    if [[ -e $entry/pyvenv.cfg ]] || ! [[ -e $entry || -L $entry ]]; then continue; fi
    in_code+=("$entry")
  done
  if (( ${#in_code[@]} )); then exec 3< <(exec du -sk -- "${in_code[@]}" 2> /dev/null); fi
}

# take_code: copy it into the job's folder.
take_code() {
  if (( ! ${#in_code[@]} )) || is_too_large; then return 0; fi
  begin_copy "$dir/code" "${in_code[@]}"
}

# begin_copy FOLDER FROM...: copy beside the recipe, until end_copy.
begin_copy() {
  copied_to=$1
  cp -pR -- "${@:2}" "$1" &
  copying=$!
}

# end_copy: wait for what is copied, without which no job may start. A signal ends a wait, too.
end_copy() {
  local status
  if [[ ! $copying ]]; then return 0; fi
  until wait "$copying"; do
    status=$?
    if (( status <= 128 )); then
      die "code/ could not be copied to $copied_to (above); is the disk full? 'make chown' gives" \
        "back what is root's"
    fi
  done
  copying=''
}

# is_too_large: set $large if there are more than 64 MB; says so. A name may have a newline, and a
# line that is no number must not get into an expression: Bash would run a $( ) in it.
is_too_large() {
  local size total=0
  while read -r size _; do
    if [[ $size == [0-9]* && $size != *[!0-9]* ]]; then total=$((total + 10#$size)); fi
  done <&3
  exec 3<&-
  if (( total <= 64 * 1024 )); then return 1; fi
  large=$((total / 1024))
  say "code/ has $large MB, and is not copied for each job: this one sees what you edit while it" \
    "runs; data belongs in opt/ml/input/data"
}

# show_code TARGET SMALL LARGE: mount it for a host. SMALL: cow, or a second copy; LARGE: how code/
# itself is mounted where it was not copied, cow or readonly.
show_code() {
  local source=$dir/code how=$2 copy=$at/cow/+copy       # no channel can have that name
  remember_place code "$1"
  end_copy
  if [[ $large ]]; then source=code how=$3; fi
  # as podman.sh's cow says
  if [[ $how == cow && $PWD == *[:,\\]* && ! $large ]]; then how=copy; fi
  case $how in
    cow)
      if [[ $large ]]; then mkdir -p "$at/cow/+code/upper" "$at/cow/+code/work"; fi
      cow "$source" "$1" +code ;;
    readonly) bind "$source" "$1" readonly ;;
    *)
      begin_copy "$copy" "$source/."
      bind "$copy" "$1" ;;
  esac
}
