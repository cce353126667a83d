"""usage: serve_test.py MUSAIC_WITH_THE_SHIM   Serves the tiny models on --device musa, under a small budget of executables: the same
tokens as the CPU, replayed, and the device's name wherever a server tells it."""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
os.environ["MUSAIC_BINARY"] = sys.argv[1]
from running_server import RunningServer  # noqa: E402

BUDGET = 8
PROMPTS = [[1, 5, 9], list(range(2, 40)), [7] * 21, list(range(300, 420))]
FLAGS = ["--skip-tokenizer-init", "--max-total-tokens", "4096", "--dtype", "float32", "--enable-metrics", "--capture", "eager"]


def tokens_of(server):
    answers = []
    for prompt in PROMPTS:
        body = {"input_ids": prompt, "sampling_params": {"temperature": 0, "max_new_tokens": 12, "ignore_eos": True}}
        answers.append(server.post_json("/generate", body)["output_ids"])
    return answers


def serve(model, *flags):
    return RunningServer(str(ROOT / "tests" / "data" / "tiny" / model), *FLAGS, *flags)


def check(model):
    with_cpu = serve(model, "--device", "cpu").wait_until_ready()
    expected = tokens_of(with_cpu)
    with_cpu.end()

    server = serve(model, "--device", "musa", "--graph-executable-budget", str(BUDGET)).wait_until_ready()
    assert tokens_of(server) == expected, model
    info = server.get_json("/server_info")
    assert info["device"] == "musa:0", info["device"]
    executables = info["programs"]["graph_executables"]
    assert executables["budget"] == BUDGET >= executables["live"], executables
    assert executables["graphs"] > BUDGET and executables["rotations"] > 0, executables
    assert info["programs"]["decomposed_ops"] == [], info["programs"]["decomposed_ops"]
    assert any(row["setting"] == "graph executables" and row["in_force"] == str(BUDGET) for row in info["graph_settings"])
    metrics = server.get("/metrics")[2].decode()
    assert f"musaic:graph_executable_budget{{" in metrics and "musaic:graph_rotations_total{" in metrics
    program = server.get_json("/musaic/program?graph=extend&format=json")
    assert program["device"] == "musa:0" and program["executables"]["budget"] == BUDGET, program["device"]
    assert " on musa:0" in server.log(), server.log()
    server.end()
    print(f"serve_test: {model}: equal to the CPU; {executables}")


def check_refusals():
    def sentence(*arguments):
        run = subprocess.run([sys.argv[1], *arguments], capture_output=True, text=True)
        assert run.returncode != 0, arguments
        return run.stderr

    model = str(ROOT / "tests" / "data" / "tiny" / "llama")
    assert "musa:7: there is no such device; the Moore Threads driver shows 2 GPUs" in sentence(
        "serve", "--model-path", model, "--device", "musa:7")
    assert "--device cuda" in sentence("serve", "--model-path", model, "--device", "cuda:0")


check("llama")
check("deepseek_v2")
check_refusals()
