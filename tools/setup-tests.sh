#!/usr/bin/env bash
# usage: bash tools/setup-tests.sh    install what the tests need and is missing (Debian, Ubuntu)
# What cannot be had is said in one line each, before the first test; only the tests that need it
# then fail.
set -euo pipefail

# a program, and the package that brings it
SM_NEEDS='docker docker.io
dockerd docker.io
iptables iptables
debootstrap debootstrap
podman podman
runc runc
docker-registry docker-registry
htpasswd apache2-utils
busybox busybox-static
git git
setpriv util-linux
gcc build-essential
ip iproute2
ps procps
pgrep procps'
PATH=$PATH:/usr/sbin:/sbin

main() {
  if [[ $(uname -s) != Linux ]]; then return 0; fi
  install
  missing | while IFS=$'\t' read -r what package; do
    echo "sm-local: some tests will fail: $what is missing;" \
      "install it (Debian's package: $package)" >&2
  done
  engine
}

# install: twice at most, because only after `apt-get update` is it known which package gives Podman
# its names.
install() {
  local packages before=''
  while command -v apt-get > /dev/null; do
    packages=$(missing | cut -f2 | sort -u | tr '\n' ' ')
    if [[ ! $packages || $packages == "$before" ]]; then return 0; fi
    # shellcheck disable=SC2086    # a word each
    bash tools/apt.sh $packages || return 0
    before=$packages
  done
}

# missing: one line for each thing that is not here: what, tab, its packages.
missing() {
  local program package
  while read -r program package; do
    if ! command -v "$program" > /dev/null && wanted "$program"; then
      printf '%s\t%s\n' "$program" "$package"
    fi
  done <<< "$SM_NEEDS"
  if ! system_venvs; then printf 'the venv module of /usr/bin/python3\tpython3-venv\n'; fi
  if ! python_headers; then printf 'Python.h\tpython3-dev\n'; fi
  if ! aws_v2; then printf 'AWS CLI v2\tawscli\n'; fi
  if ! podman_names && command -v podman > /dev/null; then
    printf 'name resolution of Podman\t%s\n' "$(podman_names_package)"
  fi
}

# wanted PROGRAM: an engine that answers needs no dockerd, and nobody but root can start one.
wanted() {
  [[ $1 != dockerd && $1 != iptables ]] || { (( EUID == 0 )) && ! answers; }
}

answers() {
  command -v docker > /dev/null && docker version > /dev/null 2>&1
}

# aws_v2: whether an AWS CLI of version 2 is here; it need not be the first on PATH.
aws_v2() {
  local path
  while read -r path; do
    if [[ $("$path" --version 2> /dev/null) == aws-cli/2.* ]]; then return 0; fi
  done < <(type -ap aws; if [[ -x /usr/bin/aws ]]; then echo /usr/bin/aws; fi)
  return 1
}

# system_venvs: root's tests make venvs of the system's Python, which other users can run too.
system_venvs() {
  [[ ! -x /usr/bin/python3 ]] || /usr/bin/python3 -c 'import ensurepip' 2> /dev/null
}

# python_headers: sagemaker-training, which ours is compared with, has a part in C.
python_headers() {
  python3 -c 'import os, sysconfig
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2> /dev/null
}

# podman_names: a CNI plugin beside Podman 4.3, aardvark-dns beside newer ones
podman_names() {
  [[ -x /usr/lib/cni/dnsname || -x /usr/lib/podman/aardvark-dns ||
    -x /usr/libexec/podman/aardvark-dns ]]
}

podman_names_package() {
  local cni=golang-github-containernetworking-plugin-dnsname
  if apt-cache show "$cni" > /dev/null 2>&1; then
    echo "$cni dnsmasq-base"
  else
    echo aardvark-dns
  fi
}

engine() {
  if (( EUID == 0 )) || answers; then return 0; fi
  echo "sm-local: tests of containers will fail: no Docker engine answers you," \
    "and only root can start one;" \
    "start it, or 'sudo usermod -aG docker $(id -un)' and a new login" >&2
}

main "$@"
