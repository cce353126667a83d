#!/bin/bash
# usage: scripts/serve.sh [FLAG...]   Installs, builds and fetches what is missing, then serves the default model.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh build
scripts/build.sh cpu musaic
python3 scripts/fetch_model.py >/dev/null
exec build/musaic serve "$@"
