#!/bin/bash
# usage: MUSA_HOME=FOLDER scripts/build_musa.sh [--tests] [TARGET...]   Builds build-musa with the SDK in MUSA_HOME (docs/MUSA.md).
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${MUSA_HOME:-}" ]; then
  echo "musaic: MUSA_HOME is not set: it names the MUSA SDK, such as /usr/local/musa (docs/MUSA.md)" >&2
  exit 1
fi
if [ ! -x "$MUSA_HOME/bin/mcc" ]; then
  echo "musaic: MUSA_HOME=$MUSA_HOME has no bin/mcc" >&2
  exit 1
fi
export MUSA_HOME
exec scripts/build.sh musa "$@"
