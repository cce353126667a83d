"""The real `openai` client."""
import asyncio
import time

import openai
import pytest

from running_server import TIME_FACTOR

MODEL = "any-name"
QUESTION = [{"role": "user", "content": "Why is the sky blue? Answer in one sentence."}]


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120 * TIME_FACTOR)


@pytest.fixture
def async_client(server):
    return openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120 * TIME_FACTOR)


def chat(client, **options):
    return client.chat.completions.create(**{"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 24, **options})


def complete(client, **options):
    return client.completions.create(**{"model": MODEL, "prompt": "The capital of France is", "temperature": 0,
                                        "max_tokens": 12, **options})


def test_models(client):
    model = client.models.list().data[0]
    assert client.models.retrieve(model.id).id == model.id
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_chat(client):
    answer = chat(client)
    assert answer.object == "chat.completion" and answer.id and answer.created
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].message.content.strip()
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_chat_without_a_limit_ends_by_itself(client):
    answer = chat(client, max_tokens=openai.NOT_GIVEN, messages=[{"role": "user", "content": "Say only: yes"}])
    assert answer.choices[0].finish_reason == "stop"


def test_chat_with_content_parts_and_system_message(client):
    messages = [{"role": "system", "content": "You are brief."},
                {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": " there"}]}]
    assert chat(client, messages=messages).choices[0].message.content


def test_streamed_chat_is_the_unstreamed_one(client):
    whole = chat(client)
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert all(chunk.object == "chat.completion.chunk" and chunk.id == chunks[0].id for chunk in chunks)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == whole.choices[0].finish_reason and not any(reasons[:-1])


def test_completion_defaults_to_sixteen_tokens(client):
    answer = complete(client, max_tokens=openai.NOT_GIVEN, extra_body={"ignore_eos": True})
    assert answer.usage.completion_tokens == 16 and answer.choices[0].finish_reason == "length"


def test_streamed_completion_carries_deltas(client):
    whole = complete(client).choices[0].text
    chunks = list(complete(client, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole


def test_a_list_of_prompts_and_token_ids(client):
    answer = complete(client, prompt=["One two three", "Red green blue"])
    assert [choice.index for choice in answer.choices] == [0, 1]
    ids = complete(client, prompt=[504, 3575, 282, 4649, 314])
    assert ids.choices[0].text == complete(client).choices[0].text


def test_echo_and_stop(client):
    assert complete(client, echo=True).choices[0].text.startswith("The capital of France is")
    stopped = complete(client, stop=["Paris"])
    assert "Paris" not in stopped.choices[0].text and stopped.choices[0].finish_reason == "stop"


def test_chat_log_probabilities(client):
    answer = chat(client, logprobs=True, top_logprobs=4)
    rows = answer.choices[0].logprobs.content
    assert len(rows) == answer.usage.completion_tokens or answer.choices[0].finish_reason == "stop"
    for row in rows:
        assert row.logprob <= 0 and len(row.top_logprobs) == 4
        assert row.top_logprobs[0].token == row.token
        assert bytes(row.bytes)
    assert b"".join(bytes(row.bytes) for row in rows).decode(errors="replace").startswith(answer.choices[0].message.content)


def test_completion_log_probabilities(client):
    logprobs = complete(client, logprobs=3).choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == len(logprobs.text_offset)
    assert all(len(top) >= 3 for top in logprobs.top_logprobs)


def test_n_gives_that_many_choices(client):
    answer = chat(client, n=3, temperature=1.0, seed=5)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) > 1
    greedy = chat(client, n=2)
    assert greedy.choices[0].message.content == greedy.choices[1].message.content == chat(client).choices[0].message.content
    streamed = list(chat(client, n=2, stream=True))
    texts = ["", ""]
    for chunk in streamed:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in greedy.choices]


def test_a_seed_repeats(client):
    answers = [chat(client, temperature=1.0, seed=7).choices[0].message.content for _ in range(3)]
    assert len(set(answers)) == 1


def test_sixteen_at_once(async_client):
    async def scenario():
        alone = (await chat(async_client)).choices[0].message.content
        answers = await asyncio.gather(*[chat(async_client) for _ in range(16)])
        assert {answer.choices[0].message.content for answer in answers} == {alone}
        await async_client.close()

    asyncio.run(scenario())


def test_cancelled_streams_free_their_tokens(server, async_client):
    async def one():
        stream = await chat(async_client, stream=True, max_tokens=4000, extra_body={"ignore_eos": True})
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.close()

    async def scenario():
        await asyncio.gather(*[one() for _ in range(16)])
        left = time.monotonic()
        while used := server.used_tokens():
            assert time.monotonic() - left < 1 * TIME_FACTOR, f"{used} tokens still used"
            await asyncio.sleep(0.02)
        await async_client.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("options, word", [
    ({"max_tokens": -1}, "max_tokens"), ({"temperature": -1}, "temperature"), ({"messages": []}, "messages"),
    ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"), ({"n": 500}, "n"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, "tools"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
])
def test_a_bad_request_is_the_clients_exception(client, options, word):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, **options)
    assert caught.value.status_code == 400 and word in str(caught.value)


def test_a_wrong_key_is_the_clients_exception(start):
    locked = start("--api-key", "a-key")
    good = openai.OpenAI(base_url=locked.url + "/v1", api_key="a-key", max_retries=0)
    assert chat(good, max_tokens=1).choices
    with pytest.raises(openai.AuthenticationError):
        chat(openai.OpenAI(base_url=locked.url + "/v1", api_key="another", max_retries=0))


def test_a_full_server_is_retried_by_the_client(start):
    busy = start("--max-running-requests", "1", "--max-queued-requests", "1")
    client = openai.AsyncOpenAI(base_url=busy.url + "/v1", api_key="none", max_retries=20, timeout=120)

    async def scenario():
        answers = await asyncio.gather(*[chat(client, max_tokens=8) for _ in range(6)])
        assert len({answer.choices[0].message.content for answer in answers}) == 1
        await client.close()

    asyncio.run(scenario())
