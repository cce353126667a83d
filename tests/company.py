"""Streams that run while something else is tested, and whose tokens must not change meanwhile."""
import asyncio
import threading

from prompts import QUESTIONS
from sockets import Stream, generate_body, generate_ids

TOKENS = 48


class Company:
    """Four clients in a thread of their own, each streaming its question over and over until stop()."""

    def __init__(self, server):
        self.server = server
        self.expected = asyncio.run(self.answers_alone())
        self.failure = None
        self.rounds = 0
        self.events = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()), daemon=True)
        self.thread.start()

    async def answers_alone(self):
        return [await generate_ids(self.server, question, TOKENS) for question in QUESTIONS]

    async def run(self):
        try:
            await asyncio.gather(*[self.ask_again(i) for i in range(len(QUESTIONS))])
        except BaseException as error:  # shown by check() in the thread of the test
            self.failure = error

    async def ask_again(self, index):
        while not self.stopping.is_set():
            ids = []
            async with Stream(self.server, "/generate", generate_body(QUESTIONS[index], TOKENS)) as stream:
                async for event in stream:
                    self.events += 1
                    ids = event["output_ids"]
            assert ids == self.expected[index], f"stream {index}: {ids} instead of {self.expected[index]}"
            self.rounds += 1

    def check(self):
        assert self.failure is None, f"a stream in company failed: {self.failure!r}"
        assert self.server.alive(), f"the server ended:\n{self.server.log()}"

    def stop(self):
        self.stopping.set()
        self.thread.join(120)
        self.check()
        assert self.rounds >= len(QUESTIONS)
