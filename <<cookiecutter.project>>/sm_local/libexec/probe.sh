#!/bin/sh
# What a training job can see of its surroundings, as files below /opt/ml/output/data/seen. Any
# image with a POSIX shell and cat will do; it comes in as a channel named `probe`, so the same
# request runs on SageMaker. `make conform` judges what it saw.
seen=/opt/ml/output/data/seen
data=/opt/ml/input/data
# it may stand in for an ENTRYPOINT, and so for a program that it calls itself
if [ "${PROBE_RUNS-}" ]; then exit 1; fi
mkdir -p $seen/config 2> /dev/null || {
  echo "the probe may not write to /opt/ml/output/data: it is $(id)"
  exit 1
}
set -f
cat /proc/1/cmdline > $seen/argv
cat /proc/1/environ > $seen/environ
cat /proc/self/environ > $seen/own-environ
cat /proc/self/mounts > $seen/mounts
export PROBE_RUNS=1
cat /proc/sys/kernel/hostname > $seen/hostname
id -u > $seen/uid
pwd > $seen/pwd
echo "$HOME" > $seen/home
if [ -t 0 ] || [ -t 1 ] || [ -t 2 ]; then echo yes; else echo no; fi > $seen/tty
if read -r line; then echo "$line"; else echo end; fi > $seen/stdin
printf '%s\n' "$@" > $seen/arguments
set +f
for file in /opt/ml/input/config/*; do cat "$file" > "$seen/config/${file##*/}"; done

# what is there, and what can be written
for path in /opt/ml/* /opt/ml/input/* /opt/ml/model/* /opt/ml/model/.[!.]* \
  /opt/ml/output/data/* "$data"/*; do
  if [ -e "$path" ] && [ "$path" != $seen ]; then echo "$path"; fi
done > $seen/tree
for folder in /opt/ml /opt/ml/input /opt/ml/input/config /opt/ml/input/data /opt/ml/model \
  /opt/ml/output /opt/ml/output/data "$data"/*/; do
  if (: > "$folder/.probe") 2> /dev/null; then
    echo "$folder"
    rm -f "$folder/.probe"
  fi
done > $seen/writable

if python3 -c 'import importlib.util, sys
sys.exit(not importlib.util.find_spec("sagemaker_training"))' 2> /dev/null; then
  : > $seen/toolkit
fi

# print an address of a host. IPv4 first: the other may wait ten seconds in an isolated network
address_of() {
  getent ahostsv4 "$1" 2> /dev/null || getent hosts "$1" 2> /dev/null ||
    nslookup "$1." 2> /dev/null | sed -n '/^Name/,$p' | grep -i address
}

# names of hosts, tried for a while as the toolkit does
config=/opt/ml/input/config/resourceconfig.json
hosts=$(sed 's/.*"hosts":\[\([^]]*\)\],"instance.*/\1/; s/[",]/ /g' $config 2> /dev/null)
for host in $hosts; do
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    address=$(address_of "$host") && [ "$address" ] && break
    if grep -qw "$host" /etc/hosts; then
      address=hosts
      break
    fi
    sleep 0.5
  done
  if [ "$address" ]; then echo "$host"; fi
done > $seen/resolved
# a host that has ended is in no DNS any more, and others may still ask
case $hosts in *algo-2*) sleep 3 ;; esac

# files of channels and their manifests, and two epochs of those in Pipe mode
for channel in "$data"/*/; do
  name=${channel%/}
  name=${name##*/}
  (cd "$channel" && find . -type f | sort) > "$seen/files-$name" 2> /dev/null
done
for manifest in "$data"/*-manifest; do
  name=${manifest##*/}
  if [ -f "$manifest" ]; then cat "$manifest" > "$seen/manifest-${name%-manifest}"; fi
done
for channel in "$data"/*_0; do
  if [ -p "$channel" ]; then
    name=${channel##*/}
    name=${name%_0}
    head -c 3 "$channel" > "$seen/early-$name"
    n=1
    while [ $n -lt 3 ]; do
      tries=0
      fifo=$data/${name}_$n
      until [ -p "$fifo" ] || [ $tries -gt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
      done
      if [ -p "$fifo" ]; then cat "$fifo" > "$seen/epoch-$name-$n"; fi
      n=$((n + 1))
    done
  fi
done

# credentials, if there is something here that speaks HTTP
uri=$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI url=$AWS_CONTAINER_CREDENTIALS_FULL_URI
if [ "$uri" ]; then url=http://169.254.170.2$uri; fi
if [ "$url" ]; then
  {
    wget -q -O - "$url" || curl -s "$url" || python3 -c 'import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).read().decode())' "$url"
  } 2> /dev/null |
    grep -o '"[A-Za-z]*":' > $seen/credentials
fi
exit "${PROBE_EXIT:-0}"
