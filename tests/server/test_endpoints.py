"""What the endpoints answer, as SGLang's and OpenAI's clients read it."""
import asyncio
import json
import math
import re

import pytest

from sockets import Stream, generate_body

METRICS = ("num_running_reqs num_queue_reqs num_used_tokens token_usage gen_throughput cache_hit_rate prompt_tokens_total "
           "generation_tokens_total num_requests_total num_aborted_requests_total num_retracted_requests_total "
           "time_to_first_token_seconds inter_token_latency_seconds e2e_request_latency_seconds queue_time_seconds").split()


def generate(server, text, **body):
    sampling = {"max_new_tokens": 12, "temperature": 0, **body.pop("sampling", {})}
    return server.post_json("/generate", {"text": text, "sampling_params": sampling, **body})


@pytest.mark.parametrize("path", ["/health", "/ready", "/ping", "/health_generate"])
def test_health(server, path):
    assert server.get(path)[0] == 200


@pytest.mark.parametrize("path", ["/model_info", "/get_model_info"])
def test_model_info(server, path):
    info = server.get_json(path)
    for key in ("model_path", "served_model_name", "tokenizer_path", "is_generation", "model_type", "architectures"):
        assert key in info, key
    assert info["is_generation"] is True


@pytest.mark.parametrize("path", ["/server_info", "/get_server_info"])
def test_server_info(server, path):
    state = server.get_json(path)["internal_states"][0]
    assert state["effective_max_running_requests_per_dp"] > 0
    assert state["memory_usage"]["token_capacity"] > 0
    assert "last_gen_throughput" in state


def test_loads(server):
    load = server.load()
    for key in ("dp_rank num_running_reqs num_waiting_reqs num_used_tokens num_total_tokens max_total_num_tokens "
                "max_running_requests token_usage gen_throughput cache_hit_rate utilization memory").split():
        assert key in load, key
    assert set(load["memory"]) >= {"weight_gb", "kv_cache_gb", "graph_gb", "token_capacity"}
    assert set(server.get_json("/v1/loads")) >= {"timestamp", "version", "accelerator", "num_accelerators", "loads"}
    assert set(server.get_json("/get_load")[0]) >= {"dp_rank", "num_reqs", "num_waiting_reqs", "num_tokens"}


def test_metrics_have_sglangs_names_and_labels(server):
    generate(server, "Hello")
    text = server.get("/metrics")[2].decode()
    for name in METRICS:
        assert re.search(rf"^sglang:{name}(_bucket)?\{{[^}}]*model_name=", text, re.M), name
    assert re.search(r"^sglang:cuda_graph_passes_total\{[^}]*mode=", text, re.M)
    assert re.search(r"^musaic:steps_total\{[^}]*bucket=.*reason=", text, re.M)
    counted = re.search(r"^sglang:generation_tokens_total\{[^}]*\} ([0-9.e+]+)", text, re.M)
    assert float(counted.group(1)) >= 12


def test_the_page_needs_nothing_from_elsewhere(server):
    status, headers, body = server.get("/")
    assert status == 200 and "text/html" in headers["content-type"]
    page = body.decode()
    assert "curl" in page
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?:https?:)?//""", page)


