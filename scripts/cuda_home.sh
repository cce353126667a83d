#!/bin/bash
# usage: scripts/cuda_home.sh   Prints the folder of a CUDA toolkit: CUDA_HOME, the one of nvcc on the PATH, /usr/local/cuda,
# or else NVIDIA's packages, fetched once. Only version 13 is taken without being asked for.
set -euo pipefail
cd "$(dirname "$0")/.."

is_13() { [ -x "$1/bin/nvcc" ] && "$1/bin/nvcc" --version | grep -q "release 13\."; }
if [ -n "${CUDA_HOME:-}" ]; then
  [ -x "$CUDA_HOME/bin/nvcc" ] || { echo "musaic: CUDA_HOME=$CUDA_HOME has no bin/nvcc" >&2; exit 1; }
  echo "$CUDA_HOME"
  exit
fi
on_path=$(command -v nvcc || true)
for home in ${on_path:+"$(dirname "$(dirname "$on_path")")"} /usr/local/cuda; do
  if is_13 "$home"; then echo "$home"; exit; fi
done
exec python3 scripts/fetch_cuda.py
