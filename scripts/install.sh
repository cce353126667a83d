#!/bin/bash
# usage: scripts/install.sh PREFIX   Builds and installs under PREFIX (below DESTDIR, if that is set); the systemd unit names it.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=$(realpath -m "$1")
scripts/install_packages.sh build
scripts/build.sh cpu musaic
cmake --install build --prefix "$prefix" --component musaic
sed -i "s|/usr/local/|${prefix%/}/|g" "${DESTDIR:-}$prefix/lib/systemd/system/musaic.service"
