#!/usr/bin/env python3
"""GPU sources speak the names of gpu_vendor.h, so that they compile for every vendor: finds CUDA's names in them, and CUDA's
symbols in the objects of a build for MUSA.

usage: check_gpu_names.py [--root DIR] [--compiled-by-nvcc] [OBJECT_OR_ARCHIVE...] | --self-test
--compiled-by-nvcc: objects of the stand-in's mcc; what nvcc itself adds for launches is not counted.
"""
import argparse
import pathlib
import re
import subprocess
import sys

CUDA_NAME = re.compile(r"\b(cuda_\w+\.h|cuda[A-Z_]\w*|nvcuda\b|__nv_\w+|__CUDA\w*|CUDART\w*|cu[A-Z][a-z]\w+|cublas\w*|CU[A-Z]?[a-z]\w*_t)")
COMMENT = re.compile(r"//.*$")
NVIDIA_ONLY = re.compile(r"_sm[0-9]+(_gpu)?\.(cu|cuh|cpp|h)$")
GPU_SOURCE = re.compile(r"\.cuh?$|_gpu\.(cpp|h)$")
CUDA_SYMBOL = re.compile(r"\b(_?_?cuda[A-Z]\w*|cu[A-Z][a-z]\w+|cublas\w+)\b")
# Calls that nvcc writes for kernels and their launches.
OF_NVCC = re.compile(r"^(__cuda\w+|cudaLaunchKernel(ExC)?|cudaGetKernel|cudaGetFuncBySymbol)$")


def portable_sources(root):
    for path in sorted((root / "src").rglob("*")):
        parts = path.relative_to(root / "src").parts
        if not path.is_file() or NVIDIA_ONLY.search(path.name) or parts[:2] == ("backends", "cuda"):
            continue
        if GPU_SOURCE.search(path.name) or parts[:2] in (("backends", "gpu"), ("backends", "musa")):
            if path.suffix in (".cu", ".cuh", ".cpp", ".h"):
                yield path


def source_errors(root):
    for path in portable_sources(root):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if found := CUDA_NAME.search(COMMENT.sub("", line)):
                yield f"{path.relative_to(root)}:{number}: a name of CUDA in a source for every vendor: {found.group(0)}"


def symbols_of(file):
    listed = subprocess.run(["nm", "--format=posix", str(file)], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines() if line.strip() and not line.rstrip().endswith(":")}


def cuda_symbols(symbols, compiled_by_nvcc):
    found = {name for name in symbols if CUDA_SYMBOL.fullmatch(name)}
    return sorted(name for name in found if not (compiled_by_nvcc and OF_NVCC.match(name)))


SELF_TEST = (
    ("cudaMalloc(&p, 4);", "cudaMalloc"),
    ("__nv_bfloat16 x;", "__nv_bfloat16"),
    ("#if __CUDA_ARCH__ >= 900", "__CUDA_ARCH__"),
    ("nvcuda::wmma::fill_fragment(a, 0);", "nvcuda"),
    ('#include <cuda_bf16.h>', "cuda_bf16.h"),
    ("gpuMalloc(&p, 4);  // as cudaMalloc", ""),
    ('std::string type;  // "cuda:0"', ""),
    ("curr = current;", ""),
)


def self_test():
    for line, expected in SELF_TEST:
        found = CUDA_NAME.search(COMMENT.sub("", line))
        got = found.group(0) if found else ""
        if got != expected:
            sys.exit(f"check_gpu_names self-test: {line!r}: expected {expected!r}, got {got!r}")
    symbols = {"musaMalloc", "cudaMalloc", "cudaLaunchKernel", "__cudaRegisterFatBinary", "_ZN6musaic3addEv"}
    assert cuda_symbols(symbols, False) == ["__cudaRegisterFatBinary", "cudaLaunchKernel", "cudaMalloc"]
    assert cuda_symbols(symbols, True) == ["cudaMalloc"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--compiled-by-nvcc", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("objects", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.self_test:
        self_test()
        return
    errors = list(source_errors(arguments.root))
    for file in arguments.objects:
        for name in cuda_symbols(symbols_of(file), arguments.compiled_by_nvcc):
            errors.append(f"{file}: the build for MUSA uses {name}")
    for error in errors:
        print(error, file=sys.stderr)
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
