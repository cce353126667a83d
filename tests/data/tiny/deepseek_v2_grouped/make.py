#!/usr/bin/env python3
"""Writes a random deepseek_v2 that has what the other tiny ones lack, and its goldens by a forward of its own in numpy
and float64: a latent of the query, biases, YaRN with a magnitude of cos and sin, dense layers between those with
experts, and experts chosen from the best groups, renormalized and scaled.

pip install numpy; python3 make.py
The formulas are those of the DeepSeek-V2 paper (arXiv 2405.04434), YaRN's (arXiv 2309.00071) with the magnitude squared
in the scale of the softmax.
"""
import json
import pathlib
import struct

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
CONFIG = {
    "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "torch_dtype": "bfloat16",
    "attention_bias": True, "bos_token_id": 0, "eos_token_id": 1, "first_k_dense_replace": 1, "moe_layer_freq": 2,
    "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 72, "kv_lora_rank": 48, "q_lora_rank": 40,
    "qk_nope_head_dim": 24, "qk_rope_head_dim": 16, "v_head_dim": 20, "num_attention_heads": 3,
    "num_key_value_heads": 3, "num_hidden_layers": 4, "max_position_embeddings": 512, "moe_intermediate_size": 24,
    "n_routed_experts": 8, "n_shared_experts": 2, "num_experts_per_tok": 3, "topk_method": "group_limited_greedy",
    "n_group": 4, "topk_group": 2, "norm_topk_prob": True, "routed_scaling_factor": 2.5, "rms_norm_eps": 1e-6,
    "rope_theta": 10000, "rope_scaling": {"type": "yarn", "factor": 8, "original_max_position_embeddings": 64,
                                          "beta_fast": 32, "beta_slow": 1, "mscale": 0.9, "mscale_all_dim": 0.5},
    "tie_word_embeddings": False, "vocab_size": 128}
C = CONFIG
HEADS, NOPE, ROPE, VALUE, RANK = 3, 24, 16, 20, 48


