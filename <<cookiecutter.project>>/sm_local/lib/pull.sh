# shellcheck shell=bash
# Fetch a Deep Learning Container: from the public gallery without a login, from a region's ECR with
# AWS CLI v2.
# Reads pull_dlc's arguments alone, which are $engine, $image and so on for all functions here.
# shellcheck disable=SC2154  # shellcheck does not see that

# pull_dlc ENGINE SOURCE LOCAL HOST REGION PLATFORM UPDATE: HOST and REGION are empty when no ECR
# login is needed.
pull_dlc() {
  local engine=$1 image=$2 name=$3 host=$4 region=$5 platform=$6 update=${7:-0}
  if [[ $update != 1 ]] && already_here; then return; fi
  # what aws and the engine say on stderr: shown, and read for a hint
  said=$(mktemp "${TMPDIR:-/tmp}/sm-local.XXXXXX")
  trap 'rm -f "$said"' EXIT
  trap 'exit 130' INT  # docker ends on Ctrl-C with a status like any other: not to be tried again
  if [[ $host ]]; then ecr_login; fi
  pull_patiently
  name_image "$image"
  say "pulled $image; next: make train IMAGE=dlc"
}

# already_here: is the image here under either name? Tags are rebuilt about weekly, so say its date.
already_here() {
  local found created
  for found in "$image" "$name"; do
    if created=$("$engine" image inspect --format '{{.Created}}' "$found" 2> /dev/null); then
      name_image "$found"
      say "$found is here already, made on ${created:0:10}; UPDATE=1 pulls it again;" \
        "next: make train IMAGE=dlc"
      return
    fi
  done
  return 1
}

# name_image FOUND: the name that IMAGE=dlc runs, wherever the image came from.
name_image() { if [[ $1 != "$name" ]]; then "$engine" tag "$1" "$name"; fi; }

# ecr_login: get the token first, alone: piped straight into `docker login`, docker's complaint
# about a TTY hides why aws failed.
ecr_login() {
  local aws password command
  if has_helper; then return; fi
  find_aws
  command=("$aws" ecr get-login-password --region "$region")
  # AWS CLI < 2.13 ignores the variable
  if [[ ${AWS_ENDPOINT_URL_ECR-} ]]; then command+=(--endpoint-url "$AWS_ENDPOINT_URL_ECR"); fi
  if ! password=$(AWS_PAGER='' AWS_CLI_AUTO_PROMPT=off "${command[@]}" 2> "$said" < /dev/null); then
    cat "$said" >&2
    die "no token for ECR in $region: $(aws_hint "$(< "$said")")"
  fi
  if ! printf %s "$password" |
    "$engine" login --username AWS --password-stdin "$host" > "$said" 2>&1; then
    cat "$said" >&2
    die "no login to $host: $(login_hint "$(< "$said")")"
  fi
  say "logged in to $host for 12 hours; '$engine logout $host' forgets it"
}

# has_helper: does a credential helper answer for this host? Then the engine asks it, and a login of
# ours would fail.
has_helper() {
  local config=${DOCKER_CONFIG:-${HOME-}/.docker}/config.json
  local to='[[:space:]]*:[[:space:]]*'
  grep -Eqs "\"$host\"$to\"|\"credsStore\"$to\"ecr-login\"" "$config"
}

# find_aws: set $aws to the first AWS CLI v2 on PATH; v1 has the same name and is often found before
# it.
find_aws() {
  local path text major version first=''
  while IFS= read -r path; do
    text=$("$path" --version 2>&1 < /dev/null) || true      # old ones print it on stderr
    major=0 version='of unknown version'
    if [[ $text =~ aws-cli/([0-9]+)(\.[0-9.]+) ]]; then
      major=${BASH_REMATCH[1]}
      version=$major${BASH_REMATCH[2]}
    fi
    if (( major >= 2 )); then
      if [[ $first ]]; then
        say "$first is first on PATH and not v2; using aws $version at $path"
      fi
      aws=$path
      return
    fi
    first=${first:-aws $version at $path}
  done < <(type -aP aws)
  die "${first:-no aws is on PATH}${first:+ is not v2}; ECR needs AWS CLI v2" \
    "(SSO login exists in v2 alone)," \
    "get it: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
}

# pull_patiently: three tries where the network failed; what was refused stays refused.
pull_patiently() {
  local command try text
  command=("$engine" pull)
  if [[ $platform ]]; then command+=(--platform "$platform"); fi
  for try in 1 2 3; do
    # stdout stays the terminal, for the progress bars
    if { "${command[@]}" "$image" 2>&1 >&3 | tee "$said" >&2; } 3>&1; then return; fi
    text=$(< "$said")
    if ((try == 3)) || ! network_failed "$text"; then break; fi
    say "the network failed; trying again in $((try * 5)) s"
    sleep "$((try * 5))"
  done
  die "$image was not pulled: $(pull_hint "$text")"
}

