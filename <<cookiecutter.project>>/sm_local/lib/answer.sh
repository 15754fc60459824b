# shellcheck shell=bash
# What a failed job's verdict adds: the line of the script that raised, as editors read it, and at
# most one hint.
# Reads $at, $job, $rc, $oom, $input, $places and is_broken.
# Sets $path, $line, $error and $evidence.
# shellcheck disable=SC2154  # folder.sh and job.sh set what is read

# What people meet daily, and what to do: an extended regular expression for the error and the log
# lines after it; where it holds (any, or in an image or the sandbox alone, or with that stdin); the
# hint, in which @ is the expression's first group. The first row that matches speaks. A hint names
# what is known and what can be done, never a cause that nobody has seen.
# tests/lib/test_lib_answer.py has the real message for each row.
hints=(
  "No module named ['\"]?(pip)([^A-Za-z0-9_.]|$)" image
  "the image has no @, which installs code/requirements.txt: get it in container/Dockerfile, or \
start from another BASE_IMAGE (settings.env); then 'make build'"

  "No module named ['\"]?([A-Za-z0-9_.]+)" image
  "Python finds '@' neither in code/ nor in the image: put its package into \
container/requirements.txt, then 'make build'; or into code/requirements.txt, for each job anew"

  "No module named ['\"]?([A-Za-z0-9_.]+)" sandbox
  "Python finds '@' neither in code/ nor on this machine, whose Python the sandbox uses: install \
its package here, or use ENGINE=docker"

  "KeyError: ['\"]SM_CHANNEL_([A-Z0-9_]+)" any
  "SM_CHANNEL_@ needs a channel of that name, and a job that starts with 'train': with a \
ContainerEntrypoint of its own the script sees no SM_* variables"

  "KeyError: ['\"](SM_[A-Z0-9_]+)" any
  "@ is set by 'train', not by SageMaker: with a ContainerEntrypoint of its own the script sees no \
SM_* variables"

  "out of shared memory|/torch_[0-9].*No space left on device" any
  "data loaders share data in /dev/shm: 'make train SHM=8g' makes it larger"

  "exit code: 135" any
  "exit code 135 is SIGBUS, as when /dev/shm is full: 'make train SHM=8g' makes it larger"

  "No space left on device" any
  "'make doctor' says how much disk is free, 'make clean' deletes old jobs, and SHM=8g makes \
/dev/shm larger"

  "bdb\.BdbQuit" /dev/null
  "a job has no terminal for breakpoint(), here or on SageMaker: 'make train PDB=1' stops there at \
yours, 'make debug' in an editor"

  "Torch not compiled with CUDA enabled" any
  "this PyTorch is a build without CUDA; 'make doctor' says whether jobs get a GPU here"

  "Found no NVIDIA driver|No CUDA GPUs are available|cuda\.is_available\(\) is False" any
  "the job had no GPU: 'make doctor' says why, and GPU=required refuses to start without one"

  "Read-only file system: ['\"]?/opt/ml/input/data" any
  "this channel is read-only, as FastFile channels are on SageMaker: write to /opt/ml/output/data \
or /tmp"

  "Permission denied: ['\"]?/opt/ml" image
  "SageMaker's folders are root's, so an image with another USER may not write there; with SELinux \
see 'Permission denied' in README.md"

  "No such file or directory: ['\"]/opt/ml/input/data/([^/'\"]+)" any
  "/opt/ml/input/data/@ is the folder opt/ml/input/data/@ here, or what InputDataConfig names"

  "No such file or directory: ['\"]/opt/ml/checkpoints" any
  "a job has /opt/ml/checkpoints only with a CheckpointConfig in its request"

  "No such file or directory: ['\"](/home/|/Users/|/mnt/)" image
  "a container does not see this machine's folders: put data into opt/ml/input/data/CHANNEL"

  "unrecognized arguments: " any
  "hyperparameters become arguments: in opt/ml/input/config/hyperparameters.json keep those that \
the script knows"

  "Unable to locate credentials" any
  "by default a job has no AWS credentials: with Docker, 'make train CREDENTIALS=session' gives it \
yours"

  "You must specify a region" any
  "SageMaker sets AWS_REGION, and boto3 reads AWS_DEFAULT_REGION: pass \
region_name=os.environ['AWS_REGION']"

  "(Temporary failure in name resolution|Name or service not known|Name does not resolve)" any
  "a job with EnableNetworkIsolation reaches no other host; else check this machine's DNS and proxy"

  "(Address already in use|EADDRINUSE)" image
  "another process of this job has the port; with --network host, another program here"

  "(Address already in use|EADDRINUSE)" sandbox
  "in the sandbox a job shares this machine's ports, and something has this one"

  "[Ee]xec format error" any
  "the program is for another processor (PLATFORM=linux/amd64), or a script without #! in its \
first line"
)

