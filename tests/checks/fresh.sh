#!/bin/bash
# fresh.sh FOLDER [test|run|package]...: does a clone work on a Debian 12 that has nothing but its base system? As root.
#
# Makes that system in FOLDER (once; it is kept), clones this repository's HEAD into it and there runs
#   test   ./test --suite unit
#   run    ./run until its page answers and its recording grows, a second start against the clock, and Ctrl-C
# or, where FOLDER knows nothing of what building needs,
#   package  installs the Debian package, which is built outside, with what it depends on, runs it, and removes it again
# How this machine reaches package registries (resolver, certificates, apt's settings, proxies) is carried over.
set -eum # jobs of their own: a plain background process ignores SIGINT
repo=$(cd "$(dirname "$0")/../.." && pwd)
root=$(realpath -m "${1:?usage: fresh.sh FOLDER [test|run|package]...}")
shift
[ $# -gt 0 ] || set -- test run
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

carry() { # carry FILE...: the same file in there
  local file
  for file; do
    [ ! -e "$file" ] || { mkdir -p "$root$(dirname "$file")" && cp -rL "$file" "$root$(dirname "$file")/"; }
  done
}

if [ ! -e "$root/.made" ]; then
  debootstrap --variant=minbase bookworm "$root" "$mirror"
  carry /etc/apt/apt.conf.d/99* /etc/apt/auth.conf.d
  printf 'deb %s bookworm main\ndeb %s bookworm-updates main\ndeb %s-security bookworm-security main\n' \
    "$mirror" "$mirror" "$mirror" >"$root/etc/apt/sources.list"
  touch "$root/.made"
fi
carry /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates /etc/pip.conf

job=
leave() {
  trap - EXIT
  if [ -n "$job" ]; then
    kill -TERM "$job" 2>/dev/null || true
    wait "$job" 2>/dev/null || true
  fi
  for mount in dev/shm dev/pts dev proc; do
    ! mountpoint -q "$root/$mount" || umount -l "$root/$mount"
  done
}
trap leave EXIT
trap 'exit 1' INT TERM
mkdir -p "$root/proc" "$root/dev"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind /dev/pts "$root/dev/pts" 2>/dev/null || true
mount -t tmpfs tmpfs "$root/dev/shm" 2>/dev/null || true

mapfile -t carried < <(env | grep -E '^(GO[A-Z]+|PIP_[A-Z_]+|SSL_[A-Z_]+|CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE|[A-Za-z]+_(proxy|PROXY))=' \
  | grep -v '^PIP_FIND_LINKS=')
inside=(env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${carried[@]}")

clone() {
  rm -rf "$root/srv/haven-live"
  mkdir -p "$root/srv"
  git clone -q --no-local "$repo" "$root/srv/haven-live"
}

check_test() {
  clone
  chroot "$root" "${inside[@]}" sh -c 'cd /srv/haven-live && exec ./test --suite unit'
}

# Starts ./run and waits for its page; $job is it, $took the milliseconds.
start_run() {
  local log=$root/srv/run.log started
  started=$(date +%s%3N)
  : >"$log"
  chroot "$root" "${inside[@]}" PORT=18080 LIVEKIT_PORT=17880 RECORDINGS=/srv/recordings \
    /bin/sh -c 'cd /srv/haven-live && exec ./run' >"$log" 2>&1 </dev/null &
  job=$!
  until grep -q '^Recording:' "$log"; do
    kill -0 "$job" 2>/dev/null || { cat "$log"; exit 1; }
    sleep 0.05
  done
  took=$(($(date +%s%3N) - started))
  chroot "$root" "${inside[@]}" curl -fs -o /dev/null http://127.0.0.1:18080/
}

stop_run() {
  kill -INT "$job"
  wait "$job" || true
  job=
}

check_run() {
  local before recording
  clone
  start_run
  echo "ok - the page answers, ${took} ms after the first start"
  recording=$root$(sed -n 's/^Recording: *//p' "$root/srv/run.log")
  until [ -s "$recording.part" ]; do
    kill -0 "$job"
    sleep 0.1
  done
  before=$(stat -c %s "$recording.part")
  until [ "$(stat -c %s "$recording.part")" -gt "$before" ]; do
    kill -0 "$job"
    sleep 0.1
  done
  echo "ok - the recording grows"
  stop_run
  chroot "$root" "${inside[@]}" ffprobe -v error -show_entries stream=codec_name:format=duration -of csv "${recording#"$root"}"
  echo "ok - Ctrl-C completed the recording"
  start_run
  echo "ok - the page answers, ${took} ms after the second start"
  stop_run
}

check_package() {
  local apt=(chroot "$root" "${inside[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0)
  local log=$root/srv/serve.log port
  rm -rf "$root/srv/package"
  "$repo/data/debian/build" "$root/srv/package" >"$root/srv/package.log" 2>&1 || { cat "$root/srv/package.log"; exit 1; }
  "${apt[@]}" update
  "${apt[@]}" install --no-install-recommends gstreamer1.0-tools >/dev/null
  (cd "$root/srv/package" && "${apt[@]}" install --no-install-recommends "/srv/package/$(ls)" >/dev/null)
  echo "ok - the package is installed with what it depends on"
  chroot "$root" "${inside[@]}" haven-live --version
  chroot "$root" "${inside[@]}" haven-live serve --check-config --config /etc/haven-live.conf
  for element in livekitsrc havenwssink havenav1enc rtpav1depay; do
    chroot "$root" "${inside[@]}" gst-inspect-1.0 "$element" | grep Filename
  done
  ! chroot "$root" "${inside[@]}" haven-live doctor | grep codecs | grep 'not as' || exit 1
  echo "ok - it has its elements, and can record in every format"
  chroot "$root" "${inside[@]}" haven-live serve --listen 127.0.0.1:0 --state-dir /srv/state >"$log" 2>&1 </dev/null &
  job=$!
  until grep -q event=listening "$log"; do
    kill -0 "$job" 2>/dev/null || { cat "$log"; exit 1; }
    sleep 0.05
  done
  port=$(sed -n 's/.*event=listening.* port=\([0-9]*\).*/\1/p' "$log")
  curl -fs --noproxy '*' -o /dev/null "http://127.0.0.1:$port/openapi.json"
  kill -TERM "$job"
  wait "$job"
  job=
  echo "ok - it serves"
  "${apt[@]}" purge --autoremove haven-live gstreamer1.0-tools >/dev/null
  [ ! -e "$root/etc/haven-live.conf" ] && [ ! -e "$root/usr/bin/haven-live" ]
  echo "ok - purging it leaves nothing"
}

for check; do
  "check_$check"
done
