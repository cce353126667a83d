#!/bin/bash
# usage: scripts/build_musa_shim.sh [--tests] [TARGET...]   Builds build-musa-shim: the musa backend with a stand-in for the SDK
# (tests/musa_shim), whose mcc is nvcc and whose runtime forwards to CUDA.
set -euo pipefail
cd "$(dirname "$0")/.."

CUDA_HOME=$(scripts/cuda_home.sh)
export CUDA_HOME
tests/musa_shim/make_sdk.sh build-musa-shim/sdk
exec scripts/build.sh musa-shim "$@"
