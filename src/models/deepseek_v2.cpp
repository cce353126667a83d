// DeepSeek-V2 (DeepSeek-AI 2024): multi-head latent attention, and a mixture of experts of which some are
// shared.
#include <cmath>

#include "models/architectures.h"
#include "models/decoder.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/grouped_swiglu/grouped_swiglu.h"
#include "ops/latent_write/latent_write.h"
#include "ops/linear/linear.h"
#include "ops/mla_attention/mla_attention.h"
#include "ops/mla_project/mla_project.h"
#include "ops/moe_combine/moe_combine.h"
#include "ops/moe_gate/moe_gate.h"
#include "ops/view/view.h"
#include "weights/rope_frequencies.h"

namespace musaic {
namespace {

// From the hidden state at once, or through a normed latent of its own.
class DeepseekQuery {
 public:
  DeepseekQuery(const WeightNames& weights, const std::string& prefix) {
    const ModelConfig& config = weights.config();
    const LatentAttention& mla = *config.latent_attention;
    const int64_t width = int64_t{config.num_attention_heads} * mla.query_head_dim();
    if (mla.q_lora_rank == 0) {
      project_.emplace(weights, prefix + "q_proj", width, config.hidden_size);
      return;
    }
    compress_.emplace(weights, prefix + "q_a_proj", mla.q_lora_rank, config.hidden_size,
                      config.attention_bias);
    norm_.emplace(weights, prefix + "q_a_layernorm", mla.q_lora_rank);
    project_.emplace(weights, prefix + "q_b_proj", width, mla.q_lora_rank);
  }
  Value operator()(const LinearInput& x) const {  // [tokens, heads · (nope + rope)]
    return compress_ ? (*project_)((*norm_)((*compress_)(x))) : (*project_)(x);
  }

 private:
  std::optional<Linear> compress_;
  std::optional<RmsNorm> norm_;
  std::optional<Linear> project_;
};

// The cache holds a latent and a rotated key a token. kv_b makes keys and values of all heads from a latent:
// of the cached latents where a step has many rows; folded into query and result where it has one a sequence.
class DeepseekAttention {
 public:
  DeepseekAttention(const WeightNames& weights, const CacheSpec& cache, int layer)
      : config_(weights.config()),
        query_(weights, prefix(layer)),
        kv_a_(weights, prefix(layer) + "kv_a_proj_with_mqa", mla().kv_lora_rank + mla().qk_rope_head_dim,
              config_.hidden_size, config_.attention_bias),
        kv_a_norm_(weights, prefix(layer) + "kv_a_layernorm", mla().kv_lora_rank),
        kv_b_(weights, prefix(layer) + "kv_b_proj",
              int64_t{config_.num_attention_heads} * (mla().qk_nope_head_dim + mla().v_head_dim),
              mla().kv_lora_rank),
        out_(weights, prefix(layer) + "o_proj", config_.hidden_size,
             int64_t{config_.num_attention_heads} * mla().v_head_dim, config_.attention_output_bias),
        cache_(cache_state(weights.builder(), cache, cache_name(layer, "latent_cache"))) {}

  Value operator()(const LinearInput& x, const LayerInput& input) const {
    const int rank = mla().kv_lora_rank;
    const Value query = query_(x);
    const Value kv_a = kv_a_(x);
    const auto [rotated, cache] =
        rope_latent_write({.query = query,
                           .latent = kv_a_norm_(slice(kv_a, 1, 0, rank)),
                           .rope_key = slice(kv_a, 1, rank, rank + mla().qk_rope_head_dim),
                           .cos_sin = input.cos_sin,
                           .slots = input.step.slots,
                           .cache = cache_,
                           .head_dim = mla().query_head_dim(),
                           .interleaved = config_.rope_interleaved});
    return out_(attend(rotated, cache, input));
  }

 private:
  static std::string prefix(int layer) { return layer_prefix(layer) + "self_attn."; }
  const LatentAttention& mla() const { return *config_.latent_attention; }

  Value attend(Value query, Value cache, const LayerInput& input) const {
    const StepInputs& step = input.step;
    const int heads = config_.num_attention_heads;
    MlaArguments arguments{
        .query = query,
        .cache = cache,
        .query_start = step.query_start,
        .kv_lengths = step.kv_lengths,
        .page_table = step.page_table,
        .num_sequences = step.num_sequences,
        .num_heads = heads,
        .scale = rope_score_factor(config_) / std::sqrt(static_cast<double>(mla().query_head_dim()))};
    if (input.attention_form == StepForm::kExtend)
      return mla_expanded_attention(arguments, kv_b_.weight, kv_b_.scale);
    arguments.query = mla_absorb_query(query, kv_b_.weight, kv_b_.scale, heads, mla().v_head_dim);
    const Value attended = mla_absorbed_attention(arguments, mla().kv_lora_rank);
    return mla_expand_values(attended, kv_b_.weight, kv_b_.scale, heads, mla().v_head_dim);
  }

