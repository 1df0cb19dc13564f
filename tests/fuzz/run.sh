#!/bin/sh
# run.sh BUILD SECONDS: builds the fuzz targets in BUILD (set up with CC=clang and -Dfuzz=true) and runs each for so
# long, as many at a time as there are processors. The corpus stays in BUILD; a crash leaves the input that made it.
set -eu
build=$1
seconds=$2
here=$(dirname "$0")

if [ -z "${3:-}" ]; then
  ninja -C "$build" fuzz-targets
  find "$build/tests/fuzz" -maxdepth 1 -name 'fuzz-*' -type f -perm -u+x | sort \
    | xargs -P "$(nproc)" -I{} "$0" "$build" "$seconds" {}
  exit
fi

target=$3
name=$(basename "$target")
mkdir -p "$target.corpus" "$target.found"
export LSAN_OPTIONS="print_suppressions=0:suppressions=$here/../lsan.supp" UBSAN_OPTIONS=print_stacktrace=1
if "$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
  -artifact_prefix="$target.found/" "$target.corpus" >"$target.log" 2>&1; then
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$target.log")
  echo "ok - $name: $runs inputs, $(find "$target.corpus" -type f | wc -l) kept"
else
  tail -n 40 "$target.log"
  echo "not ok - $name: see $target.log; run again: $target $(sed -n 's/.*Test unit written to //p' "$target.log" | tail -n 1)"
  exit 1
fi
