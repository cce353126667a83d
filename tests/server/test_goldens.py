"""The default model against an independent float32 forward (tests/data/smollm2_*.json)."""
import json
import math
import pathlib

import pytest

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
SURE_GAP = 1e-3  # below it, two tokens are too close for rounding to decide
LOGPROB_TOLERANCE = 2e-3


def load(name):
    return json.loads((DATA / name).read_text())


@pytest.fixture(scope="module", params=["64", "512", "-1"])
def exact(request, start):
    server = start("--dtype", "float32", "--chunked-prefill-size", request.param)
    yield server
    server.kill()


def sure_prefix(reference):
    """The reference's tokens up to the first that rounding could change."""
    for index, gap in enumerate(reference["top2_gap"]):
        if gap <= SURE_GAP:
            return reference["tokens"][:index]
    return reference["tokens"]


def test_greedy_tokens_equal_the_goldens_wherever_they_are_sure(exact):
    for golden in load("smollm2_goldens.json")["prompts"]:
        expected = sure_prefix(golden["ref_fp32"])
        body = {"input_ids": golden["prompt_ids"],
                "sampling_params": {"max_new_tokens": len(golden["ref_fp32"]["tokens"]), "temperature": 0}}
        got = exact.post_json("/generate", body)["output_ids"]
        assert got[:len(expected)] == expected, golden["kind"] + str(golden["prompt_ids"][:8])


def test_every_log_probability_of_the_long_goldens_is_within_tolerance(exact):
    for golden in load("smollm2_long_goldens.json"):
        exact.post("/flush_cache", {})
        body = {"input_ids": golden["ids"], "return_logprob": True, "logprob_start_len": 0,
                "sampling_params": {"max_new_tokens": 1, "temperature": 0}}
        rows = exact.post_json("/generate", body)["meta_info"]["input_token_logprobs"]
        got = [row for row in rows if row[0] is not None]
        assert [row[1] for row in got] == golden["ids"][1:]
        worst = max(abs(row[0] - reference) for row, reference in zip(got, golden["token_logprobs"]))
        assert worst <= LOGPROB_TOLERANCE


@pytest.mark.parametrize("flags, most_difference, least_same", [
    ((), 0.06, 0.96), (("--kv-cache-dtype", "bf16"), 0.06, 0.95), (("--kv-cache-dtype", "fp8_e4m3"), 0.15, 0.90),
], ids=["f16 cache", "bf16 cache", "fp8 cache"])
def test_the_integer_path_stays_close_to_the_long_goldens(start, flags, most_difference, least_same):
    """A coarse guard: mean difference of log-probabilities and the rate of equal best tokens."""
    server = start(*flags)
    for golden in load("smollm2_long_goldens.json"):
        body = {"input_ids": golden["ids"], "return_logprob": True, "logprob_start_len": 0, "top_logprobs_num": 1,
                "sampling_params": {"max_new_tokens": 1, "temperature": 0}}
        meta = server.post_json("/generate", body)["meta_info"]
        got = [row[0] for row in meta["input_token_logprobs"] if row[0] is not None]
        mean = math.fsum(abs(a - b) for a, b in zip(got, golden["token_logprobs"])) / len(got)
        best = [top[0][1] for top in meta["input_top_logprobs"] if top]
        same = sum(a == b for a, b in zip(best, golden["argmax"])) / len(best)
        assert mean <= most_difference and same >= least_same, (golden["name"], mean, same)
    server.kill()


def test_tokenizer_strings_go_both_ways(start):
    server = start()
    for case in load("smollm2_goldens.json")["tokenizer"]:
        if not case["text"]:
            continue
        tokens = server.post_json("/tokenize", {"prompt": case["text"]})["tokens"]
        assert tokens == case["ids_special"], case["text"]
        text = server.post_json("/detokenize", {"tokens": tokens, "skip_special_tokens": False})["text"]
        assert text == case["decoded_special"], case["text"]
