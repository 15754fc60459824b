# shellcheck shell=bash
# The project's own image: what it was made from, and whether that is still so.

# container_sum: what the project's own image is made from, in one text.
container_sum() { cksum container/* container/*/* 2> /dev/null || true; }

# warn_if_stale: recipes/.built is what container/ was when `make build` last ran here. Not in the recipe's own process: a
# signal that comes while Bash 5.2 reads a $( ) breaks the trap.
warn_if_stale() {
  if [[ -f recipes/.built && $(container_sum) != "$(< recipes/.built)" ]]; then
    say "container/ changed since the image was built; run 'make build'"
  fi
}

# build_proxies: adds to $build; a value that only the environment names is not written into the image's history.
build_proxies() {
  local name
  for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
    if [[ ${!name-} ]]; then build+=(--build-arg "$name"); fi
  done
}
