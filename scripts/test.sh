#!/bin/bash
# usage: scripts/test.sh [PRESET]   Builds and runs the unit tests: offline, tiny models only.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-cpu}
scripts/install_packages.sh build test
scripts/build.sh "$preset" --tests
exec ctest --preset "$preset" --no-tests=error
