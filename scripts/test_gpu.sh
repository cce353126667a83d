#!/bin/bash
# usage: scripts/test_gpu.sh [--list | --binaries FOLDER]   Tests that need a GPU: backend, rules and results of every kernel, op
# tests, goldens, replays. Without a GPU: names them and ends, with an error when MUSAIC_REQUIRE_GPU=1. MUSAIC_GPU: cuda or musa.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${MUSAIC_GPU:-cuda}

# Left out: tests whose faulty kernel runs on the host, those that compare bits with the CPU's decomposition, and those of bits that
# depend on passes or on how many rows a step has, as they do on a GPU.
list_tests() {
  cat <<END
backend gpu_backend_test
opcheck musaic opcheck --device $device
against-cpu musaic opcheck --device $device --against cpu
ops env MUSAIC_TEST_DEVICE=$device ops_test --gtest_filter=*/0:*.*:-*Decomposition*:*NormQuantize.*:*NormQuantFp8.*:*TakesTheKernelOf*
runner env MUSAIC_TEST_DEVICE=$device runner_test --gtest_filter=-*SmolLm*:*ThePassesChangeNoBit*:*EveryPassMayBeLeftOut*:*SimulatedDevice*:*Deepseek.ASequenceDoesNotSee*:GraphVerifier.Names*:GraphVerifier.PutsBack*:GraphVerifier.Finds*
END
}
if [ "${1:-}" = --list ]; then list_tests | cut -d' ' -f2-; exit; fi

has_gpu() { compgen -G "/dev/nvidia[0-9]*" || compgen -G "/dev/mtgpu*"; } >/dev/null
if ! has_gpu; then
  list_tests | sed 's/^[^ ]* /test_gpu: SKIPPED, no GPU here: /'
  [ "${MUSAIC_REQUIRE_GPU:-0}" = 0 ]
  exit
fi

if [ "${1:-}" = --binaries ]; then
  folder=$(realpath "$2")
else
  scripts/install_packages.sh build test
  "scripts/build_$device.sh" --tests musaic gpu_backend_test ops_test runner_test
  folder=$PWD/build-$device
fi
PATH=$(find "$folder" -type f -perm -100 \( -name musaic -o -name '*_test' \) -printf '%h\n' | sort -u | paste -sd:):$PATH
failed=
while read -r name command; do
  log=$(mktemp)
  read -r program arguments <<<"$command"
  if "$(command -v "$program")" $arguments >"$log" 2>&1; then  # by its whole path: death tests start themselves
    echo "test_gpu: $name: passed: $(tail -1 "$log")"
  else
    echo "test_gpu: $name: FAILED: $command"
    tail -30 "$log"
    failed=1
  fi
done < <(list_tests)
[ -z "$failed" ]
