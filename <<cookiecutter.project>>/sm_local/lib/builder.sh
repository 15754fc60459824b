# shellcheck shell=bash
# How the project's image is built. BuildKit and Podman mount pip's cache, and what must be in no
# layer: pip.conf and certificates. Docker's legacy builder has no mounts.
# Reads $engine. Adds to $build, the recipe's `docker build` command. Sets $secrets.
# shellcheck disable=SC2154  # the recipe sets $engine

secrets=''             # a folder of the caller's alone, for as long as the build takes

# build_image: run $build in the project's folder.
build_image() {
  local name
  look_up HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL CA_BUNDLE
  for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
    # By name: the value is not written into the image's history.
    if [[ ${!name-} ]]; then build+=(--build-arg "$name"); fi
  done
  if [[ $engine == podman ]]; then
    add_secrets
    build_and_tidy container/Dockerfile || not_built $?
  elif has_buildkit; then
    add_secrets
    DOCKER_BUILDKIT=1 "${build[@]}" --file container/Dockerfile . || not_built $?
  else
    refuse_secrets
    say "no BuildKit here: after a change of requirements.txt pip downloads everything again;" \
      "Docker's buildx plugin keeps the downloads"
    sed -e 's/ --mount=type=cache[^ ]*//g' -e 's/ --mount=type=secret[^ ]*//g' \
      container/Dockerfile | DOCKER_BUILDKIT=0 build_and_tidy - ||
      not_built $?
  fi
}

# not_built STATUS: say what the image is made from, as an engine's last line may be about anything.
not_built() {
  local word base=''
  for word in "${build[@]}"; do
    if [[ $word == BASE_IMAGE=* ]]; then base=$word; fi
  done
  if (( $1 <= 128 )); then
    say "the image was not built (above says why); it is made from $base (settings.env)," \
      "container/Dockerfile and container/requirements.txt"
  fi
  exit "$1"
}

# has_buildkit: may this client use it? From 23.0 on it needs the buildx plugin.
has_buildkit() {
  [[ ${DOCKER_BUILDKIT-} != 0 && $(DOCKER_BUILDKIT=1 docker build --help 2>&1) == *--secret* ]]
}

# add_secrets: hand pip.conf and the certificates to the build.
add_secrets() {
  secrets=$(umask 077 && mktemp -d "${TMPDIR:-/tmp}/sm-local-build.XXXXXX")
  trap 'rm -rf "$secrets"' EXIT
  pip_conf > "$secrets/pip"
  build+=(--secret "id=pip,src=$secrets/pip")
  if [[ ${CA_BUNDLE-} ]]; then
    cp "$CA_BUNDLE" "$secrets/ca"     # the path in --secret may have no comma
    build+=(--secret "id=ca,src=$secrets/ca")
  fi
}

# pip_conf: print what pip is to know of the company's network. pip takes a % as it is.
pip_conf() {
  echo '[global]'
  if [[ ${PIP_INDEX_URL-} ]]; then printf 'index-url = %s\n' "$PIP_INDEX_URL"; fi
  if [[ ${PIP_INDEX_URL-} == http://* ]]; then printf 'trusted-host = %s\n' "$(index_host)"; fi
  if [[ ${CA_BUNDLE-} ]]; then echo 'cert = /run/secrets/ca'; fi
}

# index_host: print the host and port of PIP_INDEX_URL. pip takes no packages over plain HTTP from a
# host that it is not told to trust.
index_host() {
  local host=${PIP_INDEX_URL#*://}
  host=${host%%/*}
  echo "${host##*@}"
}

# refuse_secrets: the legacy builder gets what is no secret as arguments, which the image's history
# keeps.
refuse_secrets() {
  local instead="install Docker's buildx plugin, or use ENGINE=podman"
  [[ ! ${CA_BUNDLE-} ]] || die "Docker's legacy builder cannot be handed CA_BUNDLE; $instead," \
    "or take a base image that has the certificates"
  if [[ ! ${PIP_INDEX_URL-} ]]; then return 0; fi
  [[ $PIP_INDEX_URL != *://*@* ]] || die "PIP_INDEX_URL has a password, which Docker's legacy" \
    "builder would write into the image's history; $instead"
  build+=(--build-arg PIP_INDEX_URL)
  if [[ $PIP_INDEX_URL == http://* ]]; then
    build+=(--build-arg "PIP_TRUSTED_HOST=$(index_host)")
  fi
}

# build_and_tidy FILE: build; if that fails, or is interrupted, remove what was made so far: an
# image without a name and a container, each as large as what was installed.
build_and_tidy() {
  local log=recipes/.build-$$ status=0
  mkdir -p recipes
  trap : INT                          # the engine stops, and then this goes on
  "${build[@]}" --force-rm --file "$1" . | tee -i "$log" || status=$?
  trap - INT
  if (( status )); then remove_unfinished "$log"; fi
  rm -f "$log"
  return "$status"
}

# remove_unfinished LOG: remove the last image that the log names, and those that it is made of, up
# to the first that has a name or is used. Not where the base image has no name, nor the image that
# was built last: another project may have taken its name, and the unfinished one may be made of it.
remove_unfinished() {
  local word last base='' own=''
  for word in "${build[@]}"; do
    if [[ $word == BASE_IMAGE=* ]]; then base=${word#*=}; fi
  done
  last=$(sed -n -e 's/^ *--*> \([0-9a-f]\{10,\}\)$/\1/p' \
    -e 's/^ *--*> Using cache \([0-9a-f]\{10,\}\)$/\1/p' "$1" | tail -n 1)
  read -r own _ 2> /dev/null < "recipes/.built-$engine" || true
  if [[ $last ]] && ! is_named "$last" && is_named "$base" && is_named "${own:-none}"; then
    "$engine" rmi "$last" > /dev/null 2>&1 || true
  fi
}

# is_named IMAGE: has it a tag or a digest?
is_named() {
  local names='{{len .RepoTags}} {{len .RepoDigests}}'
  [[ $("$engine" image inspect --format "$names" "$1" 2>&1) != '0 0' ]]
}
