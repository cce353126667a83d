#!/bin/bash
# usage: scripts/build.sh PRESET [--tests] [TARGET...]   (presets: CMakePresets.json)
# Configures only what is not configured yet, then builds.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=$1; shift
case "$preset" in
  cpu) folder=build ;;
  *) folder=build-$preset ;;
esac
tests=
if [ "${1:-}" = --tests ]; then tests=ON; shift; fi

is_configured() { [ -f "$folder/build.ninja" ]; }
has_tests() { grep -qs '^MUSAIC_BUILD_TESTS:BOOL=ON' "$folder/CMakeCache.txt"; }
is_moved() { [ -f "$folder/CMakeCache.txt" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$folder/CMakeCache.txt"; }

# The cache of a checkout that was moved holds the old path, which CMake refuses.
if is_moved; then rm -rf "$folder/CMakeCache.txt" "$folder/CMakeFiles" "$folder/build.ninja"; fi
if ! is_configured; then
  cmake --preset "$preset" -DMUSAIC_BUILD_TESTS="${tests:-OFF}"
elif [ -n "$tests" ] && ! has_tests; then
  cmake --preset "$preset" -DMUSAIC_BUILD_TESTS=ON
fi
exec cmake --build "$folder" -- "${@:-all}"
