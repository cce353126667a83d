#!/bin/bash
# usage: tests/plugin/test_example.sh BUILD FIXTURES   Installs the build, builds examples/plugin elsewhere against the installed
# header alone, runs its own tests, and gives its library and wrong ones (FIXTURES) to the installed program.
set -euo pipefail
build=$(realpath "$1") fixtures=$(realpath "$2")
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "test_example: $1" >&2
  exit 1
}

cmake --install "$build" --prefix "$work/prefix" --component musaic >"$work/install.log"
cp -r examples/plugin "$work/source"
cmake -S "$work/source" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/configure.log"
grep -q "MUSAIC_INCLUDE:PATH=$work/prefix/include" "$work/build/CMakeCache.txt" || fail "another header was found"
cmake --build "$work/build" >"$work/build.log" 2>&1 || { cat "$work/build.log" && fail "the example does not build"; }
! grep -q warning "$work/build.log" || fail "the example builds with warnings: $(cat "$work/build.log")"
ctest --test-dir "$work/build" --output-on-failure --no-tests=error

musaic=$work/prefix/bin/musaic
example=$work/build/example.so
model=tests/data/tiny/llama

# refused CODE 'a part of the sentence' ARGUMENT...: that exit code, and the sentence in the last line of standard error.
refused() {
  local code=$1 sentence=$2 got=0
  shift 2
  "$musaic" "$@" >"$work/out" 2>"$work/err" || got=$?
  [ "$got" = "$code" ] || fail "musaic $*: exit code $got, expected $code: $(cat "$work/err")"
  tail -n 1 "$work/err" | grep -qF -- "$sentence" || fail "musaic $*: no '$sentence' in: $(tail -n 1 "$work/err")"
}

"$musaic" ops example --plugin "$example" 2>/dev/null | grep -q "    cpu   example_clamp_cpu" || fail "ops does not list it"
"$musaic" graph "$model" --plugin "$example" --plugin "$fixtures/probe.so" >"$work/graph" 2>/dev/null ||
  fail "graph does not run with two plugins"
grep -q "^graph extend on cpu {" "$work/graph" || fail "graph prints no graph"
"$musaic" opcheck --device cpu --device simulated example::scaled_add example::clamp_ --plugin "$example" >"$work/out" 2>/dev/null ||
  fail "opcheck of the example: $(cat "$work/out")"
grep -q "^example::clamp_ .* simulated .* ok" "$work/out" || fail "opcheck leaves a device out: $(cat "$work/out")"

# caught LIE 'a part of the sentence': opcheck of liar::LIE ends with 1 and says it.
caught() {
  local got=0
  "$musaic" opcheck "liar::$1" --plugin "$fixtures/liar.so" >"$work/out" 2>/dev/null || got=$?
  [ "$got" = 1 ] || fail "opcheck liar::$1: exit code $got: $(cat "$work/out")"
  grep -qF -- "$2" "$work/out" || fail "opcheck liar::$1: no '$2' in: $(cat "$work/out")"
}
"$musaic" opcheck liar::nothing --plugin "$fixtures/liar.so" >"$work/out" 2>/dev/null || fail "$(cat "$work/out")"
caught shape "[5, 16]"
caught pad_rows "which it must leave alone"
caught input 'input `x`'
caught late_count "replay"

for verb in ops "graph $model" "explain $model" "generate hello" chat "eval kld" bench serve; do
  read -ra words <<<"$verb"
  refused 1 "plugin /nowhere.so: there is no such file" "${words[@]}" --plugin /nowhere.so
done
refused 1 "built for plugin ABI 2.0, expected 1.0" ops --plugin "$fixtures/ABI_MAJOR.so"
refused 1 "expected a type (Tensor, int, int[], int[N], float, bool, str) at column 22, got 'flot'" \
  ops --plugin "$fixtures/BAD_SCHEMA.so"
for verb in "graph $model" "explain $model" "generate hello --model-path $model" "serve --model-path $model --skip-tokenizer-init"; do
  read -ra words <<<"$verb"
  refused 1 "faulty::no_fake: no fake kernel" "${words[@]}" --plugin "$fixtures/NO_FAKE.so"
done
refused 2 "--plugin: 1 required" ops --plugin
echo "test_example: all well"
