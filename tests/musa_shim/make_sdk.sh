#!/bin/bash
# usage: CUDA_HOME=FOLDER tests/musa_shim/make_sdk.sh FOLDER   Makes a stand-in for the MUSA SDK in FOLDER: its headers, an mcc
# that is nvcc, a runtime that forwards to CUDA.
set -euo pipefail
shim=$(cd "$(dirname "$0")" && pwd)
: "${CUDA_HOME:?names the CUDA toolkit}"
mkdir -p "$1"/{bin,include,lib}
sdk=$(cd "$1" && pwd)

install_if_changed() { cmp -s "$1" "$2" || install -m "$3" "$1" "$2"; }
for header in "$shim"/include/*.h; do install_if_changed "$header" "$sdk/include/$(basename "$header")" 644; done
sed "s|@CUDA_HOME@|$CUDA_HOME|g" "$shim/mcc.in" >"$sdk/mcc.new"
install_if_changed "$sdk/mcc.new" "$sdk/bin/mcc" 755
rm "$sdk/mcc.new"

cuda_library=$(find -L "$CUDA_HOME/lib64" "$CUDA_HOME/lib" -name libcudart_static.a 2>/dev/null | head -1)
[ -n "$cuda_library" ] || { echo "make_sdk: $CUDA_HOME has no libcudart_static.a" >&2; exit 1; }
if [ ! "$sdk/lib/libmusart.so" -nt "$shim/musart_cuda.cpp" ] || [ ! "$sdk/lib/libmusart.so" -nt "$shim/call_counts.cpp" ]; then
  for source in musart_cuda call_counts; do
    ${CXX:-g++} -std=c++20 -O2 -fPIC -Wall -Wextra -Werror -I"$sdk/include" -isystem "$CUDA_HOME/include" -c "$shim/$source.cpp" \
      -o "$sdk/lib/$source.o"
  done
  ar rcs "$sdk/lib/libmusart_shim.a" "$sdk/lib/musart_cuda.o" "$sdk/lib/call_counts.o"
  echo "INPUT($sdk/lib/libmusart_shim.a $cuda_library -lrt -ldl -lpthread)" >"$sdk/lib/libmusart.so"
fi