# network_failed WORDS: is it worth another try?
network_failed() {
  [[ $1 =~ timeout|timed\ out|connection\ re(set|fused)|EOF ||
    $1 =~ no\ such\ host|name\ resolution|network\ is\ unreachable ||
    $1 =~ toomanyrequests|Rate\ exceeded|short\ read|unexpected\ (HTTP\ )?status.*\ 5[0-9][0-9] ]]
}

# aws_hint WORDS: what to do about a token that AWS did not give.
aws_hint() {
  local profile="${AWS_PROFILE:+ --profile $AWS_PROFILE}"
  case $1 in
    *'Unable to locate credentials'*)
      echo "run 'aws configure sso' or 'aws configure', or name a profile: AWS_PROFILE" ;;
    *'config profile'*'not be found'*)
      echo "AWS_PROFILE is '${AWS_PROFILE-}'; 'aws configure list-profiles' lists yours" ;;
    *SSO* | *'from sso'*)
      echo "your SSO login is missing or has ended; run 'aws sso login$profile'" ;;
    *ExpiredToken* | *'included in the request is expired'*)
      echo 'your temporary credentials have expired; get new ones' ;;
    *UnrecognizedClient* | *InvalidClientTokenId* | *'token included in the request is invalid'*)
      echo 'a wrong key, a region that your account has not enabled,' \
        'or credentials of another partition (China, GovCloud)' ;;
    *AccessDenied* | *'not authorized to perform'*)
      echo 'ask for the policy AmazonEC2ContainerRegistryReadOnly' ;;
    *SignatureDoesNotMatch* | *InvalidSignature*)
      echo "a wrong secret key, or this machine's clock is off" ;;
    *'Could not connect'* | *imeout* | *'timed out'*)
      echo 'check the network, the proxy and REGION' ;;
    *) echo "above are AWS's own words" ;;
  esac
}

# login_hint WORDS: what to do about a login that the registry or the engine refused.
login_hint() {
  case $1 in
    *' 401 '* | *'400 Bad Request'* | *[Uu]nauthorized*)
      echo "it refused the token; a token opens the registries of its own region and partition" \
        "only, here $region" ;;
    *'ing credentials'* | *docker-credential-*)
      echo "the helper named in ${DOCKER_CONFIG:-~/.docker}/config.json (credsStore)" \
        "does not work; install it, or remove its line" ;;
    *'no such host'* | *imeout* | *'connection refused'*)
      echo 'check the network, the proxy, REGION and DLC_REGISTRY' ;;
    *) echo "above are $engine's own words" ;;
  esac
}

# pull_hint WORDS: what to do about an image that did not come.
pull_hint() {
  local tags=https://aws.github.io/deep-learning-containers/reference/available_images/
  case $image/$1 in
    public.ecr.aws/*'token has expired'* | public.ecr.aws/*'403 Forbidden'* | \
      public.ecr.aws/*'no basic auth'*)
      echo "an old login keeps the public gallery from answering;" \
        "run '$engine logout public.ecr.aws'" ;;
    *'token has expired'*)
      echo "the login is older than 12 hours; run '$engine logout $host' and pull again" ;;
    *'no identity-based policy'*) echo 'ask for the policy AmazonEC2ContainerRegistryReadOnly' ;;
    *'not authorized to perform'*)
      echo "that registry does not let you; is it a Deep Learning Container? $tags" ;;
    *'no basic auth credentials'* | *[Uu]nauthorized*)
      echo "$engine has no valid login to ${image%%/*}" ;;
    public.ecr.aws/*'name unknown'*)
      echo 'the public gallery has no such repository; the others need a login:' \
        'make pull-dlc REGION=us-west-2' ;;
    *'name unknown'*)
      echo "there is no such repository there; not every family is in every region: $tags" ;;
    *'manifest unknown'* | *'not found'*) echo "there is no such tag; tags are listed at $tags" ;;
    *'no matching manifest'*)
      echo 'it is not made for this processor; PLATFORM=linux/amd64 runs it emulated' ;;
    *) transfer_hint "$1" ;;
  esac
}

# transfer_hint WORDS: what to do about one that is there and could not be fetched.
transfer_hint() {
  case $1 in
    *'no space left'*) echo "the disk is full; '$engine system df' shows what takes the room" ;;
    *toomanyrequests* | *'Rate exceeded'*)
      echo 'the registry limits the rate; try again in some minutes' ;;
    *'no such host'* | *imeout* | *'connection re'* | *EOF* | *unreachable*)
      echo 'check the network and the proxy; then pull again' ;;
    *) echo "above are $engine's own words" ;;
  esac
}
