#!/bin/bash
# usage: scripts/test_clients.sh [PYTEST FLAG...]   The whole server under real clients and bad ones, with the default model.
# MUSAIC_BINARY=PATH tests another build. Without network the tests are skipped by name; with CI=true that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh build clients
[ -n "${MUSAIC_BINARY:-}" ] || scripts/build.sh cpu musaic

unavailable() {
  echo "musaic: tests/clients and tests/server skipped: $1" >&2
  [ "${CI:-}" = true ] && exit 1
  exit 0
}
scripts/setup_clients.sh || unavailable "the clients could not be fetched"
if [ -z "${MUSAIC_DEFAULT_MODEL:-}" ]; then
  MUSAIC_DEFAULT_MODEL=$(python3 scripts/fetch_model.py) || unavailable "the default model could not be fetched"
  export MUSAIC_DEFAULT_MODEL
fi
# A CI machine has other work: bounds on time are three times as long there.
[ "${CI:-}" = true ] && export MUSAIC_TIME_FACTOR=${MUSAIC_TIME_FACTOR:-3}
[ $# -gt 0 ] || set -- tests/server tests/clients
PYTHONDONTWRITEBYTECODE=1 exec build/clients/venv/bin/python -m pytest -c tests/pytest.ini "$@"
