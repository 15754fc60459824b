# shellcheck shell=bash
# What a company's network asks for: proxies, an index of Python packages, certificates. Their
# values are looked up while a recipe runs, because a URL may have a password, which belongs in no
# recipe and in no image.
# Reads lib/container.sh's csv. Adds to $mounts. Exports what it finds.

# look_up NAME...: export each setting that the environment does not have already.
look_up() {
  local name
  for name; do
    if [[ ! ${!name-} ]]; then
      printf -v "$name" %s "$(sed -n "s/^[[:space:]]*${name}[[:space:]]*=[[:space:]]*//p" \
        settings.env settings.local.env 2> /dev/null | sed 's/[[:space:]]*$//' | tail -n 1)"
    fi
    # shellcheck disable=SC2163  # the variable that is named
    if [[ ${!name} ]]; then export "$name"; fi
    case $name in *_PROXY) in_lower_case "$name" ;; esac
  done
  if [[ ${CA_BUNDLE-} && ! -f $CA_BUNDLE ]]; then
    die "CA_BUNDLE is $CA_BUNDLE, which is no file here; name one with certificates (PEM)"
  fi
}

# in_lower_case NAME: some programs know a proxy's variable in lower case alone, such as curl.
in_lower_case() {
  local lower
  case $1 in
    HTTP_PROXY) lower=http_proxy ;;
    HTTPS_PROXY) lower=https_proxy ;;
    NO_PROXY) lower=no_proxy ;;
  esac
  # shellcheck disable=SC2163
  if [[ ${!1} && ! ${!lower-} ]]; then export "$lower=${!1}"; fi
}

# mount_certificates TARGET: show the container the file CA_BUNDLE.
mount_certificates() {
  local field source
  csv "source=$CA_BUNDLE"
  source=$field
  csv "target=$1"
  mounts+=(--mount "type=bind,$source,$field,readonly")
}
