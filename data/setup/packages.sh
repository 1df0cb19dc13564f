#!/bin/sh
# packages.sh LIST...: installs what is missing of the Debian packages that the files LIST name, one on a line.
set -eu

wanted=$(cat "$@" | sort -u)
# shellcheck disable=SC2086 # a list of words
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p')
missing=
for package in $wanted; do
  case "
$installed
" in
  *"
$package
"*) ;;
  *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  as_root=
elif sudo -n true 2>/dev/null; then
  as_root='sudo -n'
else
  echo "Some Debian packages are missing. Install them and start again:"
  echo "  sudo apt-get update && sudo apt-get install --no-install-recommends$missing"
  exit 1
fi >&2

echo "Installing Debian packages:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get -qq update
# shellcheck disable=SC2086
$as_root apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends $missing >/dev/null
