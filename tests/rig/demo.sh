#!/bin/sh
# A LiveKit server and a publisher in room "demo", until SIGINT or SIGTERM.
# Set PORT (7880), ROOM (demo), VIDEO (vp8-720), AUDIO (beep), PUBLISHER_ARGS (none) to have it otherwise.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${HAVEN_RIG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/haven-live/rig}
port=${PORT:-7880}
room=${ROOM:-demo}
export LIVEKIT_API_KEY=devkey LIVEKIT_API_SECRET=haven-live-test-rig-secret-0123456789

if curl -s -o /dev/null "http://127.0.0.1:$port/"; then
  echo "demo: port $port is in use; set another" >&2
  exit 1
fi
"$here/setup.sh" >&2
scratch=$(mktemp -d)
log=${SERVER_LOG:-$scratch/server.log}
server='' publisher=''
stop() {
  trap - EXIT INT TERM
  [ -z "$publisher" ] || kill "$publisher" 2>/dev/null || true
  [ -z "$publisher" ] || wait "$publisher" || true
  # The first signal lets the server wait for the last participant to leave; the next ends it.
  while [ -n "$server" ] && kill "$server" 2>/dev/null; do
    sleep 0.2
  done
  rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Media goes by the machine's own address, because libnice has no loopback candidates. It stays on the machine.
address=$(hostname -I | cut -d' ' -f1)
loopback=false
case $address in *.*.*.*) ;; *) address=127.0.0.1 loopback=true ;; esac
cat >"$scratch/livekit.yaml" <<EOF
port: $port
bind_addresses: [127.0.0.1]
keys: { $LIVEKIT_API_KEY: $LIVEKIT_API_SECRET }
logging: { level: info }
rtc:
  tcp_port: $((port + 1))
  udp_port: $((port + 2))
  node_ip: $address
  ips: { includes: [$address/32] }
  enable_loopback_candidate: $loopback
  # Named so that clients are not sent to public ones; nothing listens there and nothing needs to.
  stun_servers: ['127.0.0.1:$((port + 2))']
EOF
"$cache/bin/livekit-server" --config "$scratch/livekit.yaml" >"$log" 2>&1 &
server=$!
tries=0
until curl -fs -o /dev/null "http://127.0.0.1:$port/"; do
  kill -0 "$server" 2>/dev/null || { cat "$log" >&2; exit 1; }
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || { echo "demo: the LiveKit server does not answer" >&2; exit 1; }
  sleep 0.1
done
# shellcheck disable=SC2086 # PUBLISHER_ARGS is a list of words
"$cache/bin/publisher" --url "ws://127.0.0.1:$port" --room "$room" --clips "$cache/clips" \
  --video "${VIDEO:-vp8-720}" --audio "${AUDIO:-beep}" ${PUBLISHER_ARGS:-} >"$scratch/publisher.log" &
publisher=$!
until grep -q '"event":"publishing"' "$scratch/publisher.log"; do
  kill -0 "$publisher" 2>/dev/null || exit 1
  sleep 0.1
done
echo "LIVEKIT_URL=ws://127.0.0.1:$port"
echo "LIVEKIT_API_KEY=$LIVEKIT_API_KEY"
echo "LIVEKIT_API_SECRET=$LIVEKIT_API_SECRET"
echo "ROOM=$room"
wait "$publisher"
