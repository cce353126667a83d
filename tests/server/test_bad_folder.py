"""Hugging Face folders that are wrong: exit code 1 and one sentence that says where."""
import json
import shutil

import pytest

from running_server import ROOT, free_port, run_musaic

TINY = ROOT / "tests" / "data" / "tiny" / "llama"
HEADER = 8  # bytes of a safetensors file that tell how long its header is


def refusal(folder):
    """The last line of what serve says about it."""
    run = run_musaic("serve", "--model-path", str(folder), "--skip-tokenizer-init", "--port", str(free_port()))
    assert run.returncode == 1, (run.returncode, run.stderr[-1000:])
    for noise in ("terminate called", "what():", "Sanitizer", "Segmentation"):
        assert noise not in run.stderr
    return [line for line in run.stderr.splitlines() if line.strip()][-1]


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "a model"
    shutil.copytree(TINY, copy)
    return copy


def change_header(folder, change):
    """Rewrites the header of model.safetensors after `change(header)`; the data stays as it is."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = int.from_bytes(content[:HEADER], "little")
    header = json.loads(content[HEADER:HEADER + size])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(HEADER, "little") + text + content[HEADER + size:])


def change_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("size", [0, 5, 100, 2500, 1_000_000])
def test_a_truncated_file_is_named(folder, size):
    with open(folder / "model.safetensors", "r+b") as file:
        file.truncate(size)
    assert "model.safetensors" in refusal(folder)


@pytest.mark.parametrize("head", [b"\xff" * HEADER, (1 << 40).to_bytes(HEADER, "little"), bytes(HEADER)],
                         ids=["all ones", "a terabyte", "nothing"])
def test_a_header_of_impossible_length_is_refused(folder, head):
    with open(folder / "model.safetensors", "r+b") as file:
        file.write(head)
    assert "model.safetensors" in refusal(folder)


def test_a_header_that_is_no_json_is_refused(folder):
    with open(folder / "model.safetensors", "r+b") as file:
        file.seek(HEADER)
        file.write(b"nonsense")
    assert "model.safetensors" in refusal(folder)


def test_a_missing_tensor_is_named(folder):
    name = "model.layers.0.self_attn.q_proj.weight"
    change_header(folder, lambda header: header.update({"another.weight": header.pop(name)}))
    assert name in refusal(folder)


def test_a_wrong_shape_is_named_with_what_was_expected(folder):
    name = "model.layers.0.input_layernorm.weight"
    change_header(folder, lambda header: header[name].update(shape=[2, 128]))
    sentence = refusal(folder)
    assert name in sentence and "128" in sentence and "256" in sentence


def test_offsets_beyond_the_file_are_refused(folder):
    change_header(folder, lambda header: header["lm_head.weight"].update(data_offsets=[1 << 40, (1 << 40) + 262144]))
    assert "lm_head.weight" in refusal(folder)


def test_a_dtype_that_nobody_knows_is_named(folder):
    change_header(folder, lambda header: header["lm_head.weight"].update(dtype="Q3"))
    assert "Q3" in refusal(folder)


@pytest.mark.parametrize("values, word", [
    ({"model_type": "mamba"}, "mamba"),
    ({"quantization_config": {"quant_method": "awq"}}, "awq"),
    ({"hidden_size": "wide"}, "hidden_size"),
    ({"num_attention_heads": 0}, "num_attention_heads"),
    ({"rope_parameters": {"rope_type": "spiral", "factor": 2.0}}, "spiral"),
], ids=["architecture", "quantization", "type", "heads", "rope"])
def test_a_configuration_that_cannot_be_served_is_named(folder, values, word):
    change_config(folder, **values)
    assert word in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "17"])
def test_a_config_that_is_no_json_object_is_named(folder, text):
    (folder / "config.json").write_text(text)
    assert "config.json" in refusal(folder)


def test_a_shard_that_is_not_there_is_named(folder):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-00001-of-00002.safetensors" in refusal(folder)
