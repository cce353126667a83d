#!/usr/bin/env python3
"""Writes what check_torch.py needs: for each model the exported modules (whole, as traced, each piece, the head, one for
musa:0, one of the integer path), and the logits that musaic computes in float32.

usage: make_modules.py FOLDER [--musaic build/musaic] [--gguf FILE]   --gguf: also the default model, as smollm2
"""
import argparse
import json
import pathlib
import subprocess

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
TINY = ("llama", "qwen2", "qwen3", "deepseek_v2", "deepseek_v2_grouped", "deepseek_v2_fp8")
EXPORTS = {
    "whole": ["--dtype", "float32"],
    "traced": ["--dtype", "float32", "--after", "trace"],
    "musa": ["--dtype", "float32", "--device-name", "musa:0"],
    "auto": [],
    "head": ["--dtype", "float32", "--kind", "head"],
}


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, text=True, stdout=subprocess.PIPE).stdout


def make(musaic, model, prompts, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, flags in EXPORTS.items():
        run(musaic, "graph", model, "--export", "torch", "--output", folder / f"{name}.py", *flags)
    pieces = run(musaic, "graph", model, "--segments", "--dtype", "float32").count("\n")
    for piece in range(pieces):
        run(musaic, "graph", model, "--export", "torch", "--dtype", "float32", "--piece", piece,
            "--output", folder / f"piece_{piece}.py")
    for number, ids in enumerate(prompts):
        run(musaic, "logits", "--model-path", model, "--dtype", "float32", "--ids", ",".join(map(str, ids)),
            "--output", folder / f"logits_{number}.safetensors")
    (folder / "prompts.json").write_text(json.dumps({"pieces": pieces, "prompts": prompts}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--musaic", default="build/musaic")
    parser.add_argument("--gguf")
    arguments = parser.parse_args()
    for name in TINY:
        golden = json.loads((DATA / "tiny" / name / "golden.json").read_text())["golden"]
        make(arguments.musaic, DATA / "tiny" / name, [case["input_ids"] for case in golden], arguments.folder / name)
    if arguments.gguf:
        goldens = json.loads((DATA / "smollm2_goldens.json").read_text())["prompts"]
        prompts = [golden["prompt_ids"] for golden in goldens[:4]]
        make(arguments.musaic, arguments.gguf, prompts, arguments.folder / "smollm2")


if __name__ == "__main__":
    main()
