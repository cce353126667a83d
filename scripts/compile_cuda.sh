#!/bin/bash
# usage: scripts/compile_cuda.sh   Compiles the GPU sources alone, for a machine that cannot run them, and names what stays unrun.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh build
if ! CUDA_HOME=$(scripts/cuda_home.sh); then
  echo "compile_cuda: SKIPPED, there is no CUDA compiler and none could be fetched" >&2
  exit 0
fi
export CUDA_HOME
scripts/build_cuda.sh musaic_gpu_backend musaic_gpu_kernels
echo "compile_cuda: the GPU sources compile"
scripts/test_gpu.sh --list | sed 's/^/compile_cuda: not run without a GPU: /'
