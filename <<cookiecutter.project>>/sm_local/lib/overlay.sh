# shellcheck shell=bash
# Overlay mounts.
# Reads nothing. Sets the caller's $path.

# overlay_path PATH: set $path to it, escaped: in an overlay's options a colon or a comma without a
# backslash ends a folder's name.
overlay_path() {
  path=${1//\\/\\\\}
  path=${path//:/\\:}
  path=${path//,/\\,}
}