  const ModelConfig& config_;
  DeepseekQuery query_;
  Linear kv_a_;
  RmsNorm kv_a_norm_;
  Linear kv_b_;
  Linear out_;
  Value cache_;  // [pages, 1, page_size, rank + rope]
};

// One linear of all experts, or several of one input, one below the other.
struct ExpertLinear {
  ExpertLinear(const WeightNames& weights, const std::string& experts, std::vector<std::string> projections,
               int64_t out, int64_t in)
      : parts(static_cast<int>(projections.size())) {
    std::vector<std::string> names, scale_names;
    const int num_experts = weights.config().experts->num_experts;
    for (int expert = 0; expert < num_experts; ++expert) {
      for (const std::string& projection : projections) {
        const std::string module = experts + std::to_string(expert) + "." + projection;
        names.push_back(module + ".weight");
        scale_names.push_back(module + ".weight_scale_inv");
        is_fp8 = weights.is_fp8(module);
      }
    }
    weight = weights.stack(names, {out, in}, {num_experts, parts * out, in});
    if (!is_fp8) return;
    const Dim rows = ceil_div(Dim(out), BlockFp8::kBlock), columns = ceil_div(Dim(in), BlockFp8::kBlock);
    scale = weights.stack(scale_names, {rows, columns}, {num_experts, rows * parts, columns});
  }

  int parts;
  bool is_fp8 = false;
  Value weight;  // [experts, parts · out, in]
  Value scale;   // [experts, parts · ceil(out / 128), ceil(in / 128)], FP8 only
};

class DeepseekExperts {
 public:
  DeepseekExperts(const WeightNames& weights, const std::string& prefix)
      : moe_(*weights.config().experts),
        router_(weights.tensor(prefix + "gate.weight", {moe_.num_experts, weights.config().hidden_size})),
        gate_up_(weights, prefix + "experts.", {"gate_proj", "up_proj"}, moe_.intermediate_size,
                 weights.config().hidden_size),
        down_(weights, prefix + "experts.", {"down_proj"}, weights.config().hidden_size,
              moe_.intermediate_size) {
    if (moe_.num_shared_experts > 0)
      shared_.emplace(weights, prefix + "shared_experts.",
                      int64_t{moe_.num_shared_experts} * moe_.intermediate_size);
  }

  Value operator()(const LinearInput& x, ExpertLayout layout) const {
    const ExpertChoice choice = moe_gate({.logits = linear(x.rows(), router_),
                                          .top_k = moe_.experts_per_token,
                                          .num_groups = moe_.num_groups,
                                          .top_groups = moe_.top_groups,
                                          .renormalize = moe_.norm_topk_prob,
                                          .scale = moe_.routed_scaling_factor});
    const ExpertRows groups = moe_route(choice.experts, moe_.num_experts, layout);
    const Value routed = moe_combine(run_experts(x, groups), groups.token_row, choice.weights);
    return shared_ ? routed + (*shared_)(x) : routed;
  }

 private:
  Value run_experts(const LinearInput& x, const ExpertRows& groups) const {
    if (!gate_up_.is_fp8) {
      const Value gate_up = grouped_linear(x.rows(), groups, /*by_token=*/true, gate_up_.weight);
      return grouped_linear(grouped_swiglu(gate_up, groups), groups, /*by_token=*/false, down_.weight);
    }
    const Value gate_up = grouped_linear_fp8(x.fp8(), groups, /*by_token=*/true, gate_up_.weight,
                                             gate_up_.scale, gate_up_.parts);
    return grouped_linear_fp8(grouped_swiglu_quant_fp8(gate_up, groups), groups, /*by_token=*/false,
                              down_.weight, down_.scale);
  }

  const MixtureOfExperts& moe_;
  Value router_;  // [experts, hidden]
  ExpertLinear gate_up_;
  ExpertLinear down_;
  std::optional<SwigluMlp> shared_;
};

class DeepseekBlock {
 public:
  DeepseekBlock(const WeightNames& weights, const CacheSpec& cache, int layer)
      : input_norm_(weights, layer_prefix(layer) + "input_layernorm", weights.config().hidden_size),
        attention_(weights, cache, layer),
        post_norm_(weights, layer_prefix(layer) + "post_attention_layernorm", weights.config().hidden_size) {
    const auto& moe = weights.config().experts;
    if (moe && moe->is_moe_layer(layer)) {
      experts_.emplace(weights, layer_prefix(layer) + "mlp.");
    } else {
      mlp_.emplace(weights, layer_prefix(layer) + "mlp.");
    }
  }

  Value forward(Value x, const LayerInput& input) const {  // x: [tokens, hidden]
    const Value h = x + attention_(input_norm_(x), input);
    const LinearInput normed = post_norm_(h);
    return h + (experts_ ? (*experts_)(normed, input.expert_layout) : (*mlp_)(normed));
  }

 private:
  RmsNorm input_norm_;
  DeepseekAttention attention_;
  RmsNorm post_norm_;
  std::optional<SwigluMlp> mlp_;
  std::optional<DeepseekExperts> experts_;
};

}  // namespace

std::unique_ptr<Model> make_deepseek_v2(const ModelConfig& config, const WeightSource* weights,
                                        const ModelOptions& options) {
  return std::make_unique<DecoderModel<DeepseekBlock>>(config, weights, options);
}

}  // namespace musaic
