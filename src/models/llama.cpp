// Llama (Touvron et al. 2023): pre-norm blocks of rotary attention with grouped keys and a SwiGLU MLP.
#include "models/architectures.h"
#include "models/decoder.h"

namespace musaic {
namespace {

class LlamaAttention {
 public:
  LlamaAttention(const WeightNames& weights, const CacheSpec& cache, int layer)
      : query_(weights, layer_prefix(layer) + "self_attn.q_proj", query_size(weights),
               weights.config().hidden_size, weights.config().attention_bias),
        key_(weights, layer_prefix(layer) + "self_attn.k_proj", key_size(weights),
             weights.config().hidden_size, weights.config().attention_bias),
        value_(weights, layer_prefix(layer) + "self_attn.v_proj", key_size(weights),
               weights.config().hidden_size, weights.config().attention_bias),
        out_(weights, layer_prefix(layer) + "self_attn.o_proj", weights.config().hidden_size,
             query_size(weights), weights.config().attention_output_bias),
        attend_(weights.builder(), weights.config(), cache, layer) {}

  Value operator()(const LinearInput& x, const LayerInput& input) const {
    const Value query = query_(x);
    const Value key = key_(x);
    return out_(attend_(query, key, value_(x), input));
  }

 private:
  static int64_t query_size(const WeightNames& weights) {
    return int64_t{weights.config().num_attention_heads} * weights.config().head_dim;
  }
  static int64_t key_size(const WeightNames& weights) {
    return int64_t{weights.config().num_key_value_heads} * weights.config().head_dim;
  }

  Linear query_;
  Linear key_;
  Linear value_;
  Linear out_;
  CachedAttention attend_;
};

class LlamaBlock {
 public:
  LlamaBlock(const WeightNames& weights, const CacheSpec& cache, int layer)
      : input_norm_(weights, layer_prefix(layer) + "input_layernorm", weights.config().hidden_size),
        attention_(weights, cache, layer),
        post_norm_(weights, layer_prefix(layer) + "post_attention_layernorm", weights.config().hidden_size),
        mlp_(weights, layer_prefix(layer) + "mlp.") {}

  Value forward(Value x, const LayerInput& input) const {  // x: [tokens, hidden]
    const Value h = x + attention_(input_norm_(x), input);
    return h + mlp_(post_norm_(h));
  }

 private:
  RmsNorm input_norm_;
  LlamaAttention attention_;
  RmsNorm post_norm_;
  SwigluMlp mlp_;
};

}  // namespace

std::unique_ptr<Model> make_llama(const ModelConfig& config, const WeightSource* weights,
                                  const ModelOptions& options) {
  return std::make_unique<DecoderModel<LlamaBlock>>(config, weights, options);
}

}  // namespace musaic