def test_tokenize_and_detokenize(server):
    answer = server.post_json("/tokenize", {"prompt": "The river ends here."})
    assert answer["count"] == len(answer["tokens"]) and answer["max_model_len"] == 8192
    assert server.post_json("/detokenize", {"tokens": answer["tokens"]})["text"] == "The river ends here."
    many = server.post_json("/v1/tokenize", {"prompt": ["a b", "c"]})
    assert len(many["tokens"]) == 2
    chat = server.post_json("/tokenize", {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True})
    assert "<|im_start|>assistant" in server.post_json("/detokenize", {"tokens": chat["tokens"], "skip_special_tokens": False})["text"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/flush_cache", "/flush_cache?timeout=60"])
def test_flush_cache_forgets_prefixes(server, method, path):
    long_text = "the river and the garden " * 20
    generate(server, long_text)
    assert generate(server, long_text)["meta_info"]["cached_tokens"] > 0
    assert server.request(method, path, {} if method == "POST" else None)[0] == 200
    assert generate(server, long_text)["meta_info"]["cached_tokens"] == 0


def test_generate_answers_what_clients_read(server):
    answer = generate(server, "The capital of France is")
    assert answer["text"] and len(answer["output_ids"]) == answer["meta_info"]["completion_tokens"]
    meta = answer["meta_info"]
    assert meta["finish_reason"]["type"] in ("stop", "length")
    assert meta["prompt_tokens"] == 5 and meta["e2e_latency"] > 0 and meta["id"] and "weight_version" in meta


def test_no_new_tokens_is_prefill_only(server):
    answer = generate(server, "The capital of France is", sampling={"max_new_tokens": 0})
    assert answer["text"] == "" and answer["meta_info"]["completion_tokens"] == 0
    assert answer["meta_info"]["finish_reason"]["type"] == "length"


def test_lists_are_answered_by_lists(server):
    answers = generate(server, ["One two", "Red green"], sampling={"max_new_tokens": 3})
    assert len(answers) == 2
    copies = generate(server, "One two", sampling={"max_new_tokens": 3, "n": 3})
    assert len(copies) == 3 and copies[0]["output_ids"] == answers[0]["output_ids"]
    own = server.post_json("/generate", {"input_ids": [[500], [600]],
                                         "sampling_params": [{"max_new_tokens": 1}, {"max_new_tokens": 2}]})
    assert [len(answer["output_ids"]) for answer in own] == [1, 2]


def test_stop_strings_are_trimmed_and_named(server):
    free = generate(server, "The capital of France is", sampling={"max_new_tokens": 30, "ignore_eos": True})
    word = free["text"].split()[4]
    stopped = generate(server, "The capital of France is", sampling={"max_new_tokens": 30, "stop": ["zzzz", word]})
    assert word not in stopped["text"] and free["text"].startswith(stopped["text"])
    assert stopped["meta_info"]["finish_reason"] == {"type": "stop", "matched": word}
    kept = generate(server, "The capital of France is", sampling={"max_new_tokens": 30, "stop": word, "no_stop_trim": True})
    assert kept["text"].endswith(word)
    pattern = generate(server, "The capital of France is", sampling={"max_new_tokens": 30, "stop_regex": [re.escape(word)]})
    assert pattern["meta_info"]["finish_reason"]["type"] == "stop"
    token = free["output_ids"][4]
    by_token = generate(server, "The capital of France is", sampling={"max_new_tokens": 30, "stop_token_ids": [token]})
    assert by_token["meta_info"]["finish_reason"] == {"type": "stop", "matched": token}


def test_min_new_tokens_puts_off_the_end(server):
    short = generate(server, "<|im_start|>user\nSay: yes<|im_end|>\n<|im_start|>assistant\n", sampling={"max_new_tokens": 200})
    assert short["meta_info"]["finish_reason"]["type"] == "stop"
    wanted = short["meta_info"]["completion_tokens"] + 10
    longer = generate(server, "<|im_start|>user\nSay: yes<|im_end|>\n<|im_start|>assistant\n",
                      sampling={"max_new_tokens": 200, "min_new_tokens": wanted})
    assert longer["meta_info"]["completion_tokens"] >= wanted


def test_log_probabilities_of_input_and_output(server):
    meta = generate(server, "The capital of France is", return_logprob=True, logprob_start_len=0, top_logprobs_num=3,
                    token_ids_logprob=[7042], return_text_in_logprobs=True)["meta_info"]
    assert len(meta["output_token_logprobs"]) == meta["completion_tokens"]
    assert len(meta["input_token_logprobs"]) == meta["prompt_tokens"]
    for logprob, token, text in meta["output_token_logprobs"]:
        assert logprob <= 0 and isinstance(token, int) and isinstance(text, str)
    for chosen, top in zip(meta["output_token_logprobs"], meta["output_top_logprobs"]):
        assert len(top) == 3 and top[0][1] == chosen[1]  # greedy takes the best
        assert math.isclose(top[0][0], chosen[0], abs_tol=1e-5)
        assert sum(math.exp(row[0]) for row in top) <= 1.0001
    assert meta["output_token_ids_logprobs"][0][0][1] == 7042


def test_logit_bias_forces_and_forbids(server):
    forced = generate(server, "The", sampling={"max_new_tokens": 3, "logit_bias": {"7042": 100}, "ignore_eos": True})
    assert forced["output_ids"] == [7042] * 3
    best = generate(server, "The", sampling={"max_new_tokens": 1})["output_ids"][0]
    assert generate(server, "The", sampling={"max_new_tokens": 1, "logit_bias": {str(best): -100}})["output_ids"] != [best]


def test_streamed_text_is_cumulative_and_ends_as_unstreamed(server):
    async def stream(body):
        async with Stream(server, "/generate", body) as events:
            return [event async for event in events]

    body = generate_body("Tell me of a river:", 30)
    whole = server.post_json("/generate", body)
    events = asyncio.run(stream(body))
    assert len(events) > 5
    for before, after in zip(events, events[1:]):
        assert after["text"].startswith(before["text"])
        assert after["meta_info"]["completion_tokens"] >= before["meta_info"]["completion_tokens"]
        assert before["meta_info"]["finish_reason"] is None
    assert events[-1]["text"] == whole["text"] and events[-1]["meta_info"]["finish_reason"]["type"] == "length"
    batch = asyncio.run(stream({**body, "text": ["One", "Two"]}))
    assert {event["index"] for event in batch} == {0, 1}


def test_no_half_characters_are_streamed(server):
    async def scenario():
        body = generate_body("Repeat: 🦀🦀🦀 日本語 🦀🦀🦀 日本語 🦀🦀🦀 日本語 🦀🦀🦀", 40)
        async with Stream(server, "/generate", body) as events:
            texts = [event["text"] async for event in events]
        for text in texts[:-1]:
            assert "\ufffd" not in text, text

    asyncio.run(scenario())


def test_keep_alive_serves_many_requests_on_one_connection(server):
    import http.client
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    body = json.dumps({"text": "x", "sampling_params": {"max_new_tokens": 1}})
    for _ in range(5):
        connection.request("POST", "/generate", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200 and json.loads(answer.read())["meta_info"]["completion_tokens"] == 1
    connection.close()
