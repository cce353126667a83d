"""Bad requests and limits, each sent while four streams run: a clear 4xx, and nobody else notices."""
import asyncio
import json

import pytest

from company import Company
from prompts import words
from running_server import TIME_FACTOR
from sockets import exchange, generate_ids, post, post_bytes

CONTEXT = 8192  # of the default model
VOCABULARY = 49152
OPENAI_CHAT = "/v1/chat/completions"
OPENAI_TEXT = "/v1/completions"
MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def company(server):
    company = Company(server)
    yield company
    company.stop()


@pytest.fixture(autouse=True)
def company_is_unharmed(company):
    yield
    company.check()


def assert_error(answer, status, *words_of_message):
    assert answer is not None, "the connection was closed without an answer"
    assert answer.status == status, (answer.status, answer.body[:500])
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == status
    for word in words_of_message:
        assert word in error["message"] + str(error["param"]), error
    return error


def send(server, path, body, headers=()):
    return asyncio.run(post(server, path, body, headers))


@pytest.mark.parametrize("path", ["/generate", OPENAI_TEXT, OPENAI_CHAT, "/tokenize", "/detokenize", "/abort_request"])
@pytest.mark.parametrize("body", [b"", b"{", b'{"text": "x"} trailing', b"[1, 2]", b'"text"', b"17", b"null",
                                  b'{"text": "\xff\xfe"}', b'{"text": "x", "sampling_params": {"temperature": NaN}}',
                                  b'{"text": tru}', b"\x00\x01\x02"])
def test_a_body_that_is_no_json_object_is_a_400(server, path, body):
    assert_error(send(server, path, body), 400)


@pytest.mark.parametrize("depth, inside", [(65, False), (5000, False), (1_000_000, False), (60, True)])
def test_json_deeper_than_64_is_a_400(server, depth, inside):
    body = b'{"text": "x", "sampling_params": {"max_new_tokens": 1}, "ignored": ' + b"[" * depth + b"]" * depth + b"}"
    answer = send(server, "/generate", body)
    if inside:
        assert answer.status == 200, answer.body[:300]
    else:
        assert_error(answer, 400)


GENERATE_FIELDS = [
    ({}, "text"),
    ({"text": "x", "input_ids": [5]}, "input_ids"),
    ({"text": ""}, "no tokens"),
    ({"input_ids": []}, "input_ids"),
    ({"text": ["x", ""]}, "no tokens"),
    ({"text": 5}, "text"),
    ({"text": ["x", 5]}, "text"),
    ({"input_ids": "x"}, "input_ids"),
    ({"input_ids": [1, "x"]}, "input_ids"),
    ({"input_ids": [1.5]}, "input_ids"),
    ({"input_ids": [VOCABULARY]}, str(VOCABULARY)),
    ({"input_ids": [-1]}, "-1"),
    ({"input_ids": [[5], [VOCABULARY]]}, str(VOCABULARY)),
    ({"input_ids": [5, 1 << 40]}, "input_ids"),
    ({"text": "x", "sampling_params": "x"}, "sampling_params"),
    ({"text": "x", "sampling_params": [{}, {}]}, "sampling_params"),
    ({"text": "x", "stream": "yes"}, "stream"),
    ({"text": "x", "return_logprob": "yes"}, "return_logprob"),
    ({"text": "x", "return_logprob": True, "top_logprobs_num": -1}, "top_logprobs_num"),
    ({"text": "x", "return_logprob": True, "top_logprobs_num": 100_000}, "top_logprobs_num"),
    ({"text": "x", "return_logprob": True, "logprob_start_len": "x"}, "logprob_start_len"),
    ({"text": "x", "return_logprob": True, "token_ids_logprob": [VOCABULARY]}, str(VOCABULARY)),
    ({"text": "x", "lora_path": "some/adapter"}, "lora_path"),
    ({"text": "x", "image_data": "data:x"}, "image_data"),
    ({"text": "x", "rid": 7}, "rid"),
]


@pytest.mark.parametrize("body, word", GENERATE_FIELDS, ids=[json.dumps(body)[:60] for body, _ in GENERATE_FIELDS])
def test_a_wrong_field_of_generate_is_a_400_that_names_it(server, body, word):
    assert_error(send(server, "/generate", body), 400, word)


