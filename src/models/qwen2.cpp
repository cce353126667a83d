// Qwen2 (Yang et al. 2024): Llama's block with biases on query, key and value.
#include "models/architectures.h"
#include "models/decoder.h"

namespace musaic {
namespace {

class Qwen2Block {
 public:
  Qwen2Block(const WeightNames& weights, const CacheSpec& cache, int layer)
      : input_norm_(weights, layer_prefix(layer) + "input_layernorm", weights.config().hidden_size),
        query_(weights, layer_prefix(layer) + "self_attn.q_proj", query_size(weights.config()),
               weights.config().hidden_size, /*has_bias=*/true),
        key_(weights, layer_prefix(layer) + "self_attn.k_proj", key_size(weights.config()),
             weights.config().hidden_size, /*has_bias=*/true),
        value_(weights, layer_prefix(layer) + "self_attn.v_proj", key_size(weights.config()),
               weights.config().hidden_size, /*has_bias=*/true),
        attend_(weights.builder(), weights.config(), cache, layer),
        out_(weights, layer_prefix(layer) + "self_attn.o_proj", weights.config().hidden_size,
             query_size(weights.config())),
        post_norm_(weights, layer_prefix(layer) + "post_attention_layernorm", weights.config().hidden_size),
        mlp_(weights, layer_prefix(layer) + "mlp.") {}

  Value forward(Value x, const LayerInput& input) const {  // x: [tokens, hidden]
    const Value h = x + attention(input_norm_(x), input);
    return h + mlp_(post_norm_(h));
  }

 private:
  static int64_t query_size(const ModelConfig& config) {
    return int64_t{config.num_attention_heads} * config.head_dim;
  }
  static int64_t key_size(const ModelConfig& config) {
    return int64_t{config.num_key_value_heads} * config.head_dim;
  }

  Value attention(const LinearInput& x, const LayerInput& input) const {
    const Value query = query_(x);
    const Value key = key_(x);
    return out_(attend_(query, key, value_(x), input));
  }

  RmsNorm input_norm_;
  Linear query_;
  Linear key_;
  Linear value_;
  CachedAttention attend_;
  Linear out_;
  RmsNorm post_norm_;
  SwigluMlp mlp_;
};

}  // namespace

std::unique_ptr<Model> make_qwen2(const ModelConfig& config, const WeightSource* weights,
                                  const ModelOptions& options) {
  return std::make_unique<DecoderModel<Qwen2Block>>(config, weights, options);
}

}  // namespace musaic
