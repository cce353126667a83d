"""Overlapping steps and the defaults of devices with memory of their own, on whole servers."""
import concurrent.futures

import pytest

from prompts import QUESTIONS, words

PROMPTS = list(QUESTIONS) + [words(60, 2), words(7, 3)]


def generate(server, prompt, **sampling):
    sampling = {"max_new_tokens": 24, "temperature": 0, **sampling}
    return server.post_json("/generate", {"text": prompt, "sampling_params": sampling})


def answers(server):
    """Texts and tokens of many kinds of requests at once."""
    kinds = [{}, {"temperature": 0.8, "sampling_seed": 5, "seed": 5}, {"stop": ["the", "\n"]}, {"max_new_tokens": 1},
             {"max_new_tokens": 0}, {"frequency_penalty": 1.2}, {"ignore_eos": True, "stop": ["."], "no_stop_trim": True}]
    asked = [(prompt, kind) for prompt in PROMPTS for kind in kinds]
    with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
        got = list(pool.map(lambda one: generate(server, one[0], **one[1]), asked))
    return [(one["text"], one["output_ids"], one["meta_info"]["finish_reason"], one["meta_info"]["completion_tokens"])
            for one in got]


@pytest.mark.parametrize("device", ["cpu", "simulated"])
def test_overlapping_steps_give_the_answers_of_steps_one_by_one(start, device):
    flags = ("--device", device, "--max-total-tokens", "8192", "--page-size", "16", "--kv-cache-dtype", "float16")
    plain = start(*flags, "--disable-overlap-schedule")
    assert plain.get_json("/server_info")["disable_overlap_schedule"] is True
    expected = answers(plain)
    plain.kill()
    server = start(*flags, "--enable-overlap-schedule")
    assert server.get_json("/server_info")["disable_overlap_schedule"] is False
    assert answers(server) == expected
    assert server.used_tokens() == 0
    server.kill()


def test_a_device_with_memory_of_its_own_has_a_gpus_defaults(start):
    server = start("--device", "simulated", "--max-total-tokens", "4096")
    info = server.get_json("/server_info")
    assert (info["page_size"], info["max_running_requests"], info["max_queued_requests"]) == (64, 256, 4096)
    assert info["chunked_prefill_size"] == 8192 and info["kv_cache_dtype"] == "bf16"
    assert info["disable_overlap_schedule"] is False
    assert generate(server, QUESTIONS[0])["meta_info"]["completion_tokens"] > 0
    server.kill()
