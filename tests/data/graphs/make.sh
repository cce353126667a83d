#!/bin/sh
# Writes the goldens of src/models/graph_golden_test.cpp: the extend and decode graphs of each tiny model, as traced and
# after all passes, for the lowest instruction set, so that they do not depend on the machine. Read the difference
# before you commit it.
# usage: tests/data/graphs/make.sh [path to musaic, default build/musaic]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
musaic=${1:-$here/../../../build/musaic}
for model in llama qwen2 qwen3 deepseek_v2 deepseek_v2_fp8; do
  for kind in extend decode; do
    for stage in trace passes; do
      after=
      [ $stage = passes ] || after="--after $stage"
      "$musaic" graph "$here/../tiny/$model" --device cpu --cpu-isa avx2 --kind $kind $after \
        > "$here/${model}_${kind}_$stage.txt"
    done
  done
done
