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

// Multi-head latent attention: keys and values of all heads are made from one latent vector a token, the
// query from one of its own or from the hidden state.
struct LatentAttention {
  int q_lora_rank = 0;  // 0: the query is projected from the hidden state at once
  int kv_lora_rank = 0;
  int qk_nope_head_dim = 0;  // of a query or key head: without position,
  int qk_rope_head_dim = 0;  // and rotated; the rotated key is shared by the heads
  int v_head_dim = 0;

  int query_head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }
};

// A mixture of experts in the place of the MLP.
struct MixtureOfExperts {
  int num_experts = 0;
  int num_shared_experts = 0;  // as wide as so many experts together; every token passes through
  int experts_per_token = 0;
  int intermediate_size = 0;  // of one expert
  int first_moe_layer = 0;    // the layers before it are dense
  int layer_frequency = 1;    // of the others, every so manyth layer has experts
  int num_groups = 1;
  int top_groups = 1;  // the best so many groups have the experts that may be chosen
  bool norm_topk_prob = false;
  double routed_scaling_factor = 1.0;

  bool is_moe_layer(int layer) const { return layer >= first_moe_layer && layer % layer_frequency == 0; }
};

// Linears in FP8 (e4m3): one float32 scale, `weight_scale_inv`, for each block of a weight; the activations
// are quantized on the way, per token and group of `kBlock`.
struct BlockFp8 {
  static constexpr int kBlock = 128;  // rows and columns

  std::vector<std::string> modules_to_not_convert;

  // Whether the linear of that name ("model.layers.0.mlp.up_proj") is in FP8. The list may name it, a module
  // around it, or what it is merged into ("model.layers.0.mlp.gate_up_proj").
  bool converts(std::string_view module) const;
};

// An architecture's sizes, from config.json or GGUF metadata. Names follow Hugging Face's.
struct ModelConfig {
  std::string model_type;                  // "llama", "qwen2", "qwen3", "deepseek_v2"
  std::vector<std::string> architectures;  // "LlamaForCausalLM"
  std::string dtype;                       // as stored: "bfloat16", "float32", "q4_1"
  int vocab_size = 0;
  int hidden_size = 0;
  int intermediate_size = 0;
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;  // of the rotated part with latent attention
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
  std::optional<LatentAttention> latent_attention;
  std::optional<MixtureOfExperts> experts;
  std::optional<BlockFp8> fp8;
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
std::string supported_model_types();                                      // "llama, qwen2, ...", for messages

// Throws LoadError naming `file` when sizes contradict each other or are out of range. Token ids beyond the
// vocabulary, which no model can produce, are dropped.
void check_config(ModelConfig& config, const std::string& file);

}  // namespace musaic
