#!/usr/bin/env python3
"""Checks the rules that a compiler does not: who may include whom, and what no file may hold.

The folder list is the fenced block of docs/ARCHITECTURE.md whose lines are `src/x/   text   folders it may include`
(columns two or more spaces apart, lowest folder first). OPEN folders may be included by all above them. Kernel
files may include their own backend, tests and benches any folder, src/main.cpp everything.

usage: check_layers.py [--root DIR] | --self-test
"""
import argparse
import pathlib
import re
import sys
import tempfile

OPEN = ("base", "tensor", "device")
ROW = re.compile(r"^src/(\w+)/ {2,}\S.*? {2,}(\S.*)$")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
KERNEL_BACKENDS = (
    (re.compile(r"_cpu(_\w+)?\.(cpp|h)$"), {"cpu"}),
    (re.compile(r"_simulated\.(cpp|h)$"), {"simulated"}),
    (re.compile(r"_gpu\.(cpp|h)$|\.cuh?$"), {"gpu"}),
)
TEST_FILE = re.compile(r"_(test|bench|fuzz)\.(cpp|h)$|_test_\w+\.h$")
SOURCE_SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}
TEXT_SUFFIXES = SOURCE_SUFFIXES | {".py", ".sh", ".md", ".cmake", ".txt", ".json", ".service", ".html", ".js"}
TEXT_FOLDERS = ("src", "include", "scripts", "tests", "bench", "docs", "cmake", "packaging")
MARKER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|root|Users|home)/(?!me\b)[\w.-]")  # /home/me is everybody's


def read_layers(document):
    """{folder: set of folders it may include}, in the document's order; `all of these` allows every folder."""
    rows = [match.groups() for line in document.splitlines() if (match := ROW.match(line))]
    folders = [folder for folder, _ in rows]
    layers = {}
    for index, (folder, allowed) in enumerate(rows):
        below = set(folders[:index])
        if allowed == "all of these":
            layers[folder] = set(folders)
            continue
        named = set() if allowed == "nothing" else set(allowed.split())
        if unknown := named - below:
            raise ValueError(f"the folder list lets {folder} include {sorted(unknown)[0]}, which is not below it")
        layers[folder] = named | (below & set(OPEN)) | {folder}
    return layers


def own_backends(path):
    for pattern, backends in KERNEL_BACKENDS:
        if pattern.search(path.name):
            return backends
    return set()


def include_error(root, path, included, layers):
    """One sentence when `path` must not include `included`, else None."""
    relative = path.relative_to(root)
    if not (root / "src" / included).exists() and (path.parent / included).exists():
        return f'{relative}: "{included}" is not spelled from the root of src'
    parts = relative.parts
    target = included.split("/")
    if parts[0] != "src" or len(parts) < 3 or target[0] not in layers:
        return None
    folder = parts[1]
    if target[0] in layers[folder] or TEST_FILE.search(path.name) or "testing" in parts:
        return None
    if target[0] == "backends" and len(target) > 2 and target[1] in own_backends(path):
        return None
    return f"{relative}: {folder} must not include {target[0]} ({included})"


def source_errors(root, path, layers):
    relative = path.relative_to(root)
    if relative.parts[0] == "src" and len(relative.parts) > 2 and relative.parts[1] not in layers:
        yield f"{relative}: folder src/{relative.parts[1]}/ is not in the list of docs/ARCHITECTURE.md"
        return
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".h", ".cuh") and "#pragma once" not in text:
        yield f"{relative}: a header without #pragma once"
    for included in INCLUDE.findall(text):
        if error := include_error(root, path, included, layers):
            yield error


def text_errors(root, path):
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if marker := MARKER.search(line):
            yield f"{path.relative_to(root)}:{number}: {marker.group(1)} left behind"
        if machine_path := MACHINE_PATH.search(line):
            yield f"{path.relative_to(root)}:{number}: a path of somebody's machine: {machine_path.group(0)}..."


def files_below(root, folders, suffixes):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts:
                yield path


def is_data(root, path):
    return path.relative_to(root).parts[:2] == ("tests", "data")


def check(root):
    layers = read_layers((root / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    if not layers:
        return ["docs/ARCHITECTURE.md: no folder list found"]
    errors = []
    for path in files_below(root, ("src", "include"), SOURCE_SUFFIXES):
        errors += source_errors(root, path, layers)
    for path in files_below(root, TEXT_FOLDERS, TEXT_SUFFIXES):
        if not is_data(root, path):
            errors += text_errors(root, path)
    return errors


SELF_TEST_DOCUMENT = """```
src/base/      words   nothing
src/tensor/    words   base
src/device/    words   base tensor
src/backends/  words   base tensor device
src/ir/        words   base
src/ops/       words, and more words   ir
src/cli/       words   all of these
```"""
# (file, its text, the words that the one error must have; empty: none)
SELF_TEST_CASES = (
    ("src/ops/add.h", '#pragma once\n#include "ir/graph.h"\n#include "tensor/shape.h"\n', ""),
    ("src/ir/graph.h", '#pragma once\n#include "ops/add.h"\n', "ir must not include ops"),
    ("src/ops/add.cpp", '#include "backends/cpu/pool.h"\n', "ops must not include backends"),
    ("src/ops/add_cpu.cpp", '#include "backends/cpu/pool.h"\n', ""),
    ("src/ops/add_cpu.cpp", '#include "backends/cuda/pool.h"\n', "ops must not include backends"),
    ("src/ops/add.cu", '#include "backends/gpu/stream.h"\n', ""),
    ("src/ops/add_gpu.cpp", '#include "backends/gpu/stream.h"\n', ""),
    ("src/ops/add_gpu.cpp", '#include "backends/cpu/pool.h"\n', "ops must not include backends"),
    ("src/ir/graph_test.cpp", '#include "ops/add.h"\n', ""),
    ("src/ops/testing/run.cpp", '#include "backends/cpu/pool.h"\n', ""),
    ("src/cli/serve.cpp", '#include "ops/add.h"\n#include "backends/cpu/pool.h"\n', ""),
    ("src/main.cpp", '#include "backends/cpu/pool.h"\n', ""),
    ("src/utils/text.h", "#pragma once\n", "not in the list"),
    ("src/base/check.h", "#include <string>\n", "without #pragma once"),
    ("src/base/check.cpp", '#include "neighbour.h"\n', "not spelled from the root"),
    ("src/base/check.cpp", "// TO" "DO later\n", "left behind"),
    ("docs/USE.md", "see /ho" "me/somebody/model\n", "somebody's machine"),
    ("docs/USE.md", "see https://example.org/home/page\n", ""),
)


def self_test():
    for name, text, expected in SELF_TEST_CASES:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            files = {"docs/ARCHITECTURE.md": SELF_TEST_DOCUMENT, "src/base/neighbour.h": "#pragma once\n", name: text}
            for path, content in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content)
            errors = check(root)
            fits = (len(errors) == 1 and expected in errors[0]) if expected else not errors
            if not fits:
                sys.exit(f"check_layers self-test: {name} {text!r}: expected {expected!r}, got {errors}")
    try:
        read_layers("src/base/  words  ir\nsrc/ir/  words  base\n")
    except ValueError:
        return
    sys.exit("check_layers self-test: an include of a higher folder was accepted in the list")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        self_test()
        return
    errors = check(arguments.root)
    for error in errors:
        print(error, file=sys.stderr)
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
