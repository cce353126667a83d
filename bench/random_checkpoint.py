#!/usr/bin/env python3
"""usage: bench/random_checkpoint.py CONFIG FOLDER [--layers N] [--shards N]   Needs numpy.
Writes a DeepSeek-V2 model of that config.json with random bf16 weights as sharded safetensors, to time loading with."""
import argparse
import json
import math
import pathlib
import struct

import numpy as np

POOL_VALUES = 1 << 25  # random values that the tensors share


def mlp(prefix, width, hidden):
    return {prefix + "gate_proj.weight": (width, hidden), prefix + "up_proj.weight": (width, hidden),
            prefix + "down_proj.weight": (hidden, width)}


def layer(config, index):
    prefix, hidden, heads, rank = f"model.layers.{index}.", config["hidden_size"], config["num_attention_heads"], config["kv_lora_rank"]
    nope, rope, value = (config[key] for key in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
    shapes = {prefix + "input_layernorm.weight": (hidden,), prefix + "post_attention_layernorm.weight": (hidden,),
              prefix + "self_attn.q_proj.weight": (heads * (nope + rope), hidden),
              prefix + "self_attn.kv_a_proj_with_mqa.weight": (rank + rope, hidden),
              prefix + "self_attn.kv_a_layernorm.weight": (rank,),
              prefix + "self_attn.kv_b_proj.weight": (heads * (nope + value), rank),
              prefix + "self_attn.o_proj.weight": (hidden, heads * value)}
    if index < config["first_k_dense_replace"]:
        return shapes | mlp(prefix + "mlp.", config["intermediate_size"], hidden)
    shapes[prefix + "mlp.gate.weight"] = (config["n_routed_experts"], hidden)
    for expert in range(config["n_routed_experts"]):
        shapes |= mlp(f"{prefix}mlp.experts.{expert}.", config["moe_intermediate_size"], hidden)
    return shapes | mlp(prefix + "mlp.shared_experts.", config["moe_intermediate_size"] * config["n_shared_experts"], hidden)


def all_shapes(config):
    vocab_by_hidden = (config["vocab_size"], config["hidden_size"])
    shapes = {"model.embed_tokens.weight": vocab_by_hidden, "lm_head.weight": vocab_by_hidden,
              "model.norm.weight": (config["hidden_size"],)}
    for index in range(config["num_hidden_layers"]):
        shapes |= layer(config, index)
    return shapes


def random_pool():
    values = np.random.default_rng(1).standard_normal(POOL_VALUES, dtype=np.float32) * 0.022
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def write_shard(path, shapes, pool):
    header, offset = {}, 0
    for name, shape in shapes.items():
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes.values():
            left = 2 * math.prod(shape)
            while left:
                left -= file.write(pool[:left])
    return offset


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--layers", type=int, help="fewer than the configuration's")
    parser.add_argument("--shards", type=int, default=4)
    arguments = parser.parse_args()
    config = json.loads(arguments.config.read_text())
    config.pop("quantization_config", None)
    config["torch_dtype"] = "bfloat16"
    config["num_hidden_layers"] = arguments.layers or config["num_hidden_layers"]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    (arguments.folder / "config.json").write_text(json.dumps(config, indent=1))
    shapes, pool, files, written = all_shapes(config), random_pool(), {}, 0
    for shard in range(arguments.shards):
        mine = dict(list(shapes.items())[shard::arguments.shards])
        name = f"model-{shard + 1:05}-of-{arguments.shards:05}.safetensors"
        written += write_shard(arguments.folder / name, mine, pool)
        files |= dict.fromkeys(mine, name)
    (arguments.folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    print(f"{written / 1e9:.2f} GB in {len(shapes)} tensors of {arguments.shards} files")


if __name__ == "__main__":
    main()
