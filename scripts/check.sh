#!/bin/bash
# usage: scripts/check.sh   Formatting, folder rules, and a build in which warnings are errors.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh build test check
echo "check: formatting"
find src include examples tests/musa_shim -name "*.h" -o -name "*.cpp" -o -name "*.cu" -o -name "*.c" | sort | xargs -rd "\n" clang-format --dry-run -Werror
echo "check: folders"
python3 scripts/check_layers.py --self-test
python3 scripts/check_layers.py
python3 scripts/check_gpu_names.py --self-test
python3 scripts/check_gpu_names.py
echo "check: build"
scripts/build.sh cpu --tests
echo "check: all fine"
