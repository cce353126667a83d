"""DeepSeek-V2 behind the whole server, launched as SGLang's pull request launches it."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from running_server import PULL_REQUEST_FLAGS, ROOT, RunningServer, run_musaic

TINY = ROOT / "tests" / "data" / "tiny"


def goldens(model):
    return json.loads((TINY / model / "golden.json").read_text())["golden"]


def generate(server, ids, count):
    body = {"input_ids": ids, "sampling_params": {"temperature": 0, "max_new_tokens": count, "ignore_eos": True}}
    return server.post_json("/generate", body)["output_ids"]


@pytest.fixture
def serve():
    """serve(model, *flags) gives a ready server of a tiny model; it ends with the test."""
    servers = []

    def serve_one(model, *flags):
        servers.append(RunningServer(str(TINY / model), *PULL_REQUEST_FLAGS, "--skip-tokenizer-init", *flags))
        return servers[-1].wait_until_ready()

    yield serve_one
    for server in servers:
        server.end()


@pytest.mark.parametrize("runner", ["auto", "deepgemm"])
@pytest.mark.parametrize("model", ["deepseek_v2", "deepseek_v2_grouped"])
def test_gives_the_golden_tokens_wherever_the_gap_is_clear(serve, model, runner):
    server = serve(model, "--dtype", "float32", "--moe-runner-backend", runner)
    for golden in goldens(model):
        clear = [gap > 1e-3 for gap in golden["top2_gap"]] + [False]
        count = clear.index(False)
        if count:
            assert generate(server, golden["input_ids"], count) == golden["greedy"][:count]


@pytest.mark.parametrize("runner", ["auto", "triton", "cutlass", "deepgemm"])
def test_fp8_answers_with_the_golden_first_token(serve, runner):
    server = serve("deepseek_v2_fp8", "--moe-runner-backend", runner, "--quantization", "fp8")
    for golden in goldens("deepseek_v2_fp8"):
        tokens = generate(server, golden["input_ids"], 24)
        assert len(tokens) == 24
        if golden["top2_gap"][0] > 0.5:
            assert tokens[0] == golden["greedy"][0]
    assert server.get_json("/server_info")["moe_runner_backend"] == runner


@pytest.fixture
def small_tokenizer(tmp_path):
    """The path of a tokenizer.json with fewer tokens than the tiny models have: 400 of 512."""
    data = json.loads((ROOT / "tests" / "data" / "tokenizer" / "smollm" / "tokenizer.json").read_text())
    vocab = {text: number for text, number in data["model"]["vocab"].items() if number < 400}
    parts = [merge.split(" ") if isinstance(merge, str) else merge for merge in data["model"]["merges"]]
    data["model"]["vocab"] = vocab
    data["model"]["merges"] = [pair for pair in parts if {*pair, "".join(pair)} <= vocab.keys()]
    data["added_tokens"] = [token for token in data["added_tokens"] if token["id"] < 400]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(data))
    return str(path)


def test_a_smaller_tokenizer_of_another_model_leaves_ids_without_text(small_tokenizer):
    server = RunningServer(str(TINY / "deepseek_v2"), *PULL_REQUEST_FLAGS, "--tokenizer-path", small_tokenizer)
    try:
        server.wait_until_ready()
        assert "400 of the model's 512 tokens; ids from 400 on decode to the empty string" in server.log()
        sampling = {"max_new_tokens": 64, "temperature": 1.5, "seed": 3, "ignore_eos": True}
        answer = server.post_json("/generate", {"text": "Question: how many?", "sampling_params": sampling,
                                                "return_logprob": True, "return_text_in_logprobs": True})
        ids = answer["output_ids"]
        known = [number for number in ids if number < 400]
        assert len(ids) == 64 and 0 < len(known) < 64
        assert answer["text"] == server.post_json("/detokenize", {"tokens": known})["text"]
        assert all(text == "" for _, number, text in answer["meta_info"]["output_token_logprobs"] if number >= 400)
    finally:
        server.end()


@pytest.mark.parametrize("model", ["deepseek_v2", "deepseek_v2_fp8"])
def test_deterministic_answers_depend_neither_on_company_nor_on_chunks_nor_on_the_cache(model):
    flags = ("--skip-tokenizer-init", "--enable-deterministic-inference", "--chunked-prefill-size", "24")
    server = RunningServer(str(TINY / model), *flags)
    prompts = [[(i * 37 + length * 11) % 512 for i in range(length)] for length in (3, 40, 64, 90, 25, 150)]
    try:
        server.wait_until_ready()
        assert server.get_json("/server_info")["enable_deterministic_inference"] is True
        alone = [generate(server, prompt, 24) for prompt in prompts]
        with ThreadPoolExecutor(len(prompts)) as pool:
            assert list(pool.map(lambda prompt: generate(server, prompt, 24), prompts)) == alone
            assert server.post("/flush_cache", {})[0] == 200
            assert list(pool.map(lambda prompt: generate(server, prompt, 24), prompts)) == alone
        assert server.post("/flush_cache", {})[0] == 200
        # What decode steps had cached is read by extend steps now, and computed by them.
        for prompt, answer in zip(prompts, alone):
            assert generate(server, prompt + answer[:12], 12) == answer[12:]
    finally:
        server.end()


def test_a_bf16_checkpoint_is_quantized_as_it_is_loaded(serve):
    server = serve("deepseek_v2", "--quantization", "fp8")
    assert "linears are quantized as they are loaded" in server.log()
    plain = serve("deepseek_v2")
    assert server.get_json("/server_info")["quantization"] == "fp8"
    for golden in goldens("deepseek_v2"):
        tokens = generate(server, golden["input_ids"], 24)
        assert len(tokens) == 24
        if golden["top2_gap"][0] > 0.5:
            assert tokens[0] == generate(plain, golden["input_ids"], 1)[0]


def test_a_checkpoint_in_other_blocks_is_not_quantized_again(model):
    ended = run_musaic("serve", "--model-path", model, "--quantization", "fp8")
    assert ended.returncode == 1
    assert "is q4_1, expected f32, f16 or bf16" in ended.stderr + ended.stdout
