#!/bin/bash
# install.sh BUILD PREFIX BINDIR LIBEXECDIR PLUGINS DATADIR MANDIR: does `meson install` put everything in its place, and
# does it work there?
set -eu
build=$1 prefix=$2 bindir=$3 libexecdir=$4 plugins=$5 datadir=$6 mandir=$7
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
tests=0

check() { # check NAME COMMAND...
  local name=$1
  shift
  tests=$((tests + 1))
  if "$@" >"$root/output" 2>&1; then
    echo "ok $tests - $name"
  else
    echo "not ok $tests - $name"
    sed 's/^/# /' "$root/output"
  fi
}

there() { # there MODE FILE...
  local mode=$1 file
  shift
  for file; do
    [ -s "$root$file" ] || { echo "$file is not there"; return 1; }
    [ "$(stat -c %a "$root$file")" = "$mode" ] || { echo "$file has mode $(stat -c %a "$root$file")"; return 1; }
  done
}

says() { # says TEXT COMMAND...
  local text=$1 output
  shift
  output=$("$@" 2>&1) || { echo "$output"; return 1; }
  grep -F -- "$text" <<<"$output" || { echo "$output"; return 1; }
}

inspect() { # inspect ELEMENT: it comes from the installed plugin
  says "$root$plugins/" env GST_PLUGIN_PATH="$root$plugins" GST_PLUGIN_SYSTEM_PATH= GST_REGISTRY="$root/registry" \
    gst-inspect-1.0 "$1"
}

serves() { # its page and its description, from what is installed
  local log=$root/serve.log port server
  env HOME="$root/home" "$root$bindir/haven-live" serve --listen 127.0.0.1:0 </dev/null >"$log" 2>&1 &
  server=$!
  until grep -q event=listening "$log"; do
    kill -0 "$server" 2>/dev/null || { cat "$log"; return 1; }
    sleep 0.05
  done
  port=$(sed -n 's/.*event=listening.* port=\([0-9]*\).*/\1/p' "$log")
  for path in / /openapi.json /web/control/app.js; do
    says "$1" curl -fsS --noproxy '*' -H 'Accept: text/html' "http://127.0.0.1:$port$path" || { kill "$server"; return 1; }
    shift
  done
  kill "$server"
  wait "$server"
}

no_build_path() {
  ! grep -rlF "$build" "$root$datadir" "$root$prefix/lib/systemd" || return 1
}

meson install -C "$build" --no-rebuild --quiet --destdir "$root" >/dev/null
check programs there 755 "$bindir/haven-live" "$libexecdir/haven-live/haven-session"
check 'plugins are files' there 755 "$plugins/libgstlivekit.so" "$plugins/libgsthavenws.so" "$plugins/libgsthavenav1.so"
check 'unit, manual, completion, example' there 644 "$prefix/lib/systemd/system/haven-live.service" \
  "$mandir/man1/haven-live.1" "$mandir/man5/haven-live.conf.5" \
  "$datadir/bash-completion/completions/haven-live" "$datadir/doc/haven-live/haven-live.conf.example"
check monitoring there 644 "$datadir/haven-live/monitoring/haven-live.dashboard.json" \
  "$datadir/haven-live/monitoring/haven-live.rules.yml"
check pipelines there 755 "$datadir/haven-live/pipelines/watch-and-record"
check 'the unit starts the installed program' \
  grep -qxF "ExecStart=$bindir/haven-live serve" "$root$prefix/lib/systemd/system/haven-live.service"
check 'nothing names the build' no_build_path
check 'haven-live runs' says 'haven-live ' "$root$bindir/haven-live" --version
check 'haven-session runs, from the installed plugins' says '"av1"' env GST_PLUGIN_PATH="$root$plugins" \
  GST_REGISTRY="$root/registry-probe" "$root$libexecdir/haven-live/haven-session" --probe
check 'livekitsrc loads' inspect livekitsrc
check 'havenwssink loads' inspect havenwssink
check 'the installed server shows its page' serves '<!doctype html>' '"openapi"' import
echo "1..$tests"
