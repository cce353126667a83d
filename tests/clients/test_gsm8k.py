"""SGLang's own evaluation client against a server launched as SGLang's pull request launches its own."""
import json

import pytest

from clients.evaluation import run_evaluation
from running_server import PULL_REQUEST_FLAGS, ROOT, RunningServer, run_musaic

RELEASES = ("0.5.23", "0.5.12.post1")
LINES = {"Accuracy", "Invalid", "Latency", "Output throughput"}


def ends_at_once(server, prompt):
    """Whether the model's very first token ends the answer, which then rightly has no text."""
    body = {"text": prompt, "sampling_params": {"max_new_tokens": 1, "temperature": 0}}
    return server.post_json("/generate", body)["meta_info"]["finish_reason"]["type"] == "stop"


def assert_complete(server, evaluation, num_questions):
    assert set(evaluation.summary) == LINES
    assert len(evaluation.texts) == num_questions
    for prompt, text in zip(evaluation.prompts, evaluation.texts):
        assert text.strip() or ends_at_once(server, prompt), prompt[-200:]
    assert evaluation.summary["Output throughput"] > 0


@pytest.mark.parametrize("release", RELEASES)
def test_sixteen_questions_at_once(start, tmp_path, release):
    server = start(*PULL_REQUEST_FLAGS)
    assert_complete(server, run_evaluation(release, server, tmp_path, 16, 16), 16)


@pytest.mark.full
@pytest.mark.parametrize("release", RELEASES)
def test_two_hundred_questions(start, tmp_path, release):
    server = start(*PULL_REQUEST_FLAGS)
    evaluation = run_evaluation(release, server, tmp_path, 200, 16)
    print(evaluation.summary)
    assert_complete(server, evaluation, 200)


def test_deepseek_of_random_weights_with_another_models_tokenizer(model, tmp_path):
    """The pull request's vocabulary of 102,400 over a tokenizer of 49,152: half of the answers' tokens have no text."""
    config = json.loads((ROOT / "tests" / "data" / "tiny" / "deepseek_v2" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 102400}))
    server = RunningServer(str(tmp_path), *PULL_REQUEST_FLAGS, "--load-format", "dummy", "--tokenizer-path", model,
                           "--random-seed", "1")
    try:
        assert_complete(server.wait_until_ready(), run_evaluation("0.5.23", server, tmp_path, 16, 16), 16)
    finally:
        server.end()


@pytest.mark.parametrize("flags", [(), pytest.param(PULL_REQUEST_FLAGS, marks=pytest.mark.full)],
                         ids=["default flags", "the pull request's flags"])
def test_float32_texts_are_the_same_one_by_one_sixteen_at_once_and_in_the_terminal(start, model, tmp_path, flags):
    server = start("--dtype", "float32", *flags)
    folders = [tmp_path / name for name in ("one", "sixteen")]
    for folder in folders:
        folder.mkdir()
    one = run_evaluation("0.5.23", server, folders[0], 16, 1)
    sixteen = run_evaluation("0.5.23", server, folders[1], 16, 16)
    assert_complete(server, sixteen, 16)
    assert one.texts == sixteen.texts
    terminal = run_musaic("generate", "--model-path", model, "--dtype", "float32", "--temperature", "0",
                          "--max-new-tokens", "512", "--stop", "Question", "--stop", "Assistant:",
                          "--stop", "<|separator|>", one.prompts[0], timeout=300)
    assert terminal.returncode == 0, terminal.stderr
    assert one.texts[0].strip() in terminal.stdout
