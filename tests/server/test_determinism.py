"""A request's tokens depend on nothing but the request: not on company, chunking, caching, or replay."""
import asyncio

import pytest

from prompts import QUESTIONS, token_ids, words
from sockets import generate, generate_ids

TOKENS = 40
# Lengths on both sides of buckets, pages and chunks.
PROMPTS = list(QUESTIONS) + [words(63, 1), words(150, 2), words(700, 3)]
DTYPES = [(), ("--dtype", "float32")]
NAMES = ["integer", "float32"]


async def all_ids(server, at_once):
    if at_once:
        return await asyncio.gather(*[generate_ids(server, prompt, TOKENS) for prompt in PROMPTS])
    return [await generate_ids(server, prompt, TOKENS) for prompt in PROMPTS]


@pytest.fixture(scope="module", params=DTYPES, ids=NAMES)
def path(request, start):
    """(flags, server, the tokens that each prompt has alone on a fresh server)."""
    server = start(*request.param)
    return request.param, server, asyncio.run(all_ids(server, at_once=False))


def test_tokens_are_the_same_in_company(path):
    _, server, expected = path
    assert server.post("/flush_cache", {})[0] == 200
    assert asyncio.run(all_ids(server, at_once=True)) == expected


def test_tokens_are_the_same_after_a_prefix_hit(path):
    _, server, expected = path

    async def scenario():
        again = await generate(server, PROMPTS[-1], TOKENS)
        assert again["meta_info"]["cached_tokens"] > 0
        assert again["output_ids"] == expected[-1]
        assert await all_ids(server, at_once=True) == expected

    asyncio.run(scenario())


@pytest.mark.parametrize("flags", [
    ("--chunked-prefill-size", "64"), ("--chunked-prefill-size", "100"), ("--chunked-prefill-size", "-1"),
    ("--disable-radix-cache",), ("--max-running-requests", "2"), ("--page-size", "32"),
    ("--disable-cuda-graph", "--disable-piecewise-cuda-graph"),
], ids=lambda flags: " ".join(flags))
def test_tokens_are_the_same_under_other_flags(path, start, flags):
    dtype, _, expected = path
    server = start(*dtype, *flags)
    assert asyncio.run(all_ids(server, at_once=True)) == expected
    server.kill()


def test_a_seed_gives_the_same_tokens_and_no_seed_gives_others(path):
    _, server, _ = path

    async def sample(**sampling):
        body = {"temperature": 1.0, "top_p": 0.95, **sampling}
        return await generate_ids(server, "Once upon a time", TOKENS, **body)

    async def scenario():
        first = await sample(seed=11)
        together = await asyncio.gather(*[sample(seed=11) for _ in range(5)])
        assert all(ids == first for ids in together)
        assert await sample(seed=12) != first
        assert len({tuple(await sample()) for _ in range(4)}) > 1

    asyncio.run(scenario())


def test_a_batch_has_the_tokens_that_its_parts_have(path):
    _, server, expected = path
    body = {"text": PROMPTS, "sampling_params": {"max_new_tokens": TOKENS, "temperature": 0, "ignore_eos": True}}
    assert [answer["output_ids"] for answer in server.post_json("/generate", body)] == expected


def test_random_token_ids_of_all_bucket_edges_agree_alone_and_together(path):
    _, server, _ = path
    prompts = [token_ids(length, length) for length in (1, 2, 3, 4, 5, 31, 32, 33, 47, 48, 49, 255, 256, 257, 511, 512, 513)]

    async def scenario():
        alone = [await generate_ids(server, prompt, 4) for prompt in prompts]
        assert server.post("/flush_cache", {})[0] == 200
        assert await asyncio.gather(*[generate_ids(server, prompt, 4) for prompt in prompts]) == alone

    asyncio.run(scenario())
