#include "models/layers.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/status.h"
#include "ops/add/add.h"
#include "ops/attention/attention.h"
#include "ops/embedding/embedding.h"
#include "ops/kv_write/kv_write.h"
#include "ops/linear/linear.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "ops/swiglu/swiglu.h"
#include "ops/view/view.h"
#include "weights/rope_frequencies.h"

namespace musaic {
namespace {

DType configured_dtype(const ModelConfig& config) {
  if (config.dtype == "bfloat16") return DType::kBF16;
  if (config.dtype == "float16") return DType::kF16;
  return parse_dtype(config.dtype).value_or(DType::kF32);
}

Shape constant_shape(const DimShape& dims) {
  Shape shape = Shape(std::vector<int64_t>(dims.size(), 0));
  for (size_t i = 0; i < dims.size(); ++i) shape[static_cast<int>(i)] = dims[i].constant();
  return shape;
}

constexpr std::string_view kWeightSuffix = ".weight";
constexpr std::string_view kScaleSuffix = ".weight_scale_inv";

// Not an embedding, the head or a router.
bool is_linear(std::string_view module) {
  return module.ends_with("_proj") || module.ends_with("_proj_with_mqa");
}

}  // namespace

DType WeightNames::dtype_of(const std::string& name, const DimShape& shape) const {
  if (source_ != nullptr) return require_weight(*source_, name, constant_shape(shape)).dtype;
  if (name.ends_with(kScaleSuffix)) return DType::kF32;
  const std::string module =
      name.ends_with(kWeightSuffix) ? name.substr(0, name.size() - kWeightSuffix.size()) : "";
  if (shape.size() == 2 && is_linear(module) && is_fp8(module)) return DType::kF8E4M3;
  const DType dtype = configured_dtype(config_);
  return shape.size() < 2 && is_block_quantized(dtype) ? DType::kF32 : dtype;
}

Value WeightNames::tensor(const std::string& name, DimShape shape) const {
  const DType dtype = dtype_of(name, shape);
  return builder_.weight({name}, dtype, std::move(shape));
}

Value WeightNames::stack(const std::vector<std::string>& names, const DimShape& part, DimShape shape) const {
  const DType dtype = dtype_of(names.front(), part);
  for (const std::string& name : names) {
    if (dtype_of(name, part) != dtype)
      fail_load("{}: tensor `{}` is {}, expected {} as `{}` is", source_->origin(), name,
                musaic::name(dtype_of(name, part)), musaic::name(dtype), names.front());
  }
  return builder_.weight(names, dtype, std::move(shape));
}

bool WeightNames::is_fp8(const std::string& module) const {
  if (source_ == nullptr) return config_.fp8 && config_.fp8->converts(module);
  const WeightTensor* weight = source_->find(module + ".weight");
  return weight != nullptr && weight->dtype == DType::kF8E4M3;
}

const Fp8Rows& LinearInput::fp8() const {
  if (!fp8_) fp8_ = quantize_fp8(rows_);
  return *fp8_;
}

Linear::Linear(const WeightNames& weights, const std::string& prefix, int64_t out, int64_t in, bool has_bias)
    : weight(weights.tensor(prefix + ".weight", {out, in})) {
  if (weights.is_fp8(prefix))
    scale = weights.tensor(prefix + ".weight_scale_inv",
                           {ceil_div(Dim(out), BlockFp8::kBlock), ceil_div(Dim(in), BlockFp8::kBlock)});
  if (has_bias) bias = weights.tensor(prefix + ".bias", {out});
}

Value Linear::operator()(const LinearInput& x) const {
  return scale.defined() ? linear_fp8(x.fp8(), weight, scale, bias) : linear(x.rows(), weight, bias);
}

RmsNorm::RmsNorm(const WeightNames& weights, const std::string& name, int64_t size)
    : weight(weights.tensor(name + ".weight", {size})), eps(weights.config().rms_norm_eps) {}

Value RmsNorm::operator()(Value x) const {
  return rms_norm(x, weight, eps);
}

SwigluMlp::SwigluMlp(const WeightNames& weights, const std::string& prefix, int64_t intermediate_size,
                     bool has_bias)
    : gate(weights, prefix + "gate_proj", intermediate_size, weights.config().hidden_size, has_bias),
      up(weights, prefix + "up_proj", intermediate_size, weights.config().hidden_size, has_bias),
      down(weights, prefix + "down_proj", weights.config().hidden_size, intermediate_size, has_bias) {}

SwigluMlp::SwigluMlp(const WeightNames& weights, const std::string& prefix)
    : SwigluMlp(weights, prefix, weights.config().intermediate_size, weights.config().mlp_bias) {}

Value SwigluMlp::operator()(const LinearInput& x) const {
  const Value activated = silu(gate(x));
  return down(mul(activated, up(x)));
}

CachedAttention::CachedAttention(GraphBuilder& builder, const ModelConfig& config, const CacheSpec& cache,
                                 int layer)
    : config_(config),
      key_cache_(cache_state(builder, cache, cache_name(layer, "key_cache"))),
      value_cache_(cache_state(builder, cache, cache_name(layer, "value_cache"))) {}

Value CachedAttention::operator()(Value query, Value key, Value value, const LayerInput& input) const {
  const Value rotated_query = rope_(query, input.cos_sin, config_.head_dim, config_.rope_interleaved);
  const Value rotated_key = rope_(key, input.cos_sin, config_.head_dim, config_.rope_interleaved);
  const auto [keys, values] = kv_write(rotated_key, value, input.step.slots, key_cache_, value_cache_);
  return paged_attention({.query = rotated_query,
                          .key_cache = keys,
                          .value_cache = values,
                          .query_start = input.step.query_start,
                          .kv_lengths = input.step.kv_lengths,
                          .page_table = input.step.page_table,
                          .num_sequences = input.step.num_sequences,
                          .num_heads = config_.num_attention_heads,
                          .scale = 1.0 / std::sqrt(static_cast<double>(config_.head_dim))});
}

Value operator+(Value a, Value b) {
  return add(a, b);
}

Value rotary_cos_sin(GraphBuilder& builder, const ModelConfig& config, Value positions) {
  const std::vector<float> frequencies = rope_inverse_frequencies(config);
  std::vector<std::byte> bytes(frequencies.size() * sizeof(float));
  std::memcpy(bytes.data(), frequencies.data(), bytes.size());
  const Value inv_freq = builder.constant("rope_inv_freq", DType::kF32,
                                          {static_cast<int64_t>(frequencies.size())}, std::move(bytes));
  return rope_cos_sin(positions, inv_freq, rope_attention_factor(config));
}

Value embed_tokens(const WeightNames& weights, Value token_ids) {
  const ModelConfig& config = weights.config();
  return embedding(weights.tensor("model.embed_tokens.weight", {config.vocab_size, config.hidden_size}),
                   token_ids);
}

Value lm_head(const WeightNames& weights, Value hidden) {
  const ModelConfig& config = weights.config();
  const char* name = config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  return linear(hidden, weights.tensor(name, {config.vocab_size, config.hidden_size}));
}

CacheSpec attention_cache(const ModelConfig& config, const ModelOptions& options) {
  CacheSpec spec{.dtype = options.kv_dtype, .page_size = options.page_size, .states = {}};
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (const auto& mla = config.latent_attention) {
      spec.states.push_back(
          {cache_name(layer, "latent_cache"), 1, mla->kv_lora_rank + mla->qk_rope_head_dim});
      continue;
    }
    for (const char* state : {"key_cache", "value_cache"})
      spec.states.push_back({cache_name(layer, state), config.num_key_value_heads, config.head_dim});
  }
  return spec;
}

Value cache_state(GraphBuilder& builder, const CacheSpec& cache, const std::string& name) {
  const auto state = std::find_if(cache.states.begin(), cache.states.end(),
                                  [&](const CacheState& candidate) { return candidate.name == name; });
  CHECK(state != cache.states.end(), "the cache has no state {}", name);
  return builder.state(name, cache.dtype,
                       {Dim::symbol("pages"), state->heads, cache.page_size, state->width});
}

std::string cache_name(int layer, const char* state) {
  return "layers." + std::to_string(layer) + "." + state;
}

std::string layer_prefix(int layer) {
  return "model.layers." + std::to_string(layer) + ".";
}

}  // namespace musaic
