#!/usr/bin/env python3
"""Writes the oracle of dequantize_test: random blocks of each type and their float32 values by PyPI `gguf`.

pip install numpy gguf; python3 make.py
Each NAME.bin holds: u32 number of values, u32 number of stored bytes, the stored bytes, the values.
"""
import pathlib
import struct

import gguf
import numpy as np

BLOCKS = 6
FOLDER = pathlib.Path(__file__).parent
TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "BF16", "F16"]
# Where each block has its f16 scales: random bytes there would be infinities and NaNs.
SCALE_OFFSETS = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2],
                 "Q6_K": [208]}


def random_blocks(rng, name):
    kind = gguf.GGMLQuantizationType[name]
    block_elements, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    if name in ("BF16", "F16"):
        values = rng.normal(size=256).astype(np.float32)
        stored = values.astype(np.float16).view(np.uint8) if name == "F16" else gguf.quantize(values, kind).view(np.uint8)
        return stored.reshape(1, -1)
    blocks = rng.integers(0, 256, size=(BLOCKS, block_bytes), dtype=np.uint8)
    for offset in SCALE_OFFSETS[name]:
        scales = rng.normal(scale=0.05, size=BLOCKS).astype(np.float16)
        scales[0] = np.float16(2e-6)  # a subnormal one
        blocks[:, offset:offset + 2] = scales.view(np.uint8).reshape(BLOCKS, 2)
    return blocks.reshape(1, -1)


def main():
    rng = np.random.default_rng(20240501)
    for name in TYPES:
        stored = random_blocks(rng, name)
        values = gguf.dequantize(stored, gguf.GGMLQuantizationType[name]).astype(np.float32).ravel()
        header = struct.pack("<II", values.size, stored.size)
        (FOLDER / f"{name.lower()}.bin").write_bytes(header + stored.tobytes() + values.tobytes())


if __name__ == "__main__":
    main()
