"""A `musaic serve` process on a free port, for tests. MUSAIC_BINARY tests another build than build/musaic."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Sanitizers slow everything down; scripts/sanitize.sh sets this.
TIME_FACTOR = float(os.environ.get("MUSAIC_TIME_FACTOR", "1"))
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

# How the model of SGLang's pull request is launched; a server must take these flags as they stand.
PULL_REQUEST_FLAGS = (
    "--served-model-name deepseek --mem-fraction-static 0.5 --disable-overlap-schedule --attention-backend fa3 "
    "--cuda-graph-bs 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 --chunked-prefill-size -1 --disable-radix-cache "
    "--piecewise-cuda-graph-max-tokens 2048"
).split()


def binary():
    return os.environ.get("MUSAIC_BINARY") or str(ROOT / "build" / "musaic")


def default_model():
    """The path of the default model, or None where it was never fetched."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = os.environ.get("MUSAIC_DEFAULT_MODEL") or os.path.join(cache, "musaic", "models", MODEL_FILE)
    return path if os.path.exists(path) else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_musaic(*arguments, timeout=60, **options):
    """Runs the program to its end; stdout and stderr are text."""
    return subprocess.run([binary(), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=timeout * TIME_FACTOR, **options)


class RunningServer:
    def __init__(self, model, *flags, port=None, environment=None):
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.url = f"http://{self.host}:{self.port}"
        self.log_file = tempfile.NamedTemporaryFile(prefix="musaic-", suffix=".log", delete=False)
        command = [binary(), "serve", "--model-path", model, "--host", self.host, "--port", str(self.port), *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file,
                                        env={**os.environ, **(environment or {})})

    def log(self):
        return pathlib.Path(self.log_file.name).read_text(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def wait_until_ready(self, timeout=60):
        deadline = time.monotonic() + timeout * TIME_FACTOR
        while time.monotonic() < deadline:
            if not self.alive():
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log()}")
            try:
                if self.get("/health", timeout=2)[0] == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"the server was not ready after {timeout} s:\n{self.log()}")

    def request(self, method, path, body=None, headers=None, timeout=120):
        """(status, headers in lower case, body bytes) of one request on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout * TIME_FACTOR)
        try:
            if body is not None and not isinstance(body, bytes):
                body = json.dumps(body).encode()
            all_headers = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body, all_headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def get_json(self, path, **options):
        status, _, body = self.get(path, **options)
        assert status == 200, f"GET {path}: {status} {body[:300]!r}"
        return json.loads(body)

    def post(self, path, body, **options):
        return self.request("POST", path, body, **options)

    def post_json(self, path, body, **options):
        status, _, answer = self.post(path, body, **options)
        assert status == 200, f"POST {path}: {status} {answer[:300]!r}"
        return json.loads(answer)

    def load(self):
        """The first entry of /v1/loads."""
        return self.get_json("/v1/loads")["loads"][0]

    def used_tokens(self):
        return self.load()["num_used_tokens"]

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout=60):
        """The exit code."""
        return self.process.wait(timeout * TIME_FACTOR)

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait()
        self.forget_log()

    def end(self):
        """Ends it in order, so that a sanitizer can report; fails if it has something to report."""
        for _ in range(2):  # the second signal does not wait for requests
            if self.alive():
                self.terminate()
                try:
                    self.process.wait(3 * TIME_FACTOR)
                except subprocess.TimeoutExpired:
                    pass
        log = self.log() if os.path.exists(self.log_file.name) else ""
        self.kill()
        assert "Sanitizer" not in log and "runtime error:" not in log, log[-6000:]

    def forget_log(self):
        self.log_file.close()
        pathlib.Path(self.log_file.name).unlink(missing_ok=True)
