"""DeepSeek-V2 behind the whole server, launched as SGLang's pull request launches it."""
import json

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


def test_fp8_is_refused_for_a_checkpoint_that_is_not():
    ended = run_musaic("serve", "--model-path", str(TINY / "deepseek_v2"), "--quantization", "fp8")
    assert ended.returncode == 1
    assert "is not in FP8" in ended.stderr + ended.stdout
