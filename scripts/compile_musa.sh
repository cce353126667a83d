#!/bin/bash
# usage: scripts/compile_musa.sh   Compiles all GPU sources as for MUSA, against the stand-in for its SDK, and looks for CUDA's names in
# sources and objects. Nothing of it runs; the tests with the device in host memory are part of make test.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh build
python3 scripts/check_gpu_names.py
if ! CUDA_HOME=$(scripts/cuda_home.sh); then
  echo "compile_musa: SKIPPED, there is no CUDA compiler and none could be fetched" >&2
  exit 0
fi
export CUDA_HOME
scripts/build_musa_shim.sh musaic_gpu_backend musaic_gpu_kernels
libraries=build-musa-shim/src/backends/gpu
python3 scripts/check_gpu_names.py --compiled-by-nvcc "$libraries"/libmusaic_gpu_backend.a "$libraries"/libmusaic_gpu_kernels.a
# Waves of 128 lanes have their own exchanges; products and conversions of FP8 are made without a unit for them.
for source in linear/linear_mma linear_fp8/linear_fp8 attention/attention; do
  build-musa-shim/sdk/bin/mcc -x musa --offload-arch=mp_22 -std=c++17 -O1 -Wall -Isrc -Isrc/backends/musa/vendor \
    -Ibuild-musa-shim/sdk/include -c "src/ops/$source.cu" -o /dev/null
done
echo "compile_musa: the GPU sources compile for MUSA, with no name of CUDA"
