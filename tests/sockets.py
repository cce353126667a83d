"""A client on raw sockets: it can send what no library would, and end when it likes."""
import asyncio
import json
import time

from running_server import TIME_FACTOR

TIMEOUT = 120 * TIME_FACTOR


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)


def post_bytes(path, body, headers=()):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: test", "Content-Type: application/json", f"Content-Length: {len(data)}",
             "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


async def read_head(reader):
    status_line = await reader.readline()
    if not status_line:
        return None, {}
    headers = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(status_line.split()[1]), headers


async def read_chunks(reader):
    while size := int((await reader.readline()).split(b";")[0] or b"0", 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)


async def read_body(reader, headers):
    if "chunked" in headers.get("transfer-encoding", ""):
        return b"".join([chunk async for chunk in read_chunks(reader)])
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read()


async def exchange(server, raw, timeout=TIMEOUT):
    """Sends bytes as they are; the Answer, or None when the server only closed the connection."""

    async def talk():
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=1 << 24)
        try:
            try:
                writer.write(raw)
                await writer.drain()
            except ConnectionError:
                pass  # it may answer and close before it has read all
            try:
                status, headers = await read_head(reader)
                return None if status is None else Answer(status, headers, await read_body(reader, headers))
            except (ConnectionError, asyncio.IncompleteReadError):
                return None
        finally:
            writer.close()

    return await asyncio.wait_for(talk(), timeout)


async def post(server, path, body, headers=(), timeout=TIMEOUT):
    return await exchange(server, post_bytes(path, body, headers), timeout)


class Stream:
    """One streamed POST: `async for event in stream`; .times holds when each event came."""

    def __init__(self, server, path, body):
        self.server, self.path, self.body = server, path, body
        self.times = []
        self.status = None
        self.writer = None

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(self.server.host, self.server.port, limit=1 << 24)
        self.started = time.monotonic()
        self.writer.write(post_bytes(self.path, {**self.body, "stream": True}))
        await self.writer.drain()
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def events(self):
        self.status, headers = await asyncio.wait_for(read_head(self.reader), TIMEOUT)
        if self.status != 200:
            raise AssertionError(f"{self.status}: {await read_body(self.reader, headers)!r}")
        rest = b""
        async for chunk in read_chunks(self.reader):
            rest += chunk
            while (end := rest.find(b"\n\n")) >= 0:
                line, rest = rest[:end], rest[end + 2:]
                assert line.startswith(b"data:"), line
                if line[5:].strip() == b"[DONE]":
                    return
                self.times.append(time.monotonic())
                yield json.loads(line[5:])
        raise AssertionError(f"the stream ended without [DONE]; left: {rest!r}")

    def __aiter__(self):
        return self.events()

    def abort(self):
        """Goes away without a word, as a killed client does."""
        self.writer.transport.abort()


def generate_body(prompt, tokens, **sampling):
    """A greedy /generate request of exactly `tokens` tokens; `prompt` is text or token ids."""
    key = "text" if isinstance(prompt, str) else "input_ids"
    return {key: prompt, "sampling_params": {"max_new_tokens": tokens, "temperature": 0, "ignore_eos": True, **sampling}}


async def generate(server, prompt, tokens, **sampling):
    answer = await post(server, "/generate", generate_body(prompt, tokens, **sampling))
    assert answer.status == 200, (answer.status, answer.body[:500])
    return answer.json()


async def generate_ids(server, prompt, tokens, **sampling):
    return (await generate(server, prompt, tokens, **sampling))["output_ids"]
