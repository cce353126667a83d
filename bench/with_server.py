#!/usr/bin/env python3
"""Runs a command against a server that it starts and ends.

usage: with_server.py [--log FILE] -- SERVER... ::: CLIENT...
{port} and {url} in either part are filled in. The server is ready when GET /health answers 200. Prints to
stderr how long the start took; the exit code is the client's.
"""
import os
import socket
import subprocess
import sys
import time
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_ready(url):
    try:
        return urllib.request.urlopen(url + "/health", timeout=2).status == 200
    except OSError:
        return False


def parse(words):
    """(log file, server's command, client's command)"""
    log = os.devnull
    if words[:1] == ["--log"]:
        log, words = words[1], words[2:]
    if words[:1] != ["--"] or ":::" not in words:
        sys.exit(__doc__)
    cut = words.index(":::")
    return log, words[1:cut], words[cut + 1:]


def fill(command, port):
    return [word.replace("{port}", str(port)).replace("{url}", f"http://127.0.0.1:{port}") for word in command]


def main():
    log, server_command, client_command = parse(sys.argv[1:])
    port = free_port()
    started = time.monotonic()
    with open(log, "wb") as log_file:
        server = subprocess.Popen(fill(server_command, port), stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file)
    try:
        while not is_ready(f"http://127.0.0.1:{port}"):
            if server.poll() is not None or time.monotonic() - started > 120:
                sys.exit(f"with_server: the server is not ready; see {log}")
            time.sleep(0.005)
        print(f"ready after {time.monotonic() - started:.3f} s", file=sys.stderr)
        return subprocess.run(fill(client_command, port)).returncode
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


if __name__ == "__main__":
    sys.exit(main())
