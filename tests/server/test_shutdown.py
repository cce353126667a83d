"""SIGTERM drains, a second one ends at once."""
import asyncio
import signal
import time

from prompts import words
from running_server import TIME_FACTOR
from sockets import Stream, generate_body, generate_ids, post


async def until(condition, seconds=20):
    deadline = time.monotonic() + seconds * TIME_FACTOR
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        await asyncio.sleep(0.01)


async def until_refused(server):
    """A request that overtakes the signal's thread is served; then the answer is 503 or nobody listens."""
    deadline = time.monotonic() + 20 * TIME_FACTOR
    while time.monotonic() < deadline:
        try:
            answer = await post(server, "/generate", generate_body("x", 1))
        except OSError:
            return
        assert answer.status in (200, 503), answer.body
        if answer.status == 503:
            return
    raise AssertionError("new requests are still served after SIGTERM")


def test_sigterm_lets_sixteen_streams_finish_and_exits_with_0(start):
    server = start()
    tokens = 150

    async def one(index, begun):
        async with Stream(server, "/generate", generate_body(words(20, index), tokens)) as stream:
            async for event in stream:
                begun.add(index)
            return event["output_ids"], event["meta_info"]["finish_reason"]["type"]

    async def scenario():
        expected = [await generate_ids(server, words(20, 0), tokens), await generate_ids(server, words(20, 15), tokens)]
        begun = set()
        tasks = [asyncio.create_task(one(i, begun)) for i in range(16)]
        await until(lambda: len(begun) == 16)
        server.terminate()
        await until_refused(server)
        answers = await asyncio.gather(*tasks)
        assert [(len(ids), why) for ids, why in answers] == [(tokens, "length")] * 16
        assert [answers[0][0], answers[15][0]] == expected

    asyncio.run(scenario())
    assert server.wait(20) == 0, server.log()


def test_an_idle_server_ends_at_once_with_0(start):
    for number in (signal.SIGTERM, signal.SIGINT):
        server = start()
        started = time.monotonic()
        server.process.send_signal(number)
        assert server.wait(10) == 0, server.log()
        assert time.monotonic() - started < 2 * TIME_FACTOR


def test_idle_connections_do_not_hold_a_draining_server(start):
    server = start()

    async def scenario():
        connections = [await asyncio.open_connection(server.host, server.port) for _ in range(20)]
        server.terminate()
        await asyncio.to_thread(server.wait, 10)
        for _, writer in connections:
            writer.close()

    asyncio.run(scenario())
    assert server.process.returncode == 0, server.log()


def test_a_second_signal_ends_at_once(start):
    server = start()

    async def scenario():
        async with Stream(server, "/generate", generate_body(words(20, 1), 7000)) as stream:
            async for _ in stream:
                if len(stream.times) == 3:
                    server.terminate()
                if len(stream.times) == 6:
                    assert server.alive(), "the first signal did not drain"
                    server.terminate()
                    break
            started = time.monotonic()
            await asyncio.to_thread(server.wait, 10)
            assert time.monotonic() - started < 2 * TIME_FACTOR

    asyncio.run(scenario())
    assert server.process.returncode == 130
