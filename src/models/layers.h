#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "models/model.h"

namespace musaic {

// Names weights as graph values; the file tells each tensor's dtype.
class WeightNames {
 public:
  WeightNames(GraphBuilder& builder, const ModelConfig& config, const WeightSource* source)
      : builder_(builder), config_(config), source_(source) {}

  Value tensor(const std::string& name, DimShape shape) const;

  GraphBuilder& builder() const { return builder_; }
  const ModelConfig& config() const { return config_; }

 private:
  DType dtype_of(const std::string& name, const DimShape& shape) const;

  GraphBuilder& builder_;
  const ModelConfig& config_;
  const WeightSource* source_;
};

// y = x · Wᵀ (+ b).
struct Linear {
  Linear(const WeightNames& weights, const std::string& prefix, int64_t out, int64_t in,
         bool has_bias = false);
  Value operator()(Value x) const;

  Value weight;  // [out, in]
  Value bias;    // [out], absent without bias
};

struct RmsNorm {
  RmsNorm(const WeightNames& weights, const std::string& name, int64_t size);
  Value operator()(Value x) const;

  Value weight;  // [size]
  double eps;
};

// down(silu(gate(x)) · up(x)).
struct SwigluMlp {
  SwigluMlp(const WeightNames& weights, const std::string& prefix);
  Value operator()(Value x) const;

  Linear gate;
  Linear up;
  Linear down;
};

// What every layer's attention shares in one step.
struct AttentionInput {
  const StepInputs& step;
  Value cos_sin;  // [tokens, head_dim]
};

// Rotary attention over the paged cache of one layer.
class CachedAttention {
 public:
  CachedAttention(GraphBuilder& builder, const ModelConfig& config, const CacheSpec& cache, int layer);
  // query [tokens, heads · head_dim], key and value [tokens, kv_heads · head_dim], not yet rotated.
  Value operator()(Value query, Value key, Value value, const AttentionInput& input) const;

 private:
  const ModelConfig& config_;
  Value key_cache_;    // [pages, kv_heads, page_size, head_dim]
  Value value_cache_;  // like key_cache_
};

Value operator+(Value a, Value b);

// cos and sin of this step's positions, [tokens, head_dim].
Value rotary_cos_sin(GraphBuilder& builder, const ModelConfig& config, Value positions);

Value embed_tokens(const WeightNames& weights, Value token_ids);

// The output projection: `lm_head.weight`, or the embedding when tied.
Value lm_head(const WeightNames& weights, Value hidden);

// Keys and values of every layer.
CacheSpec attention_cache(const ModelConfig& config, const ModelOptions& options);
std::string cache_name(int layer, const char* state);  // "layers.3.key_cache"
// The graph's state of that name. REQUIRES: the specification has it.
Value cache_state(GraphBuilder& builder, const CacheSpec& cache, const std::string& name);

std::string layer_prefix(int layer);  // "model.layers.3."

}  // namespace musaic
