// Qwen3 (Yang et al. 2025): Llama's block with an RMS norm over each head of query and key before the
// rotation.
#include "models/architectures.h"
#include "models/decoder.h"
#include "ops/view/view.h"

namespace musaic {
namespace {

class Qwen3Block {
 public:
  Qwen3Block(const WeightNames& weights, const CacheSpec& cache, int layer)
      : head_dim_(weights.config().head_dim),
        input_norm_(weights, layer_prefix(layer) + "input_layernorm", weights.config().hidden_size),
        query_(weights, layer_prefix(layer) + "self_attn.q_proj", query_size(weights.config()),
               weights.config().hidden_size, weights.config().attention_bias),
        key_(weights, layer_prefix(layer) + "self_attn.k_proj", key_size(weights.config()),
             weights.config().hidden_size, weights.config().attention_bias),
        value_(weights, layer_prefix(layer) + "self_attn.v_proj", key_size(weights.config()),
               weights.config().hidden_size, weights.config().attention_bias),
        query_norm_(weights, layer_prefix(layer) + "self_attn.q_norm", head_dim_),
        key_norm_(weights, layer_prefix(layer) + "self_attn.k_norm", head_dim_),
        attend_(weights.builder(), weights.config(), cache, layer),
        out_(weights, layer_prefix(layer) + "self_attn.o_proj", weights.config().hidden_size,
             query_size(weights.config()), weights.config().attention_output_bias),
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

  Value norm_heads(const RmsNorm& norm, Value x) const {
    return merge_last_dims(norm(split_last_dim(x, head_dim_)));
  }

  Value attention(const LinearInput& x, const LayerInput& input) const {
    const Value query = norm_heads(query_norm_, query_(x));
    const Value key = norm_heads(key_norm_, key_(x));
    return out_(attend_(query, key, value_(x), input));
  }

  int head_dim_;
  RmsNorm input_norm_;
  Linear query_;
  Linear key_;
  Linear value_;
  RmsNorm query_norm_;
  RmsNorm key_norm_;
  CachedAttention attend_;
  Linear out_;
  RmsNorm post_norm_;
  SwigluMlp mlp_;
};

}  // namespace

std::unique_ptr<Model> make_qwen3(const ModelConfig& config, const WeightSource* weights,
                                  const ModelOptions& options) {
  return std::make_unique<DecoderModel<Qwen3Block>>(config, weights, options);
}

}  // namespace musaic
