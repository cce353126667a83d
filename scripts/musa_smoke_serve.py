#!/usr/bin/env python3
"""usage: MUSAIC_BINARY=FILE musa_smoke_serve.py --model-path MODEL [SERVE_FLAGS...]   Part of musa_smoke.sh: serves the model on the
device that MUSAIC_GPU names (default: musa), replayed and eagerly, and compares the tokens."""
import argparse
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from running_server import RunningServer  # noqa: E402

PROMPTS = [[1, 5, 9], list(range(2, 40)), [7] * 21, list(range(300, 420))]
START_SECONDS = 600


def ask(flags):
    # One seed for both servers, which may make random weights (--load-format dummy); a later flag of the caller's wins.
    server = RunningServer(flags[0], "--random-seed", "1", *flags[1:], "--device", os.environ.get("MUSAIC_GPU", "musa"), "--skip-tokenizer-init").wait_until_ready(
        START_SECONDS)
    try:
        sampling = {"temperature": 0, "max_new_tokens": 16, "ignore_eos": True}
        answers = [server.post_json("/generate", {"input_ids": prompt, "sampling_params": sampling})["output_ids"]
                   for prompt in PROMPTS]
        return answers, server.get_json("/server_info")
    finally:
        log = server.log()
        server.end()
        print(log)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-path", required=True)
    arguments, others = parser.parse_known_args()
    replayed, info = ask([arguments.model_path, "--capture", "eager", *others])
    eager, _ = ask([arguments.model_path, "--disable-cuda-graph", *others])
    print(json.dumps({key: info[key] for key in ("device", "graph_settings", "programs")}, indent=1))
    print("tokens:", replayed)
    if replayed != eager:
        sys.exit(f"replayed and eager tokens differ; eager: {eager}")


if __name__ == "__main__":
    main()
