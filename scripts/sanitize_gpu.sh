#!/bin/bash
# usage: scripts/sanitize_gpu.sh [--binaries FOLDER] [OP...]   compute-sanitizer's memcheck and racecheck over opcheck of every op
# (or these) on this machine's NVIDIA GPU, MUSAIC_JOBS at once, MUSAIC_SANITIZE_SECONDS each at most. Without a GPU or the tool it
# says so and ends, with an error when MUSAIC_REQUIRE_GPU=1.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${MUSAIC_JOBS:-$(($(nproc) < 12 ? $(nproc) : 12))}
export seconds=${MUSAIC_SANITIZE_SECONDS:-900}

skip() {
  echo "sanitize_gpu: SKIPPED, $1" >&2
  [ "${MUSAIC_REQUIRE_GPU:-0}" = 0 ]
  exit
}
compgen -G "/dev/nvidia[0-9]*" >/dev/null || skip "no NVIDIA GPU here"
[ -z "${CUDA_HOME:-}" ] || PATH=$PATH:$CUDA_HOME/bin:$CUDA_HOME/compute-sanitizer
command -v compute-sanitizer >/dev/null || skip "no compute-sanitizer in CUDA_HOME or PATH"

folder=$PWD/build-cuda
if [ "${1:-}" = --binaries ]; then folder=$(realpath "$2"); shift 2; else scripts/build_cuda.sh musaic; fi
export musaic=$folder/musaic
logs=$(mktemp -d)
export logs

# check TOOL OP: a line, which begins with the word "clean" where nothing was found.
check() {
  local log=$logs/$1-${2//:/_} code=0 found
  timeout "$seconds" compute-sanitizer --tool "$1" "$musaic" opcheck "$2" --device cuda >"$log" 2>&1 || code=$?
  found=$(sed -n 's/^=* *\(RACECHECK\|ERROR\) SUMMARY: *//p' "$log")
  case "$code $found" in
    "0 0 errors" | "0 0 hazards displayed (0 errors, 0 warnings)") echo "clean $1 $2" ;;
    "124 "*) echo "unfinished after $seconds s: $1 $2" ;;
    *) echo "FAILED (exit code $code): $1 $2: ${found:-no summary}; see $log" ;;
  esac
}
export -f check

# The slowest ones begin first: a racecheck takes up to some hundred times a memcheck.
if [ $# = 0 ]; then
  mapfile -t ops < <("$musaic" opcheck --device cuda | awk '$1 ~ /::/ {print $1}' | sort -u)
  set -- "${ops[@]}"
fi
for tool in racecheck memcheck; do printf "$tool %s\n" "$@"; done |
  xargs -P "$jobs" -L 1 bash -c 'check "$0" "$1"' | tee "$logs/lines" | grep -v ^clean || true
echo "sanitize_gpu: of $# ops memcheck is clean for $(grep -c '^clean memcheck' "$logs/lines"), racecheck for $(grep -c '^clean racecheck' "$logs/lines")"
! grep -qv ^clean "$logs/lines"
