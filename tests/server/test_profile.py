"""Traces of steps: --profile, /start_profile and /stop_profile."""
import json

import pytest

from prompts import QUESTIONS, words
from running_server import run_musaic

SLACK = 0.01  # microseconds: times are whole nanoseconds


def generate(server, prompt, tokens):
    sampling = {"max_new_tokens": tokens, "temperature": 0, "ignore_eos": True}
    return server.post_json("/generate", {"text": prompt, "sampling_params": sampling})


def rows_of(path):
    """{row: its spans in order}; checks that spans of a row do not overlap."""
    events = json.loads(path.read_text())["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    rows = {name: [] for name in names.values()}
    for event in events:
        if event["ph"] == "X":
            rows[names[event["tid"]]].append(event)
    for row in rows.values():
        row.sort(key=lambda span: span["ts"])
        for span, following in zip(row, row[1:]):
            assert span["ts"] + span["dur"] <= following["ts"] + SLACK, (span, following)
    return rows


def is_inside(span, outer):
    return outer["ts"] <= span["ts"] + SLACK and span["ts"] + span["dur"] <= outer["ts"] + outer["dur"] + SLACK


def check_trace(path, num_steps=None):
    rows = rows_of(path)
    assert list(rows) == ["scheduler", "steps", "pieces", "breaks"]
    for span in rows["pieces"] + rows["breaks"]:
        assert sum(is_inside(span, step) for step in rows["steps"]) == 1, span
    scheduler = [span["name"] for span in rows["scheduler"]]
    assert set(scheduler) == {"schedule", "launch", "collect", "commit"}
    if num_steps is not None:
        assert len(rows["steps"]) == num_steps and scheduler.count("launch") >= num_steps
    return rows


@pytest.fixture(params=["cpu", "simulated"])
def device(request):
    return request.param


def test_a_trace_of_the_whole_run_has_pieces_breaks_and_scheduler_on_their_own_rows(start, tmp_path, device):
    path = tmp_path / "run.json"
    server = start("--device", device, "--max-total-tokens", "4096", "--profile", str(path))
    generate(server, words(30, 1), 4)
    generate(server, QUESTIONS[0], 3)
    server.terminate()
    assert server.wait() == 0
    rows = check_trace(path, num_steps=7)
    extend = [span for span in rows["pieces"] if span["name"].startswith("extend piece ")]
    total = int(extend[0]["name"].split()[-1])
    assert [span["name"] for span in extend] == [f"extend piece {i + 1} of {total}" for i in range(total)] * 2
    assert len(rows["breaks"]) == 2 * (total - 1)
    for span in rows["pieces"]:
        assert span["args"]["mode"] == "replayed" and span["args"]["launches"] > 0 and span["args"]["bucket"] > 0
    assert sum(step["name"].startswith("decode ") for step in rows["steps"]) == 5


@pytest.mark.parametrize("overlaps", [True, False])
def test_the_trace_shows_whether_a_step_is_launched_before_the_one_before_is_read(start, tmp_path, overlaps):
    path = tmp_path / "order.json"
    server = start("--max-total-tokens", "4096", "--profile", str(path),
                   "--enable-overlap-schedule" if overlaps else "--disable-overlap-schedule")
    generate(server, QUESTIONS[0], 6)
    server.terminate()
    assert server.wait() == 0
    order = [span["name"] for span in check_trace(path, num_steps=6)["scheduler"] if span["name"] in ("launch", "collect")]
    if overlaps:
        assert order == ["launch"] + ["launch", "collect"] * 5 + ["collect"]
    else:
        assert order == ["launch", "collect"] * 6


def test_eager_steps_are_traced_too(start, tmp_path):
    path = tmp_path / "eager.json"
    server = start("--disable-cuda-graph", "--profile", str(path))
    generate(server, QUESTIONS[0], 3)
    server.terminate()
    assert server.wait() == 0
    rows = check_trace(path, num_steps=3)
    assert {span["args"]["mode"] for span in rows["pieces"]} == {"eager"}
    assert rows["steps"][0]["args"]["reason"] == "graphs_disabled"


def test_a_profile_is_started_and_stopped_over_http(server, tmp_path):
    generate(server, QUESTIONS[0], 2)
    status, _, body = server.post("/start_profile", {"output_dir": str(tmp_path), "num_steps": 3})
    assert status == 200
    first = body.decode().split("\n")[1]
    assert server.post("/start_profile", {})[0] == 400, "one at a time"
    generate(server, QUESTIONS[1], 6)
    check_trace(tmp_path / first.rsplit("/")[-1], num_steps=3)  # complete before it is stopped
    status, _, body = server.request("GET", "/stop_profile")
    assert status == 200 and body.decode().split("\n")[1] == first
    assert server.post("/stop_profile", {})[0] == 400

    status, _, body = server.post("/start_profile", {"output_dir": str(tmp_path)})
    generate(server, QUESTIONS[2], 4)
    assert server.post("/stop_profile", {})[0] == 200
    generate(server, QUESTIONS[3], 2)
    check_trace(tmp_path / body.decode().split("\n")[1].rsplit("/")[-1], num_steps=4)


def test_a_profile_that_cannot_be_written_is_told(server, tmp_path):
    status, _, body = server.post("/start_profile", {"output_dir": str(tmp_path / "nowhere")})
    assert status == 400 and "nowhere" in json.loads(body)["error"]["message"]
    status, _, body = server.post("/start_profile", {"with_stack": True})
    assert status == 400 and "with_stack" in json.loads(body)["error"]["message"]
    taken = tmp_path / "taken.json"
    taken.write_text("mine")
    ended = run_musaic("serve", "--profile", str(taken))
    assert ended.returncode == 1 and "taken.json" in ended.stderr and taken.read_text() == "mine"
