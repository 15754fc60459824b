#!/usr/bin/env bash
# usage: bash tools/apt.sh PACKAGE...    install packages of Debian or Ubuntu
# As root, or with a sudo that asks for no password.
# Status 1 and one line where that cannot be; no service of theirs is started.
set -euo pipefail

SM_POLICY=/usr/sbin/policy-rc.d

main() {
  local root=()
  command -v apt-get > /dev/null ||
    die "there is no apt-get; install by hand what these Debian packages bring: $*"
  if (( EUID )); then
    sudo -n true 2> /dev/null ||
      die "you are not root and sudo asks for a password; 'sudo apt-get install $*'"
    root=(sudo -n)
  fi
  echo "sm-local: installing $* (they stay installed)" >&2
  services_stay_down "${root[@]+"${root[@]}"}"
  "${root[@]+"${root[@]}"}" apt-get update -qq > /dev/null ||
    die "apt-get update failed, its words are above; check the network and /etc/apt"
  "${root[@]+"${root[@]}"}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y --no-install-recommends "$@" > /dev/null ||
    die "apt-get did not install $*, its words are above; 'sudo apt-get install $*'"
}

# services_stay_down [SUDO]: Debian starts a service when it is installed, unless this file says no.
# It is removed at the end.
services_stay_down() {
  if [[ -e $SM_POLICY ]]; then return 0; fi
  printf '#!/bin/sh\nexit 101\n' | "$@" tee "$SM_POLICY" > /dev/null
  "$@" chmod 755 "$SM_POLICY"
  # shellcheck disable=SC2064    # sudo or nothing, as it is now
  trap "$* rm -f $SM_POLICY" EXIT
}

die() {
  echo "sm-local: $1" >&2
  exit 1
}

main "$@"
