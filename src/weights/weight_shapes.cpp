#include "weights/weight_shapes.h"

#include <fmt/format.h>

#include <string_view>

namespace musaic {
namespace {

class ShapeList {
 public:
  explicit ShapeList(const ModelConfig& config) : config_(config) {}

  void add(std::string name, const Shape& shape, WeightStorage storage = WeightStorage::kPlain) {
    shapes_.push_back({std::move(name), shape, storage});
  }
  void add_linear(const std::string& module, int64_t out, int64_t in, bool has_bias = false) {
    const Shape shape = {out, in};
    if (config_.fp8 && config_.fp8->converts(module)) {
      add(module + ".weight", shape, WeightStorage::kFp8);
      add(module + ".weight_scale_inv", fp8_scale_shape(shape), WeightStorage::kFp8Scale);
    } else {
      add(module + ".weight", shape);
    }
    if (has_bias) add(module + ".bias", {out});
  }
  void add_mlp(const std::string& mlp, int64_t intermediate_size, bool has_bias = false) {
    add_linear(mlp + "gate_proj", intermediate_size, config_.hidden_size, has_bias);
    add_linear(mlp + "up_proj", intermediate_size, config_.hidden_size, has_bias);
    add_linear(mlp + "down_proj", config_.hidden_size, intermediate_size, has_bias);
  }
  const ModelConfig& config() const { return config_; }
  std::vector<WeightShape> take() { return std::move(shapes_); }

 private:
  const ModelConfig& config_;
  std::vector<WeightShape> shapes_;
};

void add_attention(ShapeList& list, const std::string& attention) {
  const ModelConfig& config = list.config();
  const int64_t q_width = int64_t{config.num_attention_heads} * config.head_dim;
  const int64_t kv_width = int64_t{config.num_key_value_heads} * config.head_dim;
  list.add_linear(attention + "q_proj", q_width, config.hidden_size, config.attention_bias);
  list.add_linear(attention + "k_proj", kv_width, config.hidden_size, config.attention_bias);
  list.add_linear(attention + "v_proj", kv_width, config.hidden_size, config.attention_bias);
  list.add_linear(attention + "o_proj", config.hidden_size, q_width, config.attention_output_bias);
  if (config.model_type == "qwen3") {
    list.add(attention + "q_norm.weight", {config.head_dim});
    list.add(attention + "k_norm.weight", {config.head_dim});
  }
}

void add_latent_attention(ShapeList& list, const LatentAttention& mla, const std::string& attention) {
  const ModelConfig& config = list.config();
  const int64_t heads = config.num_attention_heads;
  const int64_t q_width = heads * mla.query_head_dim();
  if (mla.q_lora_rank > 0) {
    list.add_linear(attention + "q_a_proj", mla.q_lora_rank, config.hidden_size, config.attention_bias);
    list.add(attention + "q_a_layernorm.weight", {mla.q_lora_rank});
    list.add_linear(attention + "q_b_proj", q_width, mla.q_lora_rank);
  } else {
    list.add_linear(attention + "q_proj", q_width, config.hidden_size);
  }
  list.add_linear(attention + "kv_a_proj_with_mqa", mla.kv_lora_rank + mla.qk_rope_head_dim,
                  config.hidden_size, config.attention_bias);
  list.add(attention + "kv_a_layernorm.weight", {mla.kv_lora_rank});
  list.add_linear(attention + "kv_b_proj", heads * (mla.qk_nope_head_dim + mla.v_head_dim), mla.kv_lora_rank);
  list.add_linear(attention + "o_proj", config.hidden_size, heads * mla.v_head_dim,
                  config.attention_output_bias);
}

void add_experts(ShapeList& list, const MixtureOfExperts& moe, const std::string& mlp) {
  list.add(mlp + "gate.weight", {moe.num_experts, list.config().hidden_size});
  for (int expert = 0; expert < moe.num_experts; ++expert)
    list.add_mlp(fmt::format("{}experts.{}.", mlp, expert), moe.intermediate_size);
  if (moe.num_shared_experts > 0)
    list.add_mlp(mlp + "shared_experts.", int64_t{moe.num_shared_experts} * moe.intermediate_size);
}

void add_layer(ShapeList& list, int index) {
  const ModelConfig& config = list.config();
  const std::string layer = fmt::format("model.layers.{}.", index);
  list.add(layer + "input_layernorm.weight", {config.hidden_size});
  if (config.latent_attention) {
    add_latent_attention(list, *config.latent_attention, layer + "self_attn.");
  } else {
    add_attention(list, layer + "self_attn.");
  }
  list.add(layer + "post_attention_layernorm.weight", {config.hidden_size});
  if (config.experts && config.experts->is_moe_layer(index)) {
    add_experts(list, *config.experts, layer + "mlp.");
  } else {
    list.add_mlp(layer + "mlp.", config.intermediate_size, config.mlp_bias);
  }
}

}  // namespace

Shape fp8_scale_shape(const Shape& weight) {
  constexpr int64_t kBlock = BlockFp8::kBlock;
  return {(weight[0] + kBlock - 1) / kBlock, (weight[1] + kBlock - 1) / kBlock};
}

std::vector<WeightShape> list_weight_shapes(const ModelConfig& config) {
  ShapeList list(config);
  list.add("model.embed_tokens.weight", {config.vocab_size, config.hidden_size});
  for (int i = 0; i < config.num_hidden_layers; ++i) add_layer(list, i);
  list.add("model.norm.weight", {config.hidden_size});
  if (!config.tie_word_embeddings) list.add("lm_head.weight", {config.vocab_size, config.hidden_size});
  return list.take();
}

}  // namespace musaic
