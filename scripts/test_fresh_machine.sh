#!/bin/bash
# usage: scripts/test_fresh_machine.sh [FOLDER]   Root only. Makes a minimal Debian 12 in FOLDER (default: a temporary one, removed
# at the end), clones the last commit into a path with spaces, and shows there that `make serve` ends with the URL, that
# the printed curl line answers, that a second `make serve` is quick, and that `make test` passes.
# The machine's own certificates, name servers and package index settings are taken over, so that a proxy works.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" -eq 0 ] || { echo "test_fresh_machine: needs root for debootstrap and chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "test_fresh_machine: install the package debootstrap" >&2; exit 1; }

if [ $# -gt 0 ]; then root=$1; kept=yes; else root=$(mktemp -d); kept=; fi
mounts=(proc dev)
leave() {
  for mount in "${mounts[@]}"; do umount -l "$root/$mount" 2>/dev/null || true; done
  [ -n "$kept" ] || rm -rf --one-file-system "$root"
}
trap leave EXIT

[ -x "$root/usr/bin/apt-get" ] || debootstrap --variant=minbase bookworm "$root" http://deb.debian.org/debian >/dev/null
for mount in "${mounts[@]}"; do mount --bind "/$mount" "$root/$mount"; done
cp /etc/resolv.conf "$root/etc/"
mkdir -p "$root/usr/local/share/ca-certificates"
cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true

# The home and the checkout are new even where the root is kept.
rm -rf "$root/srv/a user" "$root/srv/a checkout"
mkdir -p "$root/srv/a user"
git clone -q --no-hardlinks . "$root/srv/a checkout"

in_root() { # in_root COMMAND: with the fresh home, in the checkout
  env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="/srv/a user" LC_ALL=C.UTF-8 \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} \
    ${https_proxy:+https_proxy="$https_proxy"} ${http_proxy:+http_proxy="$http_proxy"} \
    chroot "$root" bash -c "cd '/srv/a checkout' && $1"
}

serve_once() { # starts `make serve`, waits for its curl line, runs it, ends the server
  local log="$root/srv/serve.log" started=$SECONDS line=
  in_root "exec make serve ARGS='--port 31017'" >"$log" 2>&1 &
  local make=$!
  # Either the whole command is on the line, or it goes on after a backslash.
  while [ -z "$line" ]; do
    kill -0 $make 2>/dev/null || { tail -n 40 "$log" >&2; echo "test_fresh_machine: make serve ended" >&2; exit 1; }
    line=$(sed -e ':again' -e '/\\$/{N;s/\\\n//;b again' -e '}' "$log" | grep -aoE "curl [^ ]*http://127.0.0.1:31017.*|curl .*http://127.0.0.1:31017.*" | head -n 1 || true)
    sleep 1
  done
  grep -a "http://127.0.0.1:31017" "$log" | head -n 3
  echo "printed after $((SECONDS - started)) s; its curl line answers:"
  in_root "command -v curl >/dev/null || apt-get install -y --no-install-recommends curl >/dev/null 2>&1; $line" 2>/dev/null | tee "$root/srv/answer" | head -c 600
  echo
  grep -qE '"(choices|text)"' "$root/srv/answer" || { echo "test_fresh_machine: the curl line got no answer" >&2; exit 1; }
  local process
  for process in $(pgrep -x musaic); do  # only the server that was started here: its root is this one
    if [ "$(readlink "/proc/$process/root")" = "$(realpath "$root")" ]; then kill -TERM "$process"; fi
  done
  wait $make || { echo "test_fresh_machine: the server did not end with 0" >&2; exit 1; }
}

in_root "apt-get update -q >/dev/null && apt-get install -y --no-install-recommends make >/dev/null 2>&1"
if ls "$root/usr/local/share/ca-certificates/"*.crt >/dev/null 2>&1; then
  in_root "apt-get install -y --no-install-recommends ca-certificates >/dev/null 2>&1; update-ca-certificates >/dev/null"
fi
echo "== make serve, first time"; serve_once
echo "== make serve, second time"; serve_once
echo "== make test"; in_root "make test" | tail -n 15
echo "test_fresh_machine: passed"
