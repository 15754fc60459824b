#!/usr/bin/env bash
# usage: make jobs [JSON=1]    what ran, when (UTC, in the name), how it ended; newest last
# Needs neither Python nor a valid job.yaml.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh
source sm_local/lib/record.sh
source sm_local/lib/process.sh
source sm_local/libexec/chosen.sh
source sm_local/libexec/running.sh

# row JOB STATUS EXIT SECONDS FOLDER [SAMPLE]: print a line of the table.
row() { printf '%-44s %-11s %5s %8s  %s\n' "${@:1:4}" "$5${6:+  (a sample: $6)}"; }

# object JOB STATUS EXIT SECONDS FOLDER [SAMPLE]: print a JSON object, unknown values as null; a
# comma before all but the first.
object() {
  local status=null sample=null string
  if [[ $2 != - ]]; then status=\"$2\"; fi
  if [[ $6 ]]; then
    json_string "$6"
    sample=$string
  fi
  json_string "$1"
  printf '%s {"job": %s, "status": %s, "exit_code": %s, "seconds": %s, "sample": %s' \
    "$comma" "$string" "$status" "${3/#-/null}" "${4/#-/null}" "$sample"
  printf ', "folder": "output/%s}' "${string#\"}"
  comma=$',\n'
}

# json_string TEXT: set the caller's $string to it, quoted: a folder of yours may have any name.
json_string() {
  local i one
  string=''
  for (( i = 0; i < ${#1}; i++ )); do
    one=${1:i:1}
    case $one in
      [\\\"]) one=\\$one ;;
      [[:cntrl:]]) printf -v one '\\u%04x' "'$one" ;;
    esac
    string+=$one
  done
  string=\"$string\"
}

main() {
  local comma='' print=row
  if [[ ${1-} == json ]]; then
    print=object
    echo '['
    list
    printf '\n]\n'
  else
    row JOB STATUS EXIT SECONDS FOLDER
    list
  fi
}

# list: print each job by $print.
list() {
  local job status seconds code engine unheard=''
  find_running
  while read -r _ _ job; do
    # after a full disk both files may be empty
    status='' seconds='' code=''
    read -r status seconds < "output/$job/status" || true
    read -r code 2> /dev/null < "output/$job/exit-code" || true
    if [[ $status == InProgress || $status == Stopping ]] && ! is_running "$job"; then
      if in_doubt "$job"; then unheard=$engine; else status=Abandoned; fi
    fi
    recall sample "$job" || true
    "$print" "$job" "${status:--}" "${code:--}" "${seconds:--}" "output/$job" "$value"
  done < <(by_time)
  if [[ $unheard ]]; then
    say "$unheard does not answer: what is InProgress or Stopping there may have ended"
  fi
}

main "$@"
