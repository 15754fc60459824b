#!/bin/sh
# usage: full.sh RECIPE    print a recipe with its library in it: one file, to send to somebody
exec awk '
  $1 == "source" { while ((getline line < $2) > 0) if (line !~ /^# shellcheck /) print line; next }
  { print }
' "$1"
