#!/bin/sh
# Writes the goldens of src/cli/explain_model_test.cpp: what `musaic explain` says of the tiny llama and of the full-size
# DeepSeek. Read the difference before you commit it.
# usage: tests/data/explain/make.sh [path to musaic, default build/musaic]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
musaic=${1:-$here/../../../build/musaic}
for kind in extend:64 decode:4 head:4; do
  "$musaic" explain "$here/../tiny/llama" --device cpu --cpu-isa avx2 --roof zen4-2core \
    --kind "${kind%:*}" --bucket "${kind#*:}" > "$here/llama_${kind%:*}.txt"
done
for kind in extend:512 decode:4; do
  "$musaic" explain "$(dirname "$here")/deepseek_v2_lite_fp8_config.json" --device cpu --cpu-isa avx2 --roof zen4-2core \
    --kind "${kind%:*}" --bucket "${kind#*:}" > "$here/deepseek_v2_lite_${kind%:*}.txt"
done
