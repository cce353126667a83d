#!/bin/bash
# usage: scripts/bench.sh [LOAD FLAG...]   `musaic bench`, then 16 clients over HTTP. Flags go to bench/load.py.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh build
scripts/build.sh cpu musaic
model=$(python3 scripts/fetch_model.py)
build/musaic bench --model-path "$model"
python3 bench/with_server.py --log build/bench-server.log -- build/musaic serve --model-path "$model" --port "{port}" \
  ::: python3 bench/load.py --base-url "{url}/v1" --concurrency 16 --requests 64 --max-tokens 64 "$@"
