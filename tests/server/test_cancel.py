"""Clients that go away, or do not read, take nothing with them."""
import asyncio
import time

import pytest

from prompts import QUESTIONS, words
from running_server import TIME_FACTOR
from sockets import Stream, generate_body, generate_ids, post


async def seconds_until_unused(server, limit):
    started = time.monotonic()
    while (used := server.used_tokens()) != 0:
        assert time.monotonic() - started < limit, f"{used} tokens still used after {limit} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def test_a_hundred_streams_cancelled_midway_free_their_tokens_within_a_second(server):
    async def start_and_leave(index):
        async with Stream(server, "/generate", generate_body(words(20, index), 2000)) as stream:
            async for _ in stream:
                if index % 3:
                    break  # some have begun, the rest wait in the queue
            stream.abort()

    async def scenario():
        tasks = [asyncio.create_task(start_and_leave(i)) for i in range(100)]
        await asyncio.wait(tasks, timeout=5 * TIME_FACTOR)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await seconds_until_unused(server, 1 * TIME_FACTOR)

    asyncio.run(scenario())
    assert server.alive()
    assert server.load()["num_running_reqs"] == 0 and server.load()["num_waiting_reqs"] == 0


def test_a_client_that_leaves_an_unstreamed_request_frees_it_too(server):
    async def scenario():
        with pytest.raises(asyncio.TimeoutError):
            await post(server, "/generate", generate_body(words(20, 1), 4000), timeout=1)
        await seconds_until_unused(server, 1 * TIME_FACTOR)

    asyncio.run(scenario())


def test_abort_request_ends_a_request_by_its_rid(server):
    async def scenario():
        body = {**generate_body(words(20, 2), 4000), "rid": "to-be-ended"}
        finish = None
        async with Stream(server, "/generate", body) as stream:
            async for event in stream:
                finish = event["meta_info"]["finish_reason"]
                if len(stream.times) == 3:
                    assert (await post(server, "/abort_request", {"rid": "to-be-ended"})).status == 200
        assert finish["type"] == "abort"
        await seconds_until_unused(server, 1 * TIME_FACTOR)

    asyncio.run(scenario())


def test_abort_all_ends_all(server):
    async def scenario():
        async def wait_for_end(index):
            async with Stream(server, "/generate", generate_body(words(20, index), 4000)) as stream:
                return [event["meta_info"]["finish_reason"] async for event in stream][-1]["type"]

        tasks = [asyncio.create_task(wait_for_end(i)) for i in range(8)]
        await asyncio.sleep(1)
        assert (await post(server, "/abort_request", {"abort_all": True})).status == 200
        assert await asyncio.wait_for(asyncio.gather(*tasks), 10 * TIME_FACTOR) == ["abort"] * 8
        await seconds_until_unused(server, 1 * TIME_FACTOR)

    asyncio.run(scenario())


def test_a_client_that_does_not_read_holds_nobody_up(server):
    async def scenario():
        alone = await generate_ids(server, QUESTIONS[0], 32)
        lazy = [Stream(server, "/generate", generate_body(words(20, i), 3000)) for i in range(4)]
        for stream in lazy:
            await stream.__aenter__()
        await asyncio.sleep(0.5)
        assert await asyncio.wait_for(generate_ids(server, QUESTIONS[0], 32), 30 * TIME_FACTOR) == alone
        for stream in lazy:
            stream.abort()
        await seconds_until_unused(server, 1 * TIME_FACTOR)

    asyncio.run(scenario())
