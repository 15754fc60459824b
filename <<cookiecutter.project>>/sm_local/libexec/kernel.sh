#!/usr/bin/env bash
# usage: kernel.sh ENGINE IMAGE    put a kernel for IMAGE's Python into the cache, print where it is
# Once for each Python, C library and processor, whatever the image: the packages have compiled
# parts. Nothing is added to the image.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh
source sm_local/lib/podman.sh

cache=${XDG_CACHE_HOME:-$HOME/.cache}/sm-local/kernel
# 3.12-x86_64-manylinux, and the tags of the wheels that run there
facts='import os, platform, sys
libc = "manylinux" if "glibc" in platform.libc_ver()[0] else "musllinux"
print("%d.%d-%s-%s" % (*sys.version_info[:2], platform.machine(), libc))'
tags='manylinux_2_17 manylinux2014 manylinux_2_28 musllinux_1_1 musllinux_1_2'

new=''                 # the folder in the making

main() {
  local engine=$1 image=$2 python folder limits=(--ulimit nofile=1024:1024)
  limit_processes                     # Podman's own wishes may be more than this machine grants
  python=$(in_image -c "$facts" < /dev/null) ||
    die "image '$image' has no python3, and so no kernel (above)"
  folder=$cache/$python
  if ! cmp -s sm_local/requirements-kernel.txt "$folder/ready"; then
    new=$folder.new.$$
    trap 'rm -rf "$new"' EXIT
    mkdir -p "$new"
    say "fetching a Jupyter kernel for Python ${python//-/, } (once, a few seconds)"
    fetch
    compile
    rm -rf "$folder"
    mv "$new" "$folder"
    cp sm_local/requirements-kernel.txt "$folder/ready"
  fi
  echo "$folder"
}

# in_image WORD...: run the image's Python, with nothing of this machine.
in_image() {
  "$engine" run --rm --pull never --network none --entrypoint python3 "${limits[@]}" \
    ${options[@]+"${options[@]}"} "$image" "$@"
}

# fetch: wheels for main's $python, into $new, by what installed the tool's own environment.
fetch() {
  local version=${python%%-*} machine=${python#*-} libc=${python##*-} install tag
  machine=${machine%-*}
  if [[ -x sm_local/.venv/bin/pip ]]; then
    install=(sm_local/.venv/bin/python -m pip install --disable-pip-version-check)
    install+=(--implementation cp)
    for tag in $tags; do
      if [[ $tag == "$libc"* ]]; then install+=(--platform "${tag}_$machine"); fi
    done
  else
    if [[ $libc == manylinux ]]; then tag=gnu; else tag=musl; fi
    install=(uv pip install --python-platform "$machine-unknown-linux-$tag")
  fi
  "${install[@]}" --quiet --only-binary :all: --python-version "$version" --target "$new" \
    --requirement sm_local/requirements-kernel.txt >&2 ||
    die "the kernel was not fetched (above); try again, or set your index"
}

# compile: once and for all, as the folder is read-only in containers.
compile() {
  local options=(--user "$EUID:${GROUPS[0]}" --mount "type=bind,source=$new,target=/opt/kernel")
  in_image -m compileall -q -j 0 /opt/kernel > /dev/null 2>&1 < /dev/null || true
}

main "$@"
