#!/bin/sh
# Dependencies point one way, and the sources name no machine. Each rule is a line of TAP.
cd "$(dirname "$0")/../.." || exit 1

verdict() { # verdict NAME FOUND
  if [ -z "$2" ]; then
    echo "ok - $1"
  else
    printf '%s\n' "$2"
    echo "not ok - $1"
  fi
}

# includes PATTERN PLACE...: the lines below PLACE that include a header that matches
includes() {
  pattern=$1
  shift
  for place; do
    [ ! -e "$place" ] || grep -rnE "^ *# *include *[<\"]$pattern" --include='*.[ch]' "$place"
  done
}

only() { # only NAME PATTERN FILE: FILE alone includes it
  verdict "$1" "$(includes "$2" plugins server | grep -v "/$3:")"
}

only 'only livekit-message.c knows protobuf' '([a-z/.-]*\.pb-c\.h|protobuf-c/)' 'livekit-message\.c'
only 'only livekit-token.c knows libjwt' 'jwt\.h' 'livekit-token\.c'
only 'only haven-store.c knows SQLite' 'sqlite3\.h' 'haven-store\.c'
only 'only av1-encoder.c knows libaom' 'aom/' 'av1-encoder\.c'
verdict 'plugins know nothing of the server' "$(includes '([./a-z-]*server/|haven-(api|app|config|error|graph|http|metrics|recording|recover|session|store))' plugins)"
verdict 'the control server and recovery know no GStreamer' "$(includes 'gst/' server/control server/recover server/common)"

pure=$(find plugins \( -name 'livekit-state.*' -o -name 'livekit-sdp.*' -o -name 'livekit-message.*' \
  -o -name 'livekit-token.*' -o -name 'av1-*' -o -name 'ws-ask.*' -o -name 'ws-codec.*' -o -name 'ws-frame.*' -o -name 'ws-protocol.*' \) -name '*.[ch]')
# shellcheck disable=SC2086 # a list of files without spaces
verdict 'pure files know neither elements nor sockets' \
  "$(includes '(gst/[a-z]*elem|gst/base/|gst/app/|gst/webrtc/|libsoup|gio/)' $pure)"

# shellcheck disable=SC2046 # file names without spaces
verdict 'plugins name the origin that Meson gives' \
  "$(grep -L 'PACKAGE_ORIGIN' $(grep -rl GST_PLUGIN_DEFINE --include='*.c' plugins))"

verdict 'no path of a machine' \
  "$(git grep -nIE '(^|[^A-Za-z0-9_.*])/(work|root|home/[a-z]+)/' -- . ':!tests/checks/rules.sh')"
