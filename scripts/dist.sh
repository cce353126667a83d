#!/bin/bash
# usage: scripts/dist.sh [cpu|cuda]   Writes dist/musaic-VERSION[-cuda]-linux-ARCH.tar.gz: binary and the libraries it needs, documents,
# licences, systemd unit. It runs on any Linux of this architecture whose C library is as new as this one's.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-cpu}
scripts/install_packages.sh build
case "$preset" in
  cpu) build=build; suffix=; scripts/build.sh cpu musaic ;;
  cuda) build=build-cuda; suffix=-cuda; scripts/build_cuda.sh musaic ;;
  *) echo "dist: $preset: expected cpu or cuda" >&2; exit 2 ;;
esac
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' $build/CMakeCache.txt)
name=musaic-$version$suffix-linux-$(uname -m)
rm -rf "dist/$name" "dist/$name.tar.gz"
cmake --install $build --prefix "$PWD/dist/$name" --component musaic --strip >/dev/null
scripts/copy_libraries.sh "dist/$name/lib/musaic" $build/musaic

licences="dist/$name/share/doc/musaic/licences"
mkdir -p "$licences"
{
  echo "Musaic $version for Linux ($(uname -m)), built on $(. /etc/os-release && echo "$PRETTY_NAME")"
  echo
  echo "Run bin/musaic serve --model-path MODEL, or bin/musaic --help. Documents are in share/doc/musaic."
  [ "$preset" = cpu ] || echo "--device cuda needs NVIDIA's driver for CUDA 13, no toolkit."
  echo "Of the system it needs the C library, of at least version $(ldd --version | sed -n '1s/.* //p'). It brings, in lib/musaic:"
  for library in "dist/$name/lib/musaic"/*; do
    package=
    if command -v dpkg >/dev/null; then
      path=$(ldd $build/musaic | awk -v name="$(basename "$library")" '$1 == name {print $3}' | xargs realpath)
      package=$({ dpkg -S "$path" || dpkg -S "${path#/usr}"; } 2>/dev/null | head -1 | cut -d: -f1)
      cp "/usr/share/doc/$package/copyright" "$licences/$package" 2>/dev/null || true
    fi
    echo "  $(basename "$library")${package:+ of $package}"
  done
} > "dist/$name/README.txt"
tar -C dist -czf "dist/$name.tar.gz" --owner=0 --group=0 --sort=name "$name"
rm -rf "dist/$name"
echo "dist/$name.tar.gz"
