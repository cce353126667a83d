#include "weights/weight_shapes.h"

#include <fmt/format.h>

#include <string_view>

namespace musaic {
namespace {

class ShapeList {
 public:
  void add(std::string name, const Shape& shape) { shapes_.push_back({std::move(name), shape}); }
  void add_linear(const std::string& module, int64_t out, int64_t in, bool has_bias) {
    add(module + ".weight", {out, in});
    if (has_bias) add(module + ".bias", {out});
  }
  std::vector<WeightShape> take() { return std::move(shapes_); }

 private:
  std::vector<WeightShape> shapes_;
};

void add_attention(ShapeList& list, const ModelConfig& config, const std::string& attention) {
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

void add_layer(ShapeList& list, const ModelConfig& config, const std::string& layer) {
  list.add(layer + "input_layernorm.weight", {config.hidden_size});
  add_attention(list, config, layer + "self_attn.");
  list.add(layer + "post_attention_layernorm.weight", {config.hidden_size});
  list.add_linear(layer + "mlp.gate_proj", config.intermediate_size, config.hidden_size, config.mlp_bias);
  list.add_linear(layer + "mlp.up_proj", config.intermediate_size, config.hidden_size, config.mlp_bias);
  list.add_linear(layer + "mlp.down_proj", config.hidden_size, config.intermediate_size, config.mlp_bias);
}

}  // namespace

std::vector<WeightShape> list_weight_shapes(const ModelConfig& config) {
  ShapeList list;
  list.add("model.embed_tokens.weight", {config.vocab_size, config.hidden_size});
  for (int i = 0; i < config.num_hidden_layers; ++i)
    add_layer(list, config, fmt::format("model.layers.{}.", i));
  list.add("model.norm.weight", {config.hidden_size});
  if (!config.tie_word_embeddings) list.add("lm_head.weight", {config.vocab_size, config.hidden_size});
  return list.take();
}

}  // namespace musaic