SAMPLING = [
    ("max_new_tokens", [-1, "many", 1.5, CONTEXT + 1, 1 << 62]),
    ("min_new_tokens", [-1, "x", 100_000]),
    ("temperature", [-0.1, "hot", True, [1]]),
    ("top_p", [0, -1, 1.01, "x"]),
    ("top_k", [0, -2, "x", 1.5]),
    ("min_p", [-0.1, 1.1, "x"]),
    ("frequency_penalty", [-2.1, 2.1, "x"]),
    ("presence_penalty", [-2.1, 2.1, "x"]),
    ("repetition_penalty", [0, -1, 2.1, "x"]),
    ("n", [0, 129, -1, "x", 1.5]),
    ("seed", ["x", 1.5]),
    ("ignore_eos", ["x", 1]),
    ("stop", [5, [5], ["x"] * 33, "x" * 257, ["é" * 257]]),
    ("stop_token_ids", ["x", ["x"], [VOCABULARY], [-1]]),
    ("stop_regex", ["(", ["["], 5, "x" * 257]),
    ("logit_bias", ["x", {"x": 1}, {str(VOCABULARY): 1}, {"5": "x"}, {"5": 1000}]),
    ("json_schema", ['{"type": "object"}']),
    ("regex", ["a+"]),
    ("ebnf", ["root ::= a"]),
]
SAMPLING_CASES = [(name, value) for name, values in SAMPLING for value in values]


@pytest.mark.parametrize("name, value", SAMPLING_CASES, ids=[f"{n}={json.dumps(v)[:30]}" for n, v in SAMPLING_CASES])
def test_a_sampling_parameter_out_of_range_is_a_400_that_names_it(server, name, value):
    assert_error(send(server, "/generate", {"text": "x", "sampling_params": {name: value}}), 400, name)


