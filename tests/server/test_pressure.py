"""Too little memory, too many requests."""
import asyncio
import http.client
import json
import pathlib
import re

import pytest

from prompts import words
from sockets import generate_body, generate_ids, post

PROMPT_WORDS, ANSWER = 110, 32
REQUESTS = 64


async def ids_of_all(server, prompts, tokens, at_once):
    gate = asyncio.Semaphore(at_once)

    async def one(prompt):
        async with gate:
            return await generate_ids(server, prompt, tokens)

    return await asyncio.gather(*[one(prompt) for prompt in prompts])


def test_with_a_quarter_of_the_memory_all_finish_with_the_tokens_they_have_alone(start):
    prompts = [words(PROMPT_WORDS, seed) for seed in range(REQUESTS)]
    need = REQUESTS * (PROMPT_WORDS + ANSWER)
    roomy = start()
    expected = asyncio.run(ids_of_all(roomy, prompts, ANSWER, at_once=1))
    roomy.kill()
    tight = start("--max-total-tokens", str(need // 4), "--max-running-requests", str(REQUESTS))
    assert tight.load()["max_total_num_tokens"] <= need // 4 + 16
    got = asyncio.run(ids_of_all(tight, prompts, ANSWER, at_once=REQUESTS))
    assert got == expected
    assert tight.load()["num_used_tokens"] == 0


def test_a_request_that_never_fits_is_a_400_at_once(start):
    small = start("--max-total-tokens", "512")
    status, _, body = small.post("/generate", generate_body(words(200, 1), 1000))
    assert status == 400, body
    assert b"512" in body


def test_a_full_queue_answers_503_with_retry_after_and_the_rest_finish(start):
    server = start("--max-running-requests", "2", "--max-queued-requests", "4")

    async def scenario():
        alone = await generate_ids(server, "The river", 60)
        answers = await asyncio.gather(*[post(server, "/generate", generate_body("The river", 60)) for _ in range(24)])
        served = [answer for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status == 503]
        assert len(served) + len(refused) == 24
        assert len(served) >= 6 and refused, f"{len(served)} served, {len(refused)} refused"
        for answer in served:
            assert answer.json()["output_ids"] == alone
        for answer in refused:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["code"] == 503
        assert await generate_ids(server, "The river", 60) == alone

    asyncio.run(scenario())


@pytest.mark.parametrize("flags", [("--schedule-policy", "fcfs"), ("--schedule-policy", "lpm"), ("--disable-radix-cache",)])
def test_more_requests_than_run_at_once_finish_under_each_policy(start, flags):
    server = start("--max-running-requests", "3", *flags)
    prompts = [words(30, seed) for seed in range(12)]
    got = asyncio.run(ids_of_all(server, prompts, 16, at_once=12))
    assert [len(ids) for ids in got] == [16] * 12


def resident_bytes(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


@pytest.mark.timing  # a sanitizer keeps what was freed
def test_memory_is_flat_over_two_thousand_requests(start):
    server = start("--max-total-tokens", "2048")
    connection = http.client.HTTPConnection(server.host, server.port, timeout=600)

    def ask(count, first):
        for index in range(first, first + count):
            body = {**generate_body(words(12, index), 1), "stream": index % 2 == 0}
            connection.request("POST", "/generate", json.dumps(body), {"Content-Type": "application/json"})
            assert connection.getresponse().read()

    ask(500, 0)  # every page of the cache is touched, every bucket captured
    before = resident_bytes(server)
    ask(1500, 500)
    assert resident_bytes(server) - before < 4 << 20
    assert server.used_tokens() == 0
    connection.close()
    server.kill()
