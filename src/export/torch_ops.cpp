#include "export/torch_ops.h"

namespace musaic {
namespace {

constexpr TorchExpression kExpressions[] = {
    {"aten::add", "torch.add({x}, {y})"},
    {"aten::mul", "torch.mul({x}, {y})"},
    {"aten::silu", "torch.nn.functional.silu({x})"},
    {"musaic::cast", "_cast({x}, {dtype})"},
    {"aten::linear", "torch.nn.functional.linear({x}, {weight}, {bias})"},
    {"aten::embedding", "torch.nn.functional.embedding({indices}, {weight})"},
    {"aten::index_select", "torch.index_select({x}, 0, {rows})"},
    {"aten::rms_norm", "_rms_norm({x}, {weight}, {eps})"},
    {"aten::slice", "torch.ops.aten.slice({x}, {dim}, {start}, {end})"},
    {"aten::unflatten", "torch.unflatten({x}, -1, (-1, {inner}))"},
    {"aten::flatten", "torch.flatten({x}, -2)"},
    {"musaic::rope_cos_sin", "_rope_cos_sin({positions}, {inv_freq}, {attention_factor})"},
    {"musaic::rope_", "_rope({x}, {cos_sin}, {head_dim}, {interleaved})"},
    {"musaic::kv_write", "({key}.to({key_cache.dtype}), {value}.to({value_cache.dtype}))",
     "slots key_cache value_cache"},
    {"musaic::paged_attention",
     "_causal_attention({query}, {key_cache}, {value_cache}, {num_heads}, {scale})",
     "query_start kv_lengths page_table num_sequences"},
    {"musaic::rope_latent_write",
     "_rope_latent_write({query}, {latent}, {rope_key}, {cos_sin}, {head_dim}, {interleaved}, {cache.dtype})",
     "slots cache"},
    {"musaic::mla_expanded_attention",
     "_mla_expanded_attention({query}, {cache}, {kv_b}, {kv_b_scale}, {num_heads}, {scale})",
     "query_start kv_lengths page_table num_sequences"},
    {"musaic::moe_gate", "_moe_gate({logits}, {top_k}, {num_groups}, {top_groups}, {renormalize}, {scale})"},
    {"musaic::moe_route", "_moe_route({experts}, {num_experts}, {layout}, {alignment})"},
    {"musaic::grouped_linear", "_grouped_linear({x}, {row_token}, {start}, {weight})", "count"},
    {"musaic::grouped_swiglu", "_swiglu({x})", "start count"},
    {"musaic::empty_rows",
     "torch.empty(({like}.shape[0], {width}), dtype={result.dtype}, device={like}.device)", "dtype"},
    {"musaic::linear_fp8", "_linear_fp8({q}, {scale}, {weight}, {weight_scale}, {bias})"},
    {"musaic::grouped_linear_fp8",
     "_grouped_linear(_dequantize_rows({q}, {scale}), {row_token}, {start}, "
     "_dequantize_blocks({weight}, {weight_scale}, {parts}))",
     "count"},
    {"musaic::grouped_swiglu_quant_fp8", "_quantize_fp8(_swiglu({x}))", "start count"},
    {"musaic::moe_combine", "_moe_combine({x}, {token_row}, {weights}, {addend})"},
    {"musaic::quantize_q8", "_quantize_q8({x})"},
    {"musaic::linear_q8", "_linear_q8({q}, {scale}, {weight}, {bias})", "sums"},
};

constexpr TorchHelper kHelpers[] = {
    {"_rms_norm", R"py(
def _rms_norm(x, weight, eps):
    values = x.float()
    scale = torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + eps)
    return (values * scale * weight).to(x.dtype)
)py"},
    {"_cast", R"py(
def _cast(x, dtype):
    return x.to({"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[dtype])
)py"},
    {"_rope_cos_sin", R"py(
def _rope_cos_sin(positions, inv_freq, attention_factor):
    """[tokens, r]: the cosines of all pairs, then the sines. Angles are made in double precision."""
    angles = positions.double().unsqueeze(1) * inv_freq.double()
    return (torch.cat((torch.cos(angles), torch.sin(angles)), dim=-1) * attention_factor).float()
)py"},
    {"_rope", R"py(
def _rope(x, cos_sin, head_dim, interleaved):
    """Rotates the first r values of every head of x [tokens, heads * head_dim]."""
    pairs = cos_sin.shape[-1] // 2
    cos = cos_sin[:, :pairs].unsqueeze(1)
    sin = cos_sin[:, pairs:].unsqueeze(1)
    heads = torch.unflatten(x.float(), -1, (-1, head_dim))
    turned = heads[..., : 2 * pairs]
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
        turned = torch.flatten(torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1), -2)
    else:
        a, b = turned[..., :pairs], turned[..., pairs:]
        turned = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
    return torch.flatten(torch.cat((turned, heads[..., 2 * pairs :]), dim=-1), -2).to(x.dtype)
)py"},
    {"_causal_attention", R"py(
def _causal_attention(query, key, value, num_heads, scale):
    """Row i of query [tokens, heads * head_dim] sees the rows up to i of key and value [tokens, kv_heads * head_dim]."""
    tokens = query.shape[0]
    head_dim = query.shape[-1] // num_heads
    groups = num_heads * head_dim // key.shape[-1]
    queries = torch.unflatten(query.float(), -1, (num_heads, head_dim)).transpose(0, 1)
    keys = torch.unflatten(key.float(), -1, (-1, head_dim)).transpose(0, 1).repeat_interleave(groups, dim=0)
    values = torch.unflatten(value.float(), -1, (-1, head_dim)).transpose(0, 1).repeat_interleave(groups, dim=0)
    scores = torch.matmul(queries, keys.transpose(1, 2)) * scale
    later = torch.ones((tokens, tokens), dtype=torch.bool, device=query.device).triu(1)
    weights = torch.softmax(scores.masked_fill(later, float("-inf")), dim=-1)
    return torch.flatten(torch.matmul(weights, values).transpose(0, 1), 1).to(query.dtype)
)py"},
    {"_rope_latent_write", R"py(
def _rope_latent_write(query, latent, rope_key, cos_sin, head_dim, interleaved, dtype):
    """The query with the last r values of each head rotated, and what the cache keeps: latents and rotated keys."""
    rotated = cos_sin.shape[-1]
    heads = torch.unflatten(query, -1, (-1, head_dim))
    turned = _rope(torch.flatten(heads[..., -rotated:], -2), cos_sin, rotated, interleaved)
    heads = torch.cat((heads[..., :-rotated], torch.unflatten(turned, -1, (-1, rotated))), dim=-1)
    key = _rope(rope_key, cos_sin, rotated, interleaved)
    return torch.flatten(heads, -2), torch.cat((latent, key), dim=-1).to(dtype)
)py"},
    {"_dequantize_rows", R"py(
def _dequantize_rows(q, scale):
    """Rows of 8-bit floats, times the scale of each group of 128."""
    return q.float() * scale.repeat_interleave(128, dim=-1)[..., : q.shape[-1]]
)py"},
    {"_dequantize_blocks", R"py(
def _dequantize_blocks(weight, scale, parts=1):
    """A weight [..., n, k] times the scale of each block of 128 x 128; each of the parts of n begins a block."""
    blocks = torch.unflatten(scale, -2, (parts, -1))
    rows = torch.flatten(blocks.repeat_interleave(128, dim=-2)[..., : weight.shape[-2] // parts, :], -3, -2)
    return weight.float() * rows.repeat_interleave(128, dim=-1)[..., : weight.shape[-1]]
)py"},
    {"_quantize_groups", R"py(
def _quantize_groups(x, group_size, eps, low, high):
    """Values from low to high, not rounded, and the scale of each group of a row, of which the last may be shorter."""
    width = x.shape[-1]
    groups = (width + group_size - 1) // group_size
    padded = torch.nn.functional.pad(x.float(), (0, groups * group_size - width))
    values = torch.unflatten(padded, -1, (groups, group_size))
    scale = values.abs().amax(-1).clamp(min=eps) / high
    return torch.flatten((values / scale.unsqueeze(-1)).clamp(low, high), -2)[..., :width], scale
)py"},
    {"_quantize_fp8", R"py(
def _quantize_fp8(x):
    values, scale = _quantize_groups(x, 128, 1e-10, -448.0, 448.0)
    return values.to(torch.float8_e4m3fn), scale
)py"},
    {"_mla_expanded_attention", R"py(
def _mla_expanded_attention(query, cache, kv_b, kv_b_scale, num_heads, scale):
    """Keys and values of all heads from the latents in cache [tokens, rank + rope]; then causal attention."""
    rank = kv_b.shape[-1]
    latents, rotated = cache.float()[:, :rank], cache.float()[:, rank:]
    if kv_b_scale is not None:
        latents = _dequantize_rows(*_quantize_fp8(latents))
        kv_b = _dequantize_blocks(kv_b, kv_b_scale)
    head_dim = query.shape[-1] // num_heads
    nope = head_dim - rotated.shape[-1]
    expanded = torch.unflatten(torch.nn.functional.linear(latents, kv_b.float()), -1, (num_heads, -1))
    shared = rotated.unsqueeze(1).repeat_interleave(num_heads, dim=1)
    keys = torch.cat((expanded[..., :nope], shared), dim=-1).transpose(0, 1)
    values = expanded[..., nope:].transpose(0, 1)
    queries = torch.unflatten(query.float(), -1, (num_heads, head_dim)).transpose(0, 1)
    scores = torch.matmul(queries, keys.transpose(1, 2)) * scale
    tokens = query.shape[0]
    later = torch.ones((tokens, tokens), dtype=torch.bool, device=query.device).triu(1)
    weights = torch.softmax(scores.masked_fill(later, float("-inf")), dim=-1)
    return torch.flatten(torch.matmul(weights, values).transpose(0, 1), 1)
)py"},
    {"_moe_gate", R"py(
def _moe_gate(logits, top_k, num_groups, top_groups, renormalize, scale):
    """Weights and indices of each token's experts, best first."""
    scores = torch.softmax(logits.float(), dim=-1)
    allowed = scores
    if top_groups < num_groups:
        groups = torch.unflatten(scores, -1, (num_groups, -1))
        _, best = torch.topk(groups.amax(-1), top_groups, dim=-1)
        chosen = torch.scatter(torch.zeros_like(groups[..., 0]), 1, best, 1.0).unsqueeze(-1)
        allowed = torch.flatten(torch.where(chosen > 0, groups, torch.full_like(groups, -1.0)), -2)
    _, experts = torch.topk(allowed, top_k, dim=-1)
    weights = torch.gather(scores, 1, experts)
    if renormalize:
        weights = weights / weights.sum(-1, keepdim=True)
    return weights * scale, experts.to(torch.int32)
)py"},
    {"_moe_route", R"py(
def _moe_route(experts, num_experts, layout, alignment):
    """Tokens grouped by expert: the token of a row, the row of a choice, each expert's first row and its rows."""
    tokens, top_k = experts.shape
    choices = torch.flatten(experts).to(torch.int64)
    numbers = torch.arange(num_experts, device=experts.device)
    count = (choices.unsqueeze(1) == numbers).sum(0)
    first = torch.cumsum(count, 0) - count
    start, rows = first, tokens * top_k
    if layout == "contiguous":
        room = (count + alignment - 1) // alignment * alignment
        start, rows = torch.cumsum(room, 0) - room, rows + min(rows, num_experts) * (alignment - 1)
    elif layout == "masked":
        start, rows = numbers * tokens, num_experts * tokens
    order = torch.argsort(choices, stable=True)
    grouped = choices[order]
    row = start[grouped] + torch.arange(tokens * top_k, device=experts.device) - first[grouped]
    row_token = torch.scatter(torch.zeros(rows, dtype=torch.int64, device=experts.device), 0, row, order // top_k)
    token_row = torch.scatter(torch.zeros_like(row), 0, order, row)
    return row_token, torch.unflatten(token_row, 0, (tokens, top_k)), start, count
)py"},
    {"_grouped_linear", R"py(
def _grouped_linear(x, row_token, start, weight):
    """Every row times the weight [n, k] of the expert whose rows it is among; row_token: the rows of x, or None."""
    rows = x if row_token is None else x[row_token]
    numbers = torch.arange(rows.shape[0], device=x.device).unsqueeze(1)
    expert = (numbers >= start).sum(-1, keepdim=True) - 1
    out = torch.zeros((rows.shape[0], weight.shape[1]), dtype=torch.float32, device=x.device)
    for index in range(weight.shape[0]):
        out = torch.where(expert == index, torch.nn.functional.linear(rows.float(), weight[index].float()), out)
    return out
)py"},
    {"_swiglu", R"py(
def _swiglu(x):
    half = x.shape[-1] // 2
    return torch.nn.functional.silu(x[..., :half]) * x[..., half:]
)py"},
    {"_linear_fp8", R"py(
def _linear_fp8(q, scale, weight, weight_scale, bias):
    """Both factors dequantized, in float32."""
    return torch.nn.functional.linear(_dequantize_rows(q, scale), _dequantize_blocks(weight, weight_scale), bias)
)py"},
    {"_moe_combine", R"py(
def _moe_combine(x, token_row, weights, addend=None):
    """The rows of each token's choices, weighted and added, and the addend if there is one."""
    routed = (x[token_row] * weights.unsqueeze(-1)).sum(1)
    return routed if addend is None else routed + addend
)py"},
    {"_quantize_q8", R"py(
def _quantize_q8(x):
    """8-bit integers, a scale for each 32 values of a row, and scale times the sum of the integers."""
    blocks = torch.unflatten(x, -1, (-1, 32))
    largest = blocks.abs().amax(-1, keepdim=True)
    q = torch.round(blocks * torch.where(largest > 0, 127.0 / largest, torch.zeros_like(largest)))
    scale = (largest / 127.0).squeeze(-1)
    return torch.flatten(q, -2).to(torch.int8), scale, scale * q.sum(-1)
)py"},
    {"_linear_q8", R"py(
def _linear_q8(q, scale, weight, bias):
    """The quantized activations times the dequantized weight, in float32."""
    x = torch.unflatten(q.float(), -1, (-1, 32)) * scale.unsqueeze(-1)
    return torch.nn.functional.linear(torch.flatten(x, -2), weight, bias)
)py"},
};

constexpr TorchCustomOp kCustomOps[] = {
    {"aten::_fused_swiglu_forward", "_fused_swiglu_forward", R"py(
def _fused_swiglu_forward(x):
    half = x.shape[-1] // 2
    return (torch.nn.functional.silu(x[..., :half].float()) * x[..., half:].float()).to(x.dtype)


def _fused_swiglu_forward_fake(x):
    return x.new_empty((*x.shape[:-1], x.shape[-1] // 2))
)py"},
    {"sgl_kernel::fused_add_rmsnorm", "_fused_add_rmsnorm", R"py(
def _fused_add_rmsnorm(x, residual, weight, eps, post_residual_addition=None):
    total = x.float() + residual.float()
    if post_residual_addition is not None:
        total = total + post_residual_addition.float()
    residual.copy_(total)
    x.copy_(_rms_norm(residual, weight, eps))


def _fused_add_rmsnorm_fake(x, residual, weight, eps, post_residual_addition=None):
    return None
)py"},
    {"sgl_kernel::sgl_per_token_group_quant_8bit_v2", "_sgl_per_token_group_quant_8bit_v2", R"py(
def _sgl_per_token_group_quant_8bit_v2(
    input, output_q, output_s, group_size, eps, fp8_min, fp8_max, scale_ue8m0, fuse_silu_and_mul, masked_m=None
):
    if scale_ue8m0:
        raise NotImplementedError("scales that are powers of two")
    rows = _swiglu(input) if fuse_silu_and_mul else input
    values, scale = _quantize_groups(rows, group_size, eps, fp8_min, fp8_max)
    output_q.copy_(torch.round(values) if output_q.dtype == torch.int8 else values)
    output_s.copy_(scale)


def _sgl_per_token_group_quant_8bit_v2_fake(
    input, output_q, output_s, group_size, eps, fp8_min, fp8_max, scale_ue8m0, fuse_silu_and_mul, masked_m=None
):
    return None
)py"},
};

template <class T>
const T* find(std::span<const T> table, std::string_view op) {
  for (const T& entry : table) {
    if (entry.op == op) return &entry;
  }
  return nullptr;
}

}  // namespace

const TorchExpression* find_torch_expression(std::string_view op) {
  return find<TorchExpression>(kExpressions, op);
}
const TorchCustomOp* find_torch_custom_op(std::string_view op) {
  return find<TorchCustomOp>(kCustomOps, op);
}
std::span<const TorchHelper> torch_helpers() {
  return kHelpers;
}
std::span<const TorchCustomOp> torch_custom_ops() {
  return kCustomOps;
}

}  // namespace musaic
