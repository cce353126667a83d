#!/bin/bash
# usage: scripts/copy_libraries.sh FOLDER PROGRAM...   Copies the shared libraries that the programs need, but for the C library's own.
set -euo pipefail

folder=$1; shift
mkdir -p "$folder"
for program in "$@"; do ldd "$program"; done | awk '$3 ~ /^\// {print $3}' | sort -u |
  grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*)\.so' | while read -r library; do
  cp -L "$library" "$folder/"
done
