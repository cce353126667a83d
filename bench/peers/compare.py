#!/usr/bin/env python3
"""Musaic and llama.cpp's server in turn on one model, by the same client: medians over the rounds, and ratios.

Both are measured over HTTP with bench/load.py, so that neither is favoured; rounds are interleaved, because the
speed of a shared machine wanders. Called by llama_cpp.sh.
"""
import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

LOAD = pathlib.Path(__file__).resolve().parent.parent / "load.py"
CAPACITY = 16384  # KV tokens of both
# name: (load.py's flags, the figure in its summary)
MEASUREMENTS = {
    "prefill 512, tok/s": (["--concurrency", "1", "--requests", "6", "--prompt-tokens", "512", "--max-tokens", "1"], "input_tok_s"),
    "decode 1, ms a token": (["--concurrency", "1", "--requests", "3", "--prompt-tokens", "32", "--max-tokens", "128"], "tpot_ms"),
    "16 clients, out tok/s": (["--concurrency", "16", "--requests", "48", "--prompt-tokens", "200", "--max-tokens", "64"], "output_tok_s"),
}
SMALLER_IS_BETTER = {"decode 1, ms a token", "start to first token, s", "16 clients, ITL p99 ms", "16 clients, TTFT p50 ms"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def server_commands(arguments):
    threads = str(len(os.sched_getaffinity(0)))
    return {
        "llama.cpp": [f"{arguments.llama}/llama-server", "-m", arguments.model, "--host", "127.0.0.1", "-np", "16",
                      "-c", str(CAPACITY), "-t", threads, "-tb", threads],
        "musaic": [arguments.musaic, "serve", "--model-path", arguments.model, "--host", "127.0.0.1",
                   "--max-total-tokens", str(CAPACITY)],
    }


def first_token(url, process, deadline):
    body = json.dumps({"model": "default", "prompt": "The river", "max_tokens": 1, "temperature": 0}).encode()
    request = urllib.request.Request(url + "/v1/completions", body, {"Content-Type": "application/json"})
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"compare: {process.args[0]} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.005)
    raise SystemExit(f"compare: {process.args[0]} gave no token")


def load(url, flags):
    run = subprocess.run([sys.executable, str(LOAD), "--base-url", url + "/v1", "--line", *flags], capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"compare: load.py failed: {run.stderr}")
    return json.loads(run.stdout)


def measure(command):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    started = time.monotonic()
    process = subprocess.Popen([*command, "--port", str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        first_token(url, process, started + 120)
        figures = {"start to first token, s": time.monotonic() - started}
        for name, (flags, figure) in MEASUREMENTS.items():
            summary = load(url, flags)
            figures[name] = summary[figure]["p50"] if isinstance(summary[figure], dict) else summary[figure]
        figures["16 clients, ITL p99 ms"] = summary["itl_ms"]["p99"]
        figures["16 clients, TTFT p50 ms"] = summary["ttft_ms"]["p50"]
        return figures
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def machine():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown processor")
    flags = next((line.partition(": ")[2].split() for line in lines if line.startswith("flags")), [])
    seen = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8") if flag in flags]
    return f"{name}, {len(os.sched_getaffinity(0))} CPUs, {' '.join(seen)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--musaic", required=True)
    parser.add_argument("--llama", required=True, help="folder with llama-server")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rounds = {name: [] for name in server_commands(arguments)}
    for number in range(arguments.rounds):
        for name, command in server_commands(arguments).items():
            rounds[name].append(measure(command))
            print(f"round {number + 1} {name}: {json.dumps(rounds[name][-1])}", file=sys.stderr)
    print(machine())
    print(f"{'median of ' + str(arguments.rounds):26} {'llama.cpp':>10} {'musaic':>10} {'better by':>10}")
    for figure in rounds["musaic"][0]:
        peer, ours = (statistics.median(one[figure] for one in rounds[name]) for name in ("llama.cpp", "musaic"))
        ratio = peer / ours if figure in SMALLER_IS_BETTER else ours / peer
        print(f"{figure:26} {peer:10.2f} {ours:10.2f} {ratio:9.2f}x")


if __name__ == "__main__":
    main()