CHAT = [
    ({}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "x"}, "messages"),
    ({"messages": ["x"]}, "messages"),
    ({"messages": [{"content": "x"}]}, "role"),
    ({"messages": [{"role": "user"}]}, "content"),
    ({"messages": [{"role": "user", "content": 5}]}, "content"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "text"),
    ({"messages": MESSAGES, "logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"messages": MESSAGES, "top_logprobs": 2}, "top_logprobs"),
    ({"messages": MESSAGES, "tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"messages": MESSAGES, "response_format": {"type": "json_object"}}, "response_format"),
    ({"messages": MESSAGES, "max_tokens": -1}, "max_tokens"),
    ({"messages": MESSAGES, "max_completion_tokens": CONTEXT + 1}, str(CONTEXT)),
    ({"messages": MESSAGES, "n": 129}, "n"),
    ({"messages": MESSAGES, "temperature": "x"}, "temperature"),
    ({"messages": MESSAGES, "stream_options": "x"}, "stream_options"),
]


@pytest.mark.parametrize("body, word", CHAT, ids=[json.dumps(body)[:60] for body, _ in CHAT])
def test_a_wrong_field_of_chat_is_a_400_that_names_it(server, body, word):
    assert_error(send(server, OPENAI_CHAT, body), 400, word)


COMPLETIONS = [
    ({}, "prompt"),
    ({"prompt": ""}, "no tokens"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": [VOCABULARY]}, str(VOCABULARY)),
    ({"prompt": "x", "logprobs": 21}, "logprobs"),
    ({"prompt": "x", "max_tokens": "x"}, "max_tokens"),
    ({"prompt": "x", "suffix": "y"}, "suffix"),
    ({"prompt": "x", "best_of": 3}, "best_of"),
]


@pytest.mark.parametrize("body, word", COMPLETIONS, ids=[json.dumps(body)[:60] for body, _ in COMPLETIONS])
def test_a_wrong_field_of_completions_is_a_400_that_names_it(server, body, word):
    assert_error(send(server, OPENAI_TEXT, body), 400, word)


@pytest.mark.parametrize("path, body", [
    ("/tokenize", {}), ("/tokenize", {"prompt": 5}), ("/tokenize", {"messages": "x"}),
    ("/detokenize", {}), ("/detokenize", {"tokens": "x"}), ("/detokenize", {"tokens": [VOCABULARY]}),
])
def test_a_wrong_field_of_tokenize_is_a_400(server, path, body):
    assert_error(send(server, path, body), 400)


def test_a_prompt_over_the_context_is_a_400_with_both_numbers(server):
    ids = [500] * (CONTEXT + 10)
    assert_error(send(server, "/generate", {"input_ids": ids}), 400, str(CONTEXT + 10), str(CONTEXT))


def test_a_prompt_and_answer_over_the_context_are_a_400_with_both_numbers(server):
    body = {"input_ids": [500] * 8000, "sampling_params": {"max_new_tokens": 300}}
    assert_error(send(server, "/generate", body), 400, "8000", str(CONTEXT))


def test_a_huge_text_is_a_400_and_not_a_wait(server):
    body = {"prompt": words(400_000, 1), "max_tokens": 1}
    assert_error(send(server, OPENAI_TEXT, body), 400, str(CONTEXT))


def test_a_body_over_32_mib_is_refused(server):
    body = b'{"text": "' + b"x" * (32 << 20) + b'"}'
    answer = send(server, "/generate", body)
    assert answer is None or answer.status in (400, 413), answer.status


def test_headers_over_16_kib_are_refused(server):
    answer = send(server, "/generate", {"text": "x"}, [f"X-Long: {'y' * (17 << 10)}"])
    assert answer is None or answer.status in (400, 431), answer.status


def test_a_head_that_does_not_end_within_ten_seconds_is_closed(server):
    async def dawdle():
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"POST /generate HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        try:
            await asyncio.wait_for(reader.read(), 15 * TIME_FACTOR)  # ends when the server closes
        finally:
            writer.close()

    asyncio.run(dawdle())


@pytest.mark.parametrize("raw", [
    b"rubbish\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\r\n" * 100, b"\x00" * 4096,
    b"GET / HTTP/9.9\r\n\r\n", b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n",
    b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /generate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
], ids=range(11))
def test_rubbish_on_the_socket_is_refused_or_dropped(server, raw):
    async def talk():
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(raw)
        try:
            writer.write_eof()
            return await asyncio.wait_for(reader.read(), 20 * TIME_FACTOR)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    answer = asyncio.run(talk())
    assert not answer or answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.1 505"), answer[:100]


def test_a_connection_dropped_in_its_body_is_forgotten(server):
    async def drop():
        for cut in (10, 60, 120):
            _, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(post_bytes("/generate", {"text": "x" * 100})[:cut])
            await writer.drain()
            writer.transport.abort()

    asyncio.run(drop())


def test_a_chunked_body_and_expect_continue_are_understood(server):
    body = b'{"text": "x", "sampling_params": {"max_new_tokens": 1}}'
    head = b"POST /generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert asyncio.run(exchange(server, chunked)).status == 200

    async def expect():
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        try:
            first = await asyncio.wait_for(reader.readline(), 10 * TIME_FACTOR)
            assert first.startswith(b"HTTP/1.1 100"), first
            await reader.readline()
            writer.write(body)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        finally:
            writer.close()

    asyncio.run(expect())


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/nowhere", 404), ("POST", "/v1/nothing", 404), ("GET", "/v1/models/other-model", 404),
    ("GET", "/generate", 405), ("DELETE", "/v1/models", 405), ("PUT", "/v1/chat/completions", 405),
])
def test_unknown_routes_and_methods_get_the_error_schema(server, method, path, status):
    raw = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
    assert_error(asyncio.run(exchange(server, raw)), status)


def test_null_empty_lists_and_unknown_keys_mean_nothing(server):
    quiet = {"stop": [], "stop_token_ids": [], "stop_regex": [], "regex": None, "json_schema": None, "ebnf": None,
             "top_k": -1, "min_p": 0.0, "logit_bias": None, "something_new": {"a": 1}}
    plain = asyncio.run(generate_ids(server, "Count to ten:", 8))
    decorated = asyncio.run(generate_ids(server, "Count to ten:", 8, **quiet))
    assert plain == decorated
    body = {"messages": MESSAGES, "max_tokens": 1, "tools": [], "model": None, "log_metrics": True, "no_logs": False,
            "return_bytes": False, "separate_reasoning": True, "tool_choice": None, "response_format": None}
    assert send(server, OPENAI_CHAT, body).status == 200


def test_text_beyond_unicode_does_not_end_the_server(server):
    for body in (b'{"text": "\\ud800", "sampling_params": {"max_new_tokens": 1}}',
                 b'{"text": "a\\u0000b", "sampling_params": {"max_new_tokens": 1}}',
                 '{"text": "\U0001f469\u200d\U0001f680 \u202e", "sampling_params": {"max_new_tokens": 1}}'.encode()):
        assert send(server, "/generate", body).status in (200, 400)


def test_a_pattern_that_explodes_does_not_stop_the_others(server):
    body = {"text": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "sampling_params": {"max_new_tokens": 40, "temperature": 0,
            "stop_regex": "(a+)+$b", "logit_bias": {}}}
    assert send(server, "/generate", body).status in (200, 400)


def test_no_other_origin_is_answered(server):
    for origin in ("http://evil.example", "null"):
        answer = send(server, "/generate", {"text": "x", "sampling_params": {"max_new_tokens": 1}}, [f"Origin: {origin}"])
        assert "access-control-allow-origin" not in answer.headers
