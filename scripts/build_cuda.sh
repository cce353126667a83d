#!/bin/bash
# usage: scripts/build_cuda.sh [--tests] [TARGET...]   Builds build-cuda; fetches the CUDA compiler when there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

CUDA_HOME=$(scripts/cuda_home.sh)
export CUDA_HOME CUDACXX="$CUDA_HOME/bin/nvcc"
exec scripts/build.sh cuda "$@"
