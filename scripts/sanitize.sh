#!/bin/bash
# usage: scripts/sanitize.sh asan|tsan   Unit tests, then the whole-server tests, under the sanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=$1
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:exitcode=99:second_deadlock_stack=1
scripts/test.sh "$preset"
MUSAIC_BINARY="$PWD/build-$preset/musaic" MUSAIC_TIME_FACTOR=10 scripts/test_clients.sh tests/server -m "not timing"
