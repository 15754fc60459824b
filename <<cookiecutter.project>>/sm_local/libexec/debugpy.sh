#!/usr/bin/env bash
# usage: bash sm_local/libexec/debugpy.sh sm_local/.debugpy/VERSION    fetch debugpy, the debugger
# It is pure Python, for every processor and C library, compiled for this machine's Python; newer/
# is for Python 3.10 and above, older/ for 3.8 and 3.9, whose last version that is. The folder is
# made aside and renamed when it is complete: of two calls at once the first wins, and an
# interrupted one leaves nothing that matters.
set -euo pipefail
source sm_local/lib/environment.sh
source sm_local/lib/say.sh

older=1.8.21
python=sm_local/.venv/bin/python
new=sm_local/.debugpy.new.$$

main() {
  local target=$1 newer=${1##*/}
  [[ -w sm_local ]] || die "sm_local/ cannot be written; is it yours?"
  sweep
  trap 'rm -rf "$new"' EXIT
  say "fetching the debugger, debugpy $newer (once, a few seconds)"
  fetch "$newer" 3.12 newer
  fetch "$older" 3.9 older
  mkdir -p "${target%/*}"
  # not with mv, which would move it into a folder that has just come
  "$python" -c 'import os, sys; os.rename(*sys.argv[1:])' "$new" "$target" 2> /dev/null ||
    [[ -d $target ]] || die "$target could not be made; is the disk full?"
}

# sweep: remove what interrupted calls left, known by a process that is gone.
sweep() {
  local folder
  for folder in sm_local/.debugpy.new.*; do
    if [[ -d $folder ]] && ! kill -0 "${folder##*.}" 2> /dev/null; then rm -rf "$folder"; fi
  done
}

# fetch VERSION PYTHON NAME: install it below $new for that Python, without what only Windows and
# macOS load.
fetch() {
  local said install=(uv pip install --quiet --compile-bytecode
    --python-platform aarch64-unknown-linux-musl)     # one of those without compiled wheels
  if "$python" -c 'import pip' 2> /dev/null; then
    install=("$python" -m pip install --quiet --disable-pip-version-check --retries 1
      --timeout 15 --platform any)
  fi
  said=$("${install[@]}" --no-deps --only-binary :all: --python-version "$2" \
    --target "$new/$3" "debugpy==$1" 2>&1) || not_fetched "$1" "$said"
  rm -rf "${new:?}/$3/bin"
  find "$new/$3" \( -name '*.pdb' -o -name '*.exe' -o -name '*.dll' -o -name '*.dylib' \) \
    -exec rm -f {} +
}

# not_fetched VERSION OUTPUT: die with the last line that was said.
not_fetched() {
  local last
  last=$(printf '%s\n' "$2" | sed -n 's/^ERROR: //; /./p' | tail -n 1)
  die "the debugger, debugpy $1, did not come (${last:-no reason given}); it is fetched once:" \
    "try again with a network, or set your index (PIP_INDEX_URL)"
}

main "$@"
