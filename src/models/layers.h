#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "models/model.h"
#include "ops/linear_fp8/linear_fp8.h"
#include "ops/moe_route/moe_route.h"

namespace musaic {

// Names weights as graph values; the file tells each tensor's dtype.
class WeightNames {
 public:
  WeightNames(GraphBuilder& builder, const ModelConfig& config, const WeightSource* source)
      : builder_(builder), config_(config), source_(source) {}

  Value tensor(const std::string& name, DimShape shape) const;
  // Tensors of one shape and dtype, one below the other, as one weight of `shape`.
  Value stack(const std::vector<std::string>& names, const DimShape& part, DimShape shape) const;
  // Whether that linear's weight is in FP8 and has a `weight_scale_inv`.
  bool is_fp8(const std::string& module) const;

  GraphBuilder& builder() const { return builder_; }
  const ModelConfig& config() const { return config_; }

 private:
  DType dtype_of(const std::string& name, const DimShape& shape) const;

  GraphBuilder& builder_;
  const ModelConfig& config_;
  const WeightSource* source_;
};

// The rows that linears multiply, quantized once for all FP8 weights that they meet.
class LinearInput {
 public:
  LinearInput(Value rows) : rows_(rows) {}  // NOLINT: rows are an input

  Value rows() const { return rows_; }
  const Fp8Rows& fp8() const;

 private:
  Value rows_;
  mutable std::optional<Fp8Rows> fp8_;  // made when first asked for, by the one thread that traces
};

// y = x · Wᵀ (+ b).
struct Linear {
  Linear(const WeightNames& weights, const std::string& prefix, int64_t out, int64_t in,
         bool has_bias = false);
  Value operator()(const LinearInput& x) const;

  Value weight;  // [out, in]
  Value scale;   // [ceil(out / 128), ceil(in / 128)], FP8 only
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
  SwigluMlp(const WeightNames& weights, const std::string& prefix, int64_t intermediate_size,
            bool has_bias = false);
  // As wide and with biases as configured.
  SwigluMlp(const WeightNames& weights, const std::string& prefix);
  Value operator()(const LinearInput& x) const;

  Linear gate;
  Linear up;
  Linear down;
};

// What all layers share in one step.
struct LayerInput {
  const StepInputs& step;
  Value cos_sin;  // [tokens, head_dim]
  ExpertLayout expert_layout = ExpertLayout::kCompact;
  StepForm attention_form = StepForm::kExtend;
};

// Rotary attention over the paged cache of one layer.
class CachedAttention {
 public:
  CachedAttention(GraphBuilder& builder, const ModelConfig& config, const CacheSpec& cache, int layer);
  // query [tokens, heads · head_dim], key and value [tokens, kv_heads · head_dim], not yet rotated.
  Value operator()(Value query, Value key, Value value, const LayerInput& input) const;

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

// Keys and values of every layer, or its latents.
CacheSpec attention_cache(const ModelConfig& config, const ModelOptions& options);
std::string cache_name(int layer, const char* state);  // "layers.3.key_cache"
// The graph's state of that name. REQUIRES: the specification has it.
Value cache_state(GraphBuilder& builder, const CacheSpec& cache, const std::string& name);

std::string layer_prefix(int layer);  // "model.layers.3."

}  // namespace musaic
