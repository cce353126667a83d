#include "weights/hf_config_parts.h"

#include "base/status.h"

namespace musaic {
namespace {

LatentAttention read_latent_attention(const JsonFields& fields) {
  return {.q_lora_rank = fields.find_int("q_lora_rank").value_or(0),
          .kv_lora_rank = fields.require_int("kv_lora_rank"),
          .qk_nope_head_dim = fields.require_int("qk_nope_head_dim"),
          .qk_rope_head_dim = fields.require_int("qk_rope_head_dim"),
          .v_head_dim = fields.require_int("v_head_dim")};
}

void require_value(const JsonFields& fields, const char* key, const std::string& expected) {
  const std::string got = fields.find_string(key).value_or(expected);
  if (got != expected) fail_load("{}: `{}` is `{}`, expected {}", fields.file(), key, got, expected);
}

// Without groups where the method does not ask for them, whatever their number says.
void read_groups(const JsonFields& fields, MixtureOfExperts& moe) {
  const std::string method = fields.find_string("topk_method").value_or("greedy");
  if (method == "greedy") return;
  if (method != "group_limited_greedy") {
    fail_load("{}: `topk_method` is `{}`, expected greedy or group_limited_greedy", fields.file(), method);
  }
  moe.num_groups = fields.require_int("n_group");
  moe.top_groups = fields.require_int("topk_group");
}

MixtureOfExperts read_experts(const JsonFields& fields) {
  require_value(fields, "scoring_func", "softmax");
  MixtureOfExperts moe;
  moe.num_experts = fields.require_int("n_routed_experts");
  moe.num_shared_experts = fields.find_int("n_shared_experts").value_or(0);
  moe.experts_per_token = fields.require_int("num_experts_per_tok");
  moe.intermediate_size = fields.require_int("moe_intermediate_size");
  moe.first_moe_layer = fields.find_int("first_k_dense_replace").value_or(0);
  moe.layer_frequency = fields.find_int("moe_layer_freq").value_or(1);
  moe.norm_topk_prob = fields.find_bool("norm_topk_prob").value_or(false);
  moe.routed_scaling_factor = fields.find_number("routed_scaling_factor").value_or(1.0);
  read_groups(fields, moe);
  return moe;
}

}  // namespace

void read_deepseek_v2(const JsonFields& fields, ModelConfig& config) {
  config.latent_attention = read_latent_attention(fields);
  config.head_dim = config.latent_attention->qk_rope_head_dim;
  config.rope_interleaved = fields.find_bool("rope_interleave").value_or(true);
  if (fields.find_int("n_routed_experts")) config.experts = read_experts(fields);
}

std::optional<BlockFp8> read_quantization(const JsonFields& fields) {
  const auto quantization = fields.find_object("quantization_config");
  if (!quantization) return std::nullopt;
  const std::string method = quantization->find_string("quant_method").value_or("an unnamed method");
  const std::vector<int> block = quantization->ints("weight_block_size");
  if (method != "fp8" || block != std::vector<int>{BlockFp8::kBlock, BlockFp8::kBlock}) {
    fail_load(
        "{}: quantized with `{}`, expected plain float32, float16 or bfloat16 weights, or `fp8` with a "
        "`weight_block_size` of [128, 128]",
        fields.file(), method);
  }
  require_value(*quantization, "fmt", "e4m3");
  require_value(*quantization, "activation_scheme", "dynamic");
  return BlockFp8{quantization->strings("modules_to_not_convert")};
}

}  // namespace musaic
