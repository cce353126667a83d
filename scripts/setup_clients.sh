#!/bin/bash
# usage: scripts/setup_clients.sh   Makes build/clients: an environment with the pinned clients, and SGLang's two releases
# unpacked side by side (their Python only; nothing of them is installed). Does nothing when it is already there.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/clients
stamp=$(sha256sum tests/clients/requirements.txt scripts/setup_clients.sh | sha256sum)
[ "$(cat $folder/stamp 2>/dev/null || true)" = "$stamp" ] && exit 0

echo "musaic: fetching the clients (about 200 MB, once)" >&2
rm -rf $folder
mkdir -p $folder/wheels
python3 -m venv $folder/venv
python="$PWD/$folder/venv/bin/python"
"$python" -m pip install -q --disable-pip-version-check -r tests/clients/requirements.txt
for version in 0.5.23 0.5.12.post1; do
  # Only Python files are used, so any interpreter may read the wheel of this one.
  "$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 \
    --platform manylinux_2_34_x86_64 --dest $folder/wheels "sglang==$version"
  "$python" - $folder/wheels/sglang-$version-*.whl "$folder/sglang-$version" <<'UNPACK'
import sys, zipfile
wheel, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(target, [name for name in archive.namelist() if name.endswith(".py")])
UNPACK
done
rm -rf $folder/wheels
echo "$stamp" > $folder/stamp
