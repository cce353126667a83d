#include "weights/model_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/status.h"

namespace musaic {
namespace {

constexpr std::array<SupportedModel, 4> kSupported = {{
    {.model_type = "llama",
     .architecture = "LlamaForCausalLM",
     .max_position_embeddings = 2048,
     .head_dim = 0},
    {.model_type = "qwen2",
     .architecture = "Qwen2ForCausalLM",
     .max_position_embeddings = 32768,
     .head_dim = 0},
    {.model_type = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .max_position_embeddings = 32768,
     .head_dim = 128},
    {.model_type = "deepseek_v2",
     .architecture = "DeepseekV2ForCausalLM",
     .max_position_embeddings = 2048,
     .head_dim = 0},
}};

void check_positive(const std::string& file, std::string_view key, int value) {
  if (value <= 0) fail_load("{}: `{}` is {}, expected at least 1", file, key, value);
}

void check_positive(const std::string& file, std::string_view key, double value) {
  if (!std::isfinite(value) || value <= 0)
    fail_load("{}: `{}` is {}, expected more than 0", file, key, value);
}

void check_heads(const ModelConfig& config, const std::string& file) {
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    fail_load("{}: {} attention heads, expected a multiple of the {} key-value heads", file,
              config.num_attention_heads, config.num_key_value_heads);
  }
  if (config.head_dim % 2 != 0)
    fail_load("{}: `head_dim` is {}, expected an even number", file, config.head_dim);
  if (config.num_attention_heads > std::numeric_limits<int>::max() / config.head_dim) {
    fail_load("{}: {} attention heads of {}, expected sizes that fit 31 bits", file,
              config.num_attention_heads, config.head_dim);
  }
}

void check_rope(const ModelConfig& config, const std::string& file) {
  check_positive(file, "rope_theta", config.rope_theta);
  if (!config.rope_scaling) return;
  const RopeScaling& scaling = *config.rope_scaling;
  check_positive(file, "factor", scaling.factor);
  if (scaling.type == "linear") return;
  check_positive(file, "original_max_position_embeddings", scaling.original_max_position_embeddings);
  if (scaling.type == "yarn") {
    check_positive(file, "beta_fast", scaling.beta_fast);
    check_positive(file, "beta_slow", scaling.beta_slow);
    if (config.rope_theta <= 1)
      fail_load("{}: `rope_theta` is {}, expected more than 1", file, config.rope_theta);
    return;
  }
  check_positive(file, "low_freq_factor", scaling.low_freq_factor);
  if (!(scaling.high_freq_factor > scaling.low_freq_factor)) {
    fail_load("{}: `high_freq_factor` is {}, expected more than `low_freq_factor`, {}", file,
              scaling.high_freq_factor, scaling.low_freq_factor);
  }
}

void check_latent_attention(const LatentAttention& mla, const std::string& file) {
  check_positive(file, "kv_lora_rank", mla.kv_lora_rank);
  check_positive(file, "qk_nope_head_dim", mla.qk_nope_head_dim);
  check_positive(file, "qk_rope_head_dim", mla.qk_rope_head_dim);
  check_positive(file, "v_head_dim", mla.v_head_dim);
  if (mla.q_lora_rank < 0)
    fail_load("{}: `q_lora_rank` is {}, expected null or at least 1", file, mla.q_lora_rank);
}

void check_experts(const MixtureOfExperts& moe, const std::string& file) {
  check_positive(file, "n_routed_experts", moe.num_experts);
  check_positive(file, "moe_intermediate_size", moe.intermediate_size);
  check_positive(file, "moe_layer_freq", moe.layer_frequency);
  check_positive(file, "n_group", moe.num_groups);
  check_positive(file, "topk_group", moe.top_groups);
  check_positive(file, "num_experts_per_tok", moe.experts_per_token);
  if (moe.num_shared_experts < 0)
    fail_load("{}: `n_shared_experts` is {}, expected 0 or more", file, moe.num_shared_experts);
  if (moe.num_experts % moe.num_groups != 0)
    fail_load("{}: {} experts, expected a multiple of the {} groups", file, moe.num_experts, moe.num_groups);
  if (moe.top_groups > moe.num_groups)
    fail_load("{}: `topk_group` is {}, expected at most `n_group`, {}", file, moe.top_groups, moe.num_groups);
  const int eligible = moe.num_experts / moe.num_groups * moe.top_groups;
  if (moe.experts_per_token > eligible)
    fail_load("{}: `num_experts_per_tok` is {}, expected at most the {} that may be chosen", file,
              moe.experts_per_token, eligible);
}

// The names that a module goes by where it is merged with its neighbours.
std::vector<std::string> merged_names(std::string_view module) {
  constexpr std::pair<std::string_view, std::string_view> kMerged[] = {
      {"gate_proj", "gate_up_proj"},
      {"up_proj", "gate_up_proj"},
      {"q_proj", "qkv_proj"},
      {"k_proj", "qkv_proj"},
      {"v_proj", "qkv_proj"},
      {"q_a_proj", "fused_qkv_a_proj_with_mqa"},
      {"kv_a_proj_with_mqa", "fused_qkv_a_proj_with_mqa"}};
  const size_t dot = module.rfind('.') + 1;  // 0 without one
  std::vector<std::string> names = {std::string(module)};
  for (const auto& [part, merged] : kMerged) {
    if (module.substr(dot) == part) names.push_back(std::string(module.substr(0, dot)) + std::string(merged));
  }
  return names;
}

}  // namespace

bool BlockFp8::converts(std::string_view module) const {
  for (const std::string& name : merged_names(module)) {
    for (const std::string& kept : modules_to_not_convert) {
      if (name == kept || name.starts_with(kept + ".") || name.ends_with("." + kept)) return false;
    }
  }
  return true;
}

const SupportedModel* find_supported_model(std::string_view model_type) {
  const auto* found = std::find_if(kSupported.begin(), kSupported.end(), [&](const SupportedModel& model) {
    return model.model_type == model_type;
  });
  return found == kSupported.end() ? nullptr : found;
}

std::string supported_model_types() {
  std::string names;
  for (const SupportedModel& model : kSupported) {
    names += names.empty() ? "" : ", ";
    names += model.model_type;
  }
  return names;
}

void check_config(ModelConfig& config, const std::string& file) {
  check_positive(file, "vocab_size", config.vocab_size);
  check_positive(file, "hidden_size", config.hidden_size);
  check_positive(file, "intermediate_size", config.intermediate_size);
  check_positive(file, "num_hidden_layers", config.num_hidden_layers);
  check_positive(file, "num_attention_heads", config.num_attention_heads);
  check_positive(file, "num_key_value_heads", config.num_key_value_heads);
  check_positive(file, "head_dim", config.head_dim);
  check_positive(file, "max_position_embeddings", config.max_position_embeddings);
  check_positive(file, "rms_norm_eps", config.rms_norm_eps);
  check_heads(config, file);
  check_rope(config, file);
  if (config.latent_attention) check_latent_attention(*config.latent_attention, file);
  if (config.experts) check_experts(*config.experts, file);
  const auto is_no_token = [&](int32_t id) { return id < 0 || id >= config.vocab_size; };
  std::erase_if(config.eos_token_ids, is_no_token);
  if (config.bos_token_id && is_no_token(*config.bos_token_id)) config.bos_token_id.reset();
}

}  // namespace musaic
