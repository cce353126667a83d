"""Flags, files and ports that are wrong: exit code 1 and one sentence that says what and where."""
import os
import shutil
import socket

import pytest

from running_server import PULL_REQUEST_FLAGS, free_port, run_musaic


def assert_one_sentence(run, *words):
    assert run.returncode == 1, (run.returncode, run.stderr[-1000:])
    lines = [line for line in run.stderr.splitlines() if line.strip()]
    assert lines, "nothing was said"
    for word in words:
        assert word in lines[-1], lines[-1]
    for noise in ("terminate called", "what():", "Sanitizer", "Segmentation"):
        assert noise not in run.stderr
    return lines[-1]


def serve(model, *flags):
    return run_musaic("serve", "--model-path", str(model), "--port", str(free_port()), *flags)


@pytest.fixture
def changed_model(model, tmp_path):
    """A copy of the model in which `old` of its head is `new` (of the same length), cut to `size` bytes if given."""

    def change(old=None, new=None, size=None):
        path = tmp_path / "changed model.gguf"
        shutil.copyfile(model, path)
        with open(path, "r+b") as file:
            if old is not None:
                assert len(old) == len(new)
                position = file.read(8 << 20).index(old)
                file.seek(position)
                file.write(new)
            if size is not None:
                file.truncate(size)
        return path

    return change


def test_a_port_in_use_is_one_sentence(model):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = run_musaic("serve", "--model-path", model, "--port", str(port))
        assert_one_sentence(run, str(port))


@pytest.mark.parametrize("flag, near", [
    ("--max-total-token", "--max-total-tokens"), ("--chunked-prefil-size", "--chunked-prefill-size"),
    ("--modelpath", "--model-path"), ("--disable-radix-cahce", "--disable-radix-cache"),
])
def test_an_unknown_flag_suggests_the_nearest(model, flag, near):
    run = serve(model, flag, "1")
    assert run.returncode != 0
    assert flag in run.stderr and near in run.stderr


@pytest.mark.parametrize("flags, word", [
    (("--port", "99999"), "port"), (("--port", "x"), "port"), (("--dtype", "int3"), "dtype"),
    (("--device", "toaster"), "device"), (("--schedule-policy", "random"), "schedule-policy"),
    (("--max-running-requests", "0"), "max-running-requests"), (("--page-size", "-1"), "page-size"),
    (("--cuda-graph-bs", "x"), "cuda-graph-bs"), (("--context-length", "-5"), "context-length"),
    (("--mem-fraction-static", "7"), "mem-fraction-static"), (("--cpu-isa", "sse9"), "cpu-isa"),
    (("--host", "999.1.2.3"), "999.1.2.3"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else value)
def test_a_flag_out_of_range_is_named(model, flags, word):
    run = serve(model, *flags)
    assert run.returncode not in (0, -6, -11)
    assert word in run.stderr


def test_a_missing_file_is_named():
    assert_one_sentence(serve("/nowhere/model.gguf"), "/nowhere/model.gguf")


def test_an_uncached_hub_name_gives_the_download_command(tmp_path):
    run = run_musaic("serve", "--model-path", "some-org/some-model", env={**os.environ, "HF_HOME": str(tmp_path)})
    assert_one_sentence(run, "download", "some-org/some-model")


@pytest.mark.parametrize("size", [0, 3, 24, 1000, 1 << 20, 50_000_000])
def test_a_truncated_gguf_is_named(changed_model, size):
    assert_one_sentence(serve(changed_model(size=size)), "changed model.gguf")


@pytest.mark.parametrize("old, new, words", [
    (b"GGUF", b"FUGG", ("GGUF",)),
    (b"GGUF\x03\x00\x00\x00", b"GGUF\x09\x00\x00\x00", ("9",)),
    (b"\x05\x00\x00\x00\x00\x00\x00\x00llama", b"\x05\x00\x00\x00\x00\x00\x00\x00mamba", ("mamba",)),
    (b"blk.3.attn_q.weight", b"blk.3.attn_x.weight", ("blk.3.attn_q.weight",)),
    (b"blk.3.attn_q.weight\x02\x00\x00\x00\x40\x02", b"blk.3.attn_q.weight\x02\x00\x00\x00\x20\x02", ("blk.3.attn_q.weight",)),
], ids=["magic", "version", "architecture", "missing tensor", "wrong shape"])
def test_a_corrupt_gguf_is_one_sentence(changed_model, old, new, words):
    assert_one_sentence(serve(changed_model(old, new)), *words)


def test_a_file_of_noise_is_one_sentence(tmp_path):
    path = tmp_path / "noise.gguf"
    path.write_bytes(os.urandom(100_000))
    assert_one_sentence(serve(path), "noise.gguf")


def test_an_empty_folder_is_one_sentence(tmp_path):
    assert_one_sentence(serve(tmp_path), str(tmp_path))


def test_too_little_memory_is_one_sentence(model):
    assert_one_sentence(serve(model, "--max-total-tokens", "4000000000"), "memory")


def test_the_pull_requests_flags_start_a_server_that_names_what_it_uses_instead(start):
    server = start(*PULL_REQUEST_FLAGS)
    assert "fa3" in server.log()
    assert server.get_json("/model_info")["served_model_name"] == "deepseek"
    assert server.get_json("/v1/models")["data"][0]["id"] == "deepseek"


def test_launch_server_is_the_same_verb():
    for verb in ("serve", "launch_server"):
        run = run_musaic(verb, "--help")
        assert run.returncode == 0 and "--model-path" in run.stdout


@pytest.mark.parametrize("verb", ["serve", "generate", "chat", "graph", "bench"])
def test_each_verb_has_help(verb):
    run = run_musaic(verb, "--help")
    assert run.returncode == 0 and len(run.stdout) > 100


def test_version_names_backends_and_instruction_sets():
    run = run_musaic("--version")
    assert run.returncode == 0
    assert "cpu" in run.stdout.lower()


def test_the_log_has_the_url_and_a_curl_line(start):
    server = start()
    assert server.url in server.log() and "curl" in server.log()
