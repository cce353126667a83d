#!/bin/bash
# usage: scripts/bundle_gpu_tests.sh FOLDER   Copies musaic and the GPU's tests with the libraries they need into FOLDER: bin/, lib/. They
# run on another Linux on x86-64 with an NVIDIA driver and a C library as new as this one's: LD_LIBRARY_PATH=FOLDER/lib FOLDER/bin/musaic.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$1
programs=(musaic gpu_backend_test ops_test runner_test)
scripts/build_cuda.sh --tests "${programs[@]}"
mkdir -p "$folder/bin" "$folder/lib"
for program in "${programs[@]}"; do
  strip -o "$folder/bin/$program" "$(find build-cuda -type f -name "$program" -perm -100)"
done
scripts/copy_libraries.sh "$folder/lib" "$folder"/bin/*
du -sh "$folder"
