#include "weights/model_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/status.h"

namespace musaic {
namespace {

constexpr std::array<SupportedModel, 3> kSupported = {{
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

}  // namespace

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
  const auto is_no_token = [&](int32_t id) { return id < 0 || id >= config.vocab_size; };
  std::erase_if(config.eos_token_ids, is_no_token);
  if (config.bos_token_id && is_no_token(*config.bos_token_id)) config.bos_token_id.reset();
}

}  // namespace musaic
