#!/usr/bin/env python3
"""Writes rope.json, the oracle of rope_frequencies_test: inverse frequencies by the published formulas, in numpy.

pip install numpy; python3 make_rope.py
The formulas are those of the linear (position interpolation), llama 3 and YaRN (arXiv 2309.00071) papers and codes;
keys are spelled as in a config.json's `rope_parameters`.
"""
import json
import math
import pathlib

import numpy as np

CASES = [
    {"dim": 64, "rope_theta": 10000.0, "rope_type": "default"},
    {"dim": 32, "rope_theta": 500000.0, "rope_type": "linear", "factor": 4.0},
    {"dim": 128, "rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
     "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
    {"dim": 32, "rope_theta": 500000.0, "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
     "high_freq_factor": 4.0, "original_max_position_embeddings": 256},
    {"dim": 128, "rope_theta": 1000000.0, "rope_type": "yarn", "factor": 4.0,
     "original_max_position_embeddings": 32768},
    {"dim": 64, "rope_theta": 10000.0, "rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096,
     "beta_fast": 32, "beta_slow": 1, "mscale": 0.707, "mscale_all_dim": 1.0},
    {"dim": 64, "rope_theta": 150000.0, "rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096,
     "beta_fast": 16, "beta_slow": 2, "attention_factor": 1.25, "truncate": False},
]


def plain(case):
    exponents = np.arange(0, case["dim"], 2, dtype=np.float64) / case["dim"]
    return 1.0 / case["rope_theta"] ** exponents


def llama3(case):
    frequencies = plain(case)
    wavelengths = 2 * math.pi / frequencies
    context = case["original_max_position_embeddings"]
    low, high = case["low_freq_factor"], case["high_freq_factor"]
    smooth = (context / wavelengths - low) / (high - low)
    blended = (1 - smooth) * frequencies / case["factor"] + smooth * frequencies
    result = np.where(wavelengths > context / low, frequencies / case["factor"], frequencies)
    between = (wavelengths >= context / high) & (wavelengths <= context / low)
    return np.where(between, blended, result)


def yarn(case):
    dim, theta, context = case["dim"], case["rope_theta"], case["original_max_position_embeddings"]

    def dimension_of(rotations):
        return dim * math.log(context / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = dimension_of(case.get("beta_fast", 32)), dimension_of(case.get("beta_slow", 1))
    if case.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    ramp = np.clip((np.arange(dim // 2) - low) / (high - low), 0, 1)
    kept = 1 - ramp
    return plain(case) / case["factor"] * (1 - kept) + plain(case) * kept


def attention_factor(case):
    if case["rope_type"] != "yarn":
        return 1.0
    if "attention_factor" in case:
        return case["attention_factor"]

    def magnitude(mscale):
        return 0.1 * mscale * math.log(case["factor"]) + 1.0

    if "mscale" in case and "mscale_all_dim" in case:
        return magnitude(case["mscale"]) / magnitude(case["mscale_all_dim"])
    return magnitude(1.0)


def main():
    formulas = {"default": plain, "linear": lambda case: plain(case) / case["factor"], "llama3": llama3, "yarn": yarn}
    for case in CASES:
        case["inverse_frequencies"] = formulas[case["rope_type"]](case).tolist()
        case["expected_attention_factor"] = attention_factor(case)
    path = pathlib.Path(__file__).parent / "rope.json"
    path.write_text(json.dumps(CASES, indent=1) + "\n")


if __name__ == "__main__":
    main()
