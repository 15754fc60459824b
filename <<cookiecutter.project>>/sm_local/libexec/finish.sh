#!/bin/sh
# usage: sh .sm-local.upgrade/finish.sh    in the project's folder: put a made upgrade in place
# `make upgrade` runs its own copy of this file, the next make runs it again if that was killed.
# What is in place already is skipped, so it may be killed at any point. Each line of `list` is
# `put PATH` or `drop PATH`; while there is a list there is something to finish.
set -eu

main() {
  at=.sm-local.upgrade
  while read -r what path; do
    case $what in
      put)
        if [ -e "$at/new/$path" ]; then
          mkdir -p "$(dirname "$path")"
          mv -f "$at/new/$path" "$path"
        fi ;;
      drop)
        rm -f "$path"
        rmdir "$(dirname "$path")" 2> /dev/null || true ;;
    esac
  done < "$at/list"
  rm -f "$at/list"
  rm -rf "$at"
  exit
}

main
