"""Runs the unmodified `sglang.test.few_shot_gsm8k` of a release unpacked by scripts/setup_clients.sh."""
import dataclasses
import os
import pathlib
import re
import subprocess
import sys

from running_server import ROOT, TIME_FACTOR

CLIENTS = ROOT / "build" / "clients"
STUB = ROOT / "tests" / "clients" / "torch_stub"
QUESTIONS = ROOT / "tests" / "data" / "gsm8k_test.jsonl"
SUMMARY = re.compile(r"^(Accuracy|Invalid|Latency|Output throughput): ([0-9.]+)", re.M)
STATE = re.compile(r"^={40} (\d+) ={40}\n(.*?)\n={80}$", re.M | re.S)


@dataclasses.dataclass
class Evaluation:
    summary: dict  # the client's four lines
    prompts: list  # what the client sent for each question
    texts: list    # what the server answered


def run_evaluation(release, server, folder, num_questions, parallel):
    """`folder` is where the client leaves its dump of prompts and answers."""
    host = server.host if release == "0.5.23" else f"http://{server.host}"  # what each release takes
    path = os.pathsep.join([str(STUB), str(CLIENTS / f"sglang-{release}")])
    command = [sys.executable, "-m", "sglang.test.few_shot_gsm8k", "--host", host, "--port", str(server.port),
               "--num-questions", str(num_questions), "--parallel", str(parallel), "--data-path", str(QUESTIONS)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3000 * TIME_FACTOR,
                         env={**os.environ, "PYTHONPATH": path, "HOME": str(folder)})
    assert run.returncode == 0, run.stderr[-3000:]
    return Evaluation({name: float(value) for name, value in SUMMARY.findall(run.stdout)}, *read_dump(folder))


def read_dump(folder):
    """(prompts, texts). A prompt has five shots and its own question, so it ends with the sixth "Answer:"."""
    dump = (pathlib.Path(folder) / "tmp_output_gsm8k.txt").read_text()
    states = STATE.findall(dump)
    assert [int(number) for number, _ in states] == list(range(len(states)))
    texts = [state.split("\nAnswer:", 6)[6] for _, state in states]
    prompts = [state[:len(state) - len(text)] for (_, state), text in zip(states, texts)]
    return prompts, texts