# answer: print them on stderr.
answer() {
  local path='' line='' error='' evidence=''
  if [[ $oom ]] || is_broken; then return 0; fi
  read_log
  read_failure
  if [[ $path ]]; then
    find_here
    printf '%s:%s: %s\n' "$path" "$line" "${error:0:300}" >&2 || true
  fi
  give_hint
}

# read_log: set $path, $line and $error from the log's last traceback, and $evidence for hints. A
# status of a signal's is no exception's end.
read_log() {
  local found=''
  if [[ ! -f $at/log ]]; then return 0; fi
  found=$(tail -c 65536 "$at/log" | LC_ALL=C tr '\r' '\n' | LC_ALL=C tr -d '\000' |
    LC_ALL=C awk "$last_traceback") || true
  { IFS= read -r path; IFS= read -r line; IFS= read -r error; IFS= read -r -d '' evidence; } \
    <<< "$found" || true
  if (( rc > 128 && rc < 192 )); then path='' error=''; fi
}

# read_failure: what container/train left in output/failure is the exception itself, so it wins.
read_failure() {
  local text=''
  if [[ ! -f $at/output/failure || -L $at/output/failure ]]; then return 0; fi
  text=$(head -c 4096 "$at/output/failure" | LC_ALL=C tr -d '\000')
  evidence=$text$'\n'$evidence
  if [[ $text =~ $'\n  at '(.+):([0-9]+)' in '[^$'\n']+$ ]]; then
    path=${BASH_REMATCH[1]} line=${BASH_REMATCH[2]} error=${text%%$'\n'*}
  fi
}

# find_here: let $path be this machine's where the job saw one of the project's folders.
find_here() {
  local i here
  for (( i = 0; i < ${#places[@]}; i += 2 )); do
    here=${places[i + 1]}${path#"${places[i]}"}
    if [[ $path == "${places[i]}"/* && -f $here ]]; then
      path=$here
      return 0
    fi
  done
}

# give_hint: say the first hint whose expression matches.
give_hint() {
  local i found where host=image text="$evidence"$'\n'"exit code: $rc"
  if recall engine "$job" && [[ $value == sandbox ]]; then host=sandbox; fi
  for (( i = 0; i < ${#hints[@]}; i += 3 )); do
    where=${hints[i + 1]}
    if [[ $where == any || $where == "$host" || $where == "$input" ]] &&
      [[ $text =~ ${hints[i]} ]]; then
      found=${BASH_REMATCH[1]-} text=${hints[i + 2]}
      while [[ $text == *@* ]]; do text=${text%%@*}$found${text#*@}; done
      say "$text"
      return 0
    fi
  done
}

# The awk program: path, line and text of the last traceback, a line each, then what followed; three
# empty lines and the log's end where there is none. The last frame in code that is no library's is
# the user's; a traceback without one, such as torchrun's own, does not replace an earlier one. Of
# PyTorch's ranks, whose tracebacks are uncaught ones, the first to fail speaks. More than 100 lines
# after a traceback, and the job went on.
# shellcheck disable=SC2016  # awk's $0
last_traceback='
  function is_own(file) {
    return file !~ /\/(site|dist)-packages\/|\/lib(64)?\/python[0-9]|^<|\/bin\/|\/container\/train$/
  }
  function begin() { inside[rank] = 1; path[rank] = "" }
  {
    gsub(/\033\[[0-9;]*m/, "")
    rank = match($0, /^\[rank[0-9]+\]:/) ? substr($0, 1, RLENGTH) : ""
    sub(/^\[[^]]*\](<std[a-z]+>)?: ?/, "")  # [rank0]: of PyTorch, [1,mpirank:0]<stderr>: of MPI
    sub(/^ +\| /, "")                       # an exception group
    last[NR % 10] = $0
  }
  /^Exception ignored / { ignored = 1 }
  /^ *(\+ )?(Exception Group |Original )?Traceback \(most recent call last\):$/ {
    begin()
    if (ignored) inside[rank] = 0
    ignored = after = 0
    next
  }
  /^ +File ".+", line [0-9]+(, in .*)?$/ {
    if (!inside[rank] && $0 !~ /, in /) begin()  # a SyntaxError has no heading
    match($0, /", line [0-9]+/)
    file = substr($0, 1, RSTART - 1)
    sub(/^ +File "/, "", file)
    if (is_own(file)) { path[rank] = file; number[rank] = substr($0, RSTART + 8, RLENGTH - 8) }
    next
  }
  inside[rank] && /^[^ \t]/ {
    inside[rank] = 0
    if (!text || (path[rank] && !(rank && first))) {
      place = path[rank] "\n" number[rank]
      error = $0
      text = $0 "\n"
      first = rank
      next
    }
  }
  text && !inside[rank] && after++ < 40 { text = text $0 "\n" }
  END {
    if (!error || after > 100) {
      text = ""
      for (i = NR - 9; i <= NR; i++) text = text last[(i + 10) % 10] "\n"
      place = "\n"
      error = ""
    }
    printf "%s\n%s\n%s", place, error, text
  }'
