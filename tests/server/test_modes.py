"""Graph modes, the table of their flags, memory of captures and verification of replays, on a whole server."""
import concurrent.futures
import json
import re

import pytest

from prompts import QUESTIONS, words
from running_server import ROOT, run_musaic

GSM8K = ROOT / "tests" / "data" / "gsm8k_test.jsonl"
SETTINGS = ["prefill mode", "prefill largest tokens", "prefill sizes", "decode mode", "decode largest batch", "decode sizes",
            "decode padding", "capture", "graph memory", "graph executables", "verified share"]


def settings(server):
    return {row["setting"]: row for row in server.get_json("/server_info")["graph_settings"]}


def captures(server):
    return server.get_json("/server_info")["programs"]


def metric(server, name):
    text = server.get("/metrics")[2].decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", text, re.M))


def greedy(server, prompt, tokens):
    sampling = {"max_new_tokens": tokens, "temperature": 0, "ignore_eos": True}
    return server.post_json("/generate", {"text": prompt, "sampling_params": sampling})["output_ids"]


def all_at_once(server, prompts, tokens):
    with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
        return list(pool.map(lambda prompt: greedy(server, prompt, tokens), prompts))


def gsm8k_prompts(count, shots):
    """Questions as few_shot_gsm8k asks them."""
    lines = [json.loads(line) for line in GSM8K.read_text().splitlines()[:count + shots]]
    examples = "".join(f"Question: {line['question']}\nAnswer: {line['answer']}\n\n" for line in lines[:shots])
    return [examples + f"Question: {line['question']}\nAnswer:" for line in lines[shots:]]


def test_the_table_says_what_was_asked_what_is_in_force_and_why(start):
    server = start("--disable-cuda-graph", "--cuda-graph-backend-decode", "full", "--cuda-graph-bs", "1", "4", "500")
    table = settings(server)
    assert list(table) == SETTINGS
    assert table["prefill mode"] == {"setting": "prefill mode", "asked": "disabled", "flag": "--disable-cuda-graph",
                                     "in_force": "disabled", "why": "as asked"}
    assert table["decode mode"]["in_force"] == "full" and "above --disable-cuda-graph" in table["decode mode"]["why"]
    assert table["decode sizes"]["in_force"] == "1 4" and "500 left out" in table["decode sizes"]["why"]
    assert server.get_json("/server_info")["cuda_graph_config"]["decode"]["bs"] == [1, 4]
    log = server.log()
    for name in SETTINGS:
        assert re.search(rf"\] {name} ", log), name
    greedy(server, QUESTIONS[0], 3)
    steps = {(step["phase"], step["mode"], step["reason"]) for step in server.get_json("/server_info")["steps"]}
    assert steps == {("extend", "eager", "graphs_disabled"), ("decode", "replayed", "bucket")}
    server.kill()


def test_flags_that_contradict_each_other_end_the_program(model):
    ended = run_musaic("serve", "--model-path", model, "--disable-decode-cuda-graph", "--cuda-graph-backend-decode", "full")
    assert ended.returncode == 2
    assert "--disable-decode-cuda-graph and --cuda-graph-backend-decode full exclude each other" in ended.stderr


def test_breakable_piecewise_full_and_disabled_give_equal_tokens_in_float32(start):
    prompts = list(QUESTIONS) + [words(150, 2)]
    answers = {}
    for mode in ("piecewise", "breakable", "full", "disabled"):
        server = start("--dtype", "float32", "--cuda-graph-backend-prefill", mode, "--cuda-graph-backend-decode", mode)
        assert settings(server)["prefill mode"]["in_force"] == mode
        answers[mode] = all_at_once(server, prompts, 16)
        server.kill()
    for mode, tokens in answers.items():
        assert tokens == answers["piecewise"], mode


def test_eager_capture_ends_before_the_server_is_ready(start):
    server = start("--capture", "eager")
    state = captures(server)
    assert state["num_captured"] == state["num_buckets"] > 0
    assert state["bucket_states"]["waiting"] == 0 and state["graph_bytes"] > 0 and state["capture_seconds"] > 0
    assert re.search(r"captured (\d+) of \1 buckets", server.log())
    assert metric(server, "musaic:graph_bytes") == state["graph_bytes"]
    server.kill()


def test_the_memory_budget_is_kept_and_what_it_drops_is_named(start):
    whole = start("--capture", "eager")
    prompts = list(QUESTIONS) + [words(40, 5)]
    expected = all_at_once(whole, prompts, 12)
    half = captures(whole)["graph_bytes"] // 2
    whole.kill()
    server = start("--capture", "eager", "--graph-memory-budget", str(half))
    state = captures(server)
    assert 0 < state["graph_bytes"] <= half and state["graph_memory_budget"] == half
    assert 0 < state["num_captured"] < state["num_buckets"]
    dropped = state["over_memory_budget"]
    assert len(dropped) == state["bucket_states"]["over_memory_budget"] > 0
    assert "has no room for the buckets" in server.log()
    for bucket in dropped:
        assert re.search(rf"no room for the buckets.*{bucket['graph']} [0-9 ]*\b{bucket['size']}\b", server.log()), bucket
    assert all_at_once(server, prompts, 12) == expected
    smallest = min(bucket["size"] for bucket in dropped if bucket["graph"] == "extend")
    server.post_json("/generate", {"input_ids": [100 + number for number in range(smallest)],
                                   "sampling_params": {"max_new_tokens": 2, "temperature": 0}})
    reasons = {step["reason"] for step in server.get_json("/server_info")["steps"]}
    assert reasons & {"over_memory_budget", "larger_bucket"}, reasons
    server.kill()


def test_no_budget_means_eager_steps(start):
    server = start("--graph-memory-budget", "0")
    greedy(server, QUESTIONS[0], 4)
    assert {step["reason"] for step in server.get_json("/server_info")["steps"]} == {"over_memory_budget"}
    assert captures(server)["graph_bytes"] == 0
    server.kill()


def test_verifying_every_step_of_sixteen_gsm8k_questions_finds_no_difference(start):
    prompts = gsm8k_prompts(16, 2)
    plain = start()
    expected = all_at_once(plain, prompts, 32)
    plain.kill()
    server = start("--graph-verify", "1")
    assert all_at_once(server, prompts, 32) == expected
    verify = captures(server)["verify"]
    assert verify["share"] == 1 and verify["tolerance"] == 0
    assert verify["verified_steps"] > 32 and verify["differences"] == []
    assert captures(server)["quarantined"] == []
    steps = server.get_json("/server_info")["steps"]
    assert {step["reason"] for step in steps if step["mode"] == "replayed"} == {"verified"}
    assert metric(server, "musaic:graph_verified_steps_total") == verify["verified_steps"]
    assert metric(server, "musaic:graph_verify_differences_total") == 0
    assert "differs" not in server.log()
    server.kill()


@pytest.mark.parametrize("share, every", [("0.25", 4)])
def test_a_share_of_the_steps_is_verified(start, share, every):
    server = start("--graph-verify", share)
    greedy(server, QUESTIONS[0], 20)
    counts = {}
    for step in server.get_json("/server_info")["steps"]:
        counts[step["reason"]] = counts.get(step["reason"], 0) + step["steps"]
    assert counts["verified"] == sum(counts.values()) // every
    assert captures(server)["verify"]["differences"] == []
    server.kill()
