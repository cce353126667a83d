#!/bin/bash
# usage: scripts/install_packages.sh GROUP...   (groups: see debian-packages.txt)
# Installs what is missing. Root: at once. A terminal: shows the line and asks before sudo. Otherwise: stops with the line.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "musaic: not a Debian system; install the packages of scripts/debian-packages.txt by other means" >&2
  exit 0
fi

wanted=()
for group in "$@"; do
  while read -r listed package _; do
    if [ "$listed" = "$group" ]; then wanted+=("$package"); fi
  done < <(grep -v '^#' scripts/debian-packages.txt)
done

missing=()
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
for package in "${wanted[@]}"; do
  grep -qxF "installed $package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

# --no-remove: never trades away a package that somebody else put here.
line="apt-get install -y --no-install-recommends --no-remove ${missing[*]}"
install() {
  "$@" apt-get update -q
  # shellcheck disable=SC2086
  "$@" env DEBIAN_FRONTEND=noninteractive $line || {
    echo "musaic: the packages could not be installed; the line was: $line" >&2
    exit 1
  }
}

echo "musaic: missing packages: ${missing[*]}" >&2
if [ "$(id -u)" -eq 0 ]; then
  install env
elif [ -t 0 ] && [ -t 2 ] && command -v sudo >/dev/null; then
  read -r -p "Run 'sudo $line'? [y/N] " answer
  case "$answer" in
    y | Y | yes) install sudo ;;
    *) echo "musaic: nothing was installed. Run as root: $line" >&2; exit 1 ;;
  esac
else
  echo "musaic: run as root, then try again: $line" >&2
  exit 1
fi
