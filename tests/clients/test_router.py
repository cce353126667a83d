"""Two servers behind the real sglang-router, policy power_of_two."""
import subprocess
import sys
import tempfile
import time

import openai
import pytest

from running_server import TIME_FACTOR, RunningServer, free_port


class Router(RunningServer):
    """The router's process, spoken to as if it were a server."""

    def __init__(self, workers):  # pylint: disable=super-init-not-called
        self.host, self.port = "127.0.0.1", free_port()
        self.url = f"http://{self.host}:{self.port}"
        self.log_file = tempfile.NamedTemporaryFile(prefix="router-", suffix=".log", delete=False)
        command = [sys.executable, "-m", "sglang_router.launch_router", "--policy", "power_of_two", "--host", self.host,
                   "--port", str(self.port), "--prometheus-port", str(free_port()),
                   "--worker-urls", *[worker.url for worker in workers]]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file)


@pytest.fixture(scope="module")
def workers(start):
    return [start(), start()]


@pytest.fixture(scope="module")
def router(workers):
    router = Router(workers)
    try:
        router.wait_until_ready()
        deadline = time.monotonic() + 60 * TIME_FACTOR
        while router.post("/generate", {"text": "x", "sampling_params": {"max_new_tokens": 1}})[0] != 200:
            assert time.monotonic() < deadline, router.log()
            time.sleep(0.2)
        yield router
    finally:
        router.kill()


@pytest.fixture(scope="module")
def client(router):
    return openai.OpenAI(base_url=router.url + "/v1", api_key="none", max_retries=0, timeout=120 * TIME_FACTOR)


def served_requests(worker):
    for line in worker.get("/metrics")[2].decode().splitlines():
        if line.startswith("sglang:num_requests_total"):
            return float(line.rpartition(" ")[2])
    return 0


def test_generate_is_the_same_through_the_router(router, workers):
    body = {"text": "The capital of France is", "sampling_params": {"max_new_tokens": 12, "temperature": 0}}
    assert router.post_json("/generate", body)["output_ids"] == workers[0].post_json("/generate", body)["output_ids"]


def test_chat_and_streams_pass_through(client):
    question = {"model": "default", "messages": [{"role": "user", "content": "Name a river."}], "temperature": 0, "max_tokens": 16}
    whole = client.chat.completions.create(**question).choices[0].message.content
    streamed = client.chat.completions.create(**question, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == whole
    text = client.completions.create(model="default", prompt="One, two,", max_tokens=8, temperature=0).choices[0].text
    assert text


def test_both_workers_take_their_part(router, workers):
    from concurrent.futures import ThreadPoolExecutor
    before = [served_requests(worker) for worker in workers]
    body = {"text": "Tell me of a river:", "sampling_params": {"max_new_tokens": 24, "temperature": 0}}
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: router.post_json("/generate", body)["output_ids"], range(32)))
    assert all(ids == answers[0] for ids in answers)
    shares = [served_requests(worker) - count for worker, count in zip(workers, before)]
    assert sum(shares) >= 32 and min(shares) > 0, shares


def test_a_bad_request_passes_back_as_a_400(client):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="default", messages=[{"role": "user", "content": "x"}], n=500)


def test_flush_cache_reaches_the_workers(router):
    assert router.post("/flush_cache", {})[0] == 200
