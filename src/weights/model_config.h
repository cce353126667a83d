#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace musaic {

// Rope frequencies' scaling (`rope_scaling` or transformers 5's `rope_parameters`).
struct RopeScaling {
  std::string type;  // "llama3", "linear", "yarn"
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int original_max_position_embeddings = 0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double mscale = 1.0;
  double mscale_all_dim = 0.0;
  std::optional<double> attention_factor;  // yarn: of cos and sin; absent: from the factor and the mscales
  bool truncate = true;                    // yarn: the ramp begins and ends at whole dimensions
};

// An architecture's sizes, from config.json or GGUF metadata. Names follow Hugging Face's.
struct ModelConfig {
  std::string model_type;                  // "llama", "qwen2", "qwen3"
  std::vector<std::string> architectures;  // "LlamaForCausalLM"
  std::string dtype;                       // as stored: "bfloat16", "float32", "q4_1"
  int vocab_size = 0;
  int hidden_size = 0;
  int intermediate_size = 0;
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  int max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  std::optional<RopeScaling> rope_scaling;
  std::vector<float>
      rope_frequency_factors;     // [head_dim / 2], GGUF's `rope_freqs.weight`: divide the frequencies
  bool rope_interleaved = false;  // pairs (2i, 2i+1) rotate; false: halves (i, i + d/2)
  bool tie_word_embeddings = false;
  bool attention_bias = false;         // q/k/v have biases
  bool attention_output_bias = false;  // o_proj has one
  bool mlp_bias = false;
  std::vector<int32_t> eos_token_ids;  // of config, generation_config and GGUF together
  std::optional<int32_t> bos_token_id;
  // generation_config.json's sampling defaults, where present.
  std::optional<float> default_temperature;
  std::optional<float> default_top_p;
  std::optional<int> default_top_k;
  std::optional<float> default_min_p;
  std::optional<float> default_repetition_penalty;
};

// An architecture that opens, with what its config.json may leave out.
struct SupportedModel {
  std::string_view model_type;    // also GGUF's `general.architecture`
  std::string_view architecture;  // "LlamaForCausalLM"
  int max_position_embeddings;
  int head_dim;  // 0: hidden_size / num_attention_heads
};

const SupportedModel* find_supported_model(std::string_view model_type);  // nullptr: not supported
std::string supported_model_types();  // "llama, qwen2, qwen3", for messages

// Throws LoadError naming `file` when sizes contradict each other or are out of range. Token ids beyond the
// vocabulary, which no model can produce, are dropped.
void check_config(ModelConfig& config, const std::string& file);

}  // namespace musaic
