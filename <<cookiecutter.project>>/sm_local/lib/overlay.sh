# shellcheck shell=bash

# overlay_path PATH: sets $path; in an overlay's options a folder's name ends at a colon or comma without a backslash.
overlay_path() {
  path=${1//\\/\\\\}
  path=${path//:/\\:}
  path=${path//,/\\,}
}