def shapes():
    hidden = C["hidden_size"]
    yield "model.embed_tokens.weight", (C["vocab_size"], hidden)
    for layer in range(C["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        attention = prefix + "self_attn."
        yield prefix + "input_layernorm.weight", (hidden,)
        yield attention + "q_a_proj.weight", (C["q_lora_rank"], hidden)
        yield attention + "q_a_proj.bias", (C["q_lora_rank"],)
        yield attention + "q_a_layernorm.weight", (C["q_lora_rank"],)
        yield attention + "q_b_proj.weight", (HEADS * (NOPE + ROPE), C["q_lora_rank"])
        yield attention + "kv_a_proj_with_mqa.weight", (RANK + ROPE, hidden)
        yield attention + "kv_a_proj_with_mqa.bias", (RANK + ROPE,)
        yield attention + "kv_a_layernorm.weight", (RANK,)
        yield attention + "kv_b_proj.weight", (HEADS * (NOPE + VALUE), RANK)
        yield attention + "o_proj.weight", (hidden, HEADS * VALUE)
        yield attention + "o_proj.bias", (hidden,)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
        mlps = [("mlp.", C["intermediate_size"])]
        if has_experts(layer):
            yield prefix + "mlp.gate.weight", (C["n_routed_experts"], hidden)
            width = C["moe_intermediate_size"]
            mlps = [(f"mlp.experts.{i}.", width) for i in range(C["n_routed_experts"])]
            mlps.append(("mlp.shared_experts.", C["n_shared_experts"] * width))
        for mlp, width in mlps:
            yield prefix + mlp + "gate_proj.weight", (width, hidden)
            yield prefix + mlp + "up_proj.weight", (width, hidden)
            yield prefix + mlp + "down_proj.weight", (hidden, width)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (C["vocab_size"], hidden)


def has_experts(layer):
    return layer >= C["first_k_dense_replace"] and layer % C["moe_layer_freq"] == 0


def to_bf16(values):
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def random_weights():
    random = np.random.default_rng(23)
    stored, values = {}, {}
    for name, shape in shapes():
        if name.endswith("norm.weight"):
            value = 1 + 0.1 * random.standard_normal(shape)
        else:
            value = random.standard_normal(shape) * (0.1 if len(shape) == 1 else 1.5 / np.sqrt(shape[1]))
        stored[name] = to_bf16(value)
        values[name] = (stored[name].astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return stored, values


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, bits in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(bits.shape), "data_offsets": [offset, offset + bits.nbytes]}
        offset += bits.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(bits.tobytes() for bits in tensors.values()))


def magnitude(mscale):
    return 0.1 * mscale * np.log(C["rope_scaling"]["factor"]) + 1


def rope_frequencies():
    rope, theta = C["rope_scaling"], C["rope_theta"]
    original = rope["original_max_position_embeddings"]
    plain = theta ** (-np.arange(0, ROPE, 2) / ROPE)
    pair = lambda turns: ROPE * np.log(original / (turns * 2 * np.pi)) / (2 * np.log(theta))
    begin, end = max(np.floor(pair(rope["beta_fast"])), 0), min(np.ceil(pair(rope["beta_slow"])), ROPE - 1)
    divided = np.clip((np.arange(ROPE // 2) - begin) / (end - begin), 0, 1)
    return plain * (divided / rope["factor"] + 1 - divided)


def rotate(x, positions):
    """Pairs (2i, 2i + 1) of the last dimension; positions go along the first."""
    angles = np.outer(positions, rope_frequencies()).reshape((len(positions),) + (1,) * (x.ndim - 2) + (-1,))
    factor = magnitude(C["rope_scaling"]["mscale"]) / magnitude(C["rope_scaling"]["mscale_all_dim"])
    cos, sin = np.cos(angles) * factor, np.sin(angles) * factor
    out = np.empty_like(x)
    out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    out[..., 1::2] = x[..., 1::2] * cos + x[..., 0::2] * sin
    return out


def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + C["rms_norm_eps"]) * weight


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Model:
    def __init__(self, weights):
        self.weights = weights

    def linear(self, module, x):
        bias = self.weights.get(module + ".bias", 0.0)
        return x @ self.weights[module + ".weight"].T + bias

    def mlp(self, prefix, x):
        gate = self.linear(prefix + "gate_proj", x)
        return self.linear(prefix + "down_proj", gate / (1 + np.exp(-gate)) * self.linear(prefix + "up_proj", x))

    def attention(self, prefix, x):
        tokens = len(x)
        positions = np.arange(tokens)
        latent = norm(self.linear(prefix + "q_a_proj", x), self.weights[prefix + "q_a_layernorm.weight"])
        query = self.linear(prefix + "q_b_proj", latent).reshape(tokens, HEADS, NOPE + ROPE)
        kv_a = self.linear(prefix + "kv_a_proj_with_mqa", x)
        kv = self.linear(prefix + "kv_b_proj", norm(kv_a[:, :RANK], self.weights[prefix + "kv_a_layernorm.weight"]))
        kv = kv.reshape(tokens, HEADS, NOPE + VALUE)
        scores = np.einsum("thd,shd->hts", query[..., :NOPE], kv[..., :NOPE])
        scores += np.einsum("thd,sd->hts", rotate(query[..., NOPE:], positions), rotate(kv_a[:, RANK:], positions))
        scores *= magnitude(C["rope_scaling"]["mscale_all_dim"]) ** 2 / np.sqrt(NOPE + ROPE)
        scores[:, ~np.tril(np.ones((tokens, tokens), bool))] = -np.inf
        attended = np.einsum("hts,shd->thd", softmax(scores), kv[..., NOPE:]).reshape(tokens, HEADS * VALUE)
        return self.linear(prefix + "o_proj", attended)

    def experts(self, prefix, x):
        scores = softmax(x @ self.weights[prefix + "gate.weight"].T)
        size = C["n_routed_experts"] // C["n_group"]
        out = self.mlp(prefix + "shared_experts.", x)
        for token, score in enumerate(scores):
            groups = np.argsort(-score.reshape(C["n_group"], size).max(-1))[:C["topk_group"]]
            allowed = [group * size + i for group in groups for i in range(size)]
            chosen = sorted(allowed, key=lambda expert: -score[expert])[:C["num_experts_per_tok"]]
            for expert in chosen:
                weight = score[expert] / score[chosen].sum() * C["routed_scaling_factor"]
                out[token] += weight * self.mlp(f"{prefix}experts.{expert}.", x[token])
        return out

    def logits(self, ids):
        x = self.weights["model.embed_tokens.weight"][ids]
        for layer in range(C["num_hidden_layers"]):
            prefix = f"model.layers.{layer}."
            x = x + self.attention(prefix + "self_attn.", norm(x, self.weights[prefix + "input_layernorm.weight"]))
            normed = norm(x, self.weights[prefix + "post_attention_layernorm.weight"])
            x = x + (self.experts if has_experts(layer) else self.mlp)(prefix + "mlp.", normed)
        return norm(x, self.weights["model.norm.weight"]) @ self.weights["lm_head.weight"].T


def golden(model, ids, count=24):
    logits = model.logits(ids)
    logprobs = np.log(softmax(logits))
    greedy, gaps, tokens = [], [], list(ids)
    for _ in range(count):
        last = model.logits(tokens)[-1]
        best = np.sort(last)
        greedy.append(int(last.argmax()))
        gaps.append(round(float(best[-1] - best[-2]), 6))
        tokens.append(greedy[-1])
    return {"input_ids": [int(i) for i in ids], "last_logits": [round(float(v), 6) for v in logits[-1]],
            "input_logprobs": [round(float(logprobs[i, ids[i + 1]]), 6) for i in range(len(ids) - 1)],
            "greedy": greedy, "top2_gap": gaps}


def main():
    stored, values = random_weights()
    model = Model(values)
    random = np.random.default_rng(7)
    prompts = [random.integers(2, C["vocab_size"], length) for length in (1, 7, 33, 100)]
    (HERE / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    write_safetensors(HERE / "model.safetensors", stored)
    (HERE / "golden.json").write_text(json.dumps({"golden": [golden(model, ids) for ids in prompts]}) + "\n")


if __name__ == "__main__":
    main()
