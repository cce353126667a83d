#!/bin/bash
# usage: MUSA_HOME=FOLDER scripts/musa_smoke.sh [REPORT] [-- MUSAIC_SERVE_FLAGS...]   For somebody with a Moore Threads GPU: builds, checks
# device, kernels, captures, goldens, a served model and its speed, and writes a report (default: musa_report.txt) to send back. With flags
# after --, such as --model-path FOLDER, a model of your own is served too. Goes on after a failure; ends with 1 if there was one.
set -uo pipefail
cd "$(dirname "$0")/.."

report=musa_report.txt
if [ $# -gt 0 ] && [ "$1" != -- ]; then report=$1; shift; fi
[ "${1:-}" != -- ] || shift
binaries=${MUSAIC_SMOKE_BINARIES:-build-musa}
steps=0
failed=()

# step NAME COMMAND...: its output goes into the report, its result to the terminal as well.
step() {
  local name=$1 start=$SECONDS code=0
  shift
  steps=$((steps + 1))
  printf '\n=== %s: %s\n' "$name" "$*" >>"$report"
  "$@" >>"$report" 2>&1 </dev/null || code=$?
  if [ "$code" = 0 ]; then
    echo "musa_smoke: $name: ok ($((SECONDS - start)) s)" | tee -a "$report"
  else
    failed+=("$name")
    echo "musa_smoke: $name: FAILED with $code ($((SECONDS - start)) s)" | tee -a "$report"
  fi
}

machine() {
  uname -a
  cat /etc/os-release
  ls -l /dev/mtgpu* 2>/dev/null
  mthreads-gmi 2>/dev/null || echo "mthreads-gmi: not found"
  "${MUSA_HOME:-/nonexistent}"/bin/mcc --version 2>/dev/null | head -3
  cat "${MUSA_HOME:-/nonexistent}"/version.json 2>/dev/null
  git describe --always --dirty
}
build() {
  scripts/install_packages.sh build test && scripts/build_musa.sh --tests musaic gpu_backend_test ops_test runner_test
}
program() { find "$binaries" -type f -name "$1" -perm -100 | head -1; }
musaic() { "$(program musaic)" "$@"; }
gpu_tests() { MUSAIC_GPU=musa MUSAIC_REQUIRE_GPU=1 scripts/test_gpu.sh --binaries "$binaries"; }
# The default model against an independent float32 forward.
goldens() { MUSAIC_TEST_DEVICE=musa MUSAIC_DEFAULT_MODEL=$model "$(program runner_test)" --gtest_filter='SmolLm.Float32*'; }
# Starts a server with the flags, asks it, compares a replayed answer with an eager one, and ends it.
served() { MUSAIC_BINARY=$(program musaic) python3 scripts/musa_smoke_serve.py "$@"; }

: >"$report"
step machine machine
[ -n "${MUSAIC_SMOKE_BINARIES:-}" ] || step build build
step version musaic --version
step kernels musaic ops --device musa
step opcheck musaic opcheck --device musa
step against-cpu musaic opcheck --device musa --against cpu
step tests gpu_tests
step tiny-llama served --model-path tests/data/tiny/llama
step tiny-deepseek served --model-path tests/data/tiny/deepseek_v2
step tiny-fp8 served --model-path tests/data/tiny/deepseek_v2_fp8
step budget served --model-path tests/data/tiny/llama --graph-executable-budget 8
model=${MUSAIC_DEFAULT_MODEL:-$(python3 scripts/fetch_model.py)}
step model test -e "$model"
if [ -e "$model" ]; then
  step goldens goldens
  step smollm served --model-path "$model"
  step bench musaic bench --device musa --model-path "$model" --no-limits
  step bench-ops musaic bench ops --device musa --model-path "$model" --no-limits
  step evaluation musaic eval kld --device musa --model-path "$model" --data-path tests/data/gsm8k_test.jsonl --tokens 4096
fi
[ $# -eq 0 ] || step own-model served "$@"

echo "musa_smoke: $((steps - ${#failed[@]})) of $steps steps passed${failed:+; failed: ${failed[*]}}; send back $report" | tee -a "$report"
[ ${#failed[@]} = 0 ]
