#!/bin/sh
# Writes the goldens of src/models/graph_golden_test.cpp: the extend graph of each tiny model, as traced and after
# all passes. Read the difference before you commit it.
# usage: tests/data/graphs/make.sh [path to musaic, default build/musaic]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
musaic=${1:-$here/../../../build/musaic}
for model in llama qwen2 qwen3; do
  "$musaic" graph "$here/../tiny/$model" --device cpu --after trace > "$here/${model}_extend_trace.txt"
  "$musaic" graph "$here/../tiny/$model" --device cpu > "$here/${model}_extend_passes.txt"
done
