#!/bin/bash
# usage: scripts/dist.sh   Writes dist/musaic-VERSION-linux-ARCH.tar.gz: binary, documents, licences, systemd unit.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh build
scripts/build.sh cpu musaic
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' build/CMakeCache.txt)
name=musaic-$version-linux-$(uname -m)
rm -rf "dist/$name" "dist/$name.tar.gz"
cmake --install build --prefix "$PWD/dist/$name" --component musaic --strip >/dev/null

libraries=$(ldd build/musaic | awk '$3 ~ /^\// {print $3}' | sort -u)
{
  echo "Musaic $version for Linux ($(uname -m)), built on $(. /etc/os-release && echo "$PRETTY_NAME")"
  echo
  echo "Run bin/musaic serve --model-path MODEL, or bin/musaic --help. Documents are in share/doc/musaic."
  echo "Shared libraries that it needs:"
  xargs -n1 basename <<<"$libraries" | sed 's/^/  /'
  if command -v dpkg >/dev/null; then
    echo "Debian 12 has them in:"
    xargs -n1 realpath <<<"$libraries" | xargs -n1 sh -c 'dpkg -S "$0" 2>/dev/null || dpkg -S "${0#/usr}"' |
      cut -d: -f1 | sort -u | paste -sd' ' | sed 's/^/  apt-get install /'
  fi
} > "dist/$name/README.txt"
tar -C dist -czf "dist/$name.tar.gz" --owner=0 --group=0 --sort=name "$name"
rm -rf "dist/$name"
echo "dist/$name.tar.gz"
