#pragma once

#include <memory>

#include "models/layers.h"
#include "models/model.h"

namespace musaic {

// The frame that decoder-only models share: embedding, blocks, final norm, head. `Block` is constructed from
// (const WeightNames&, const CacheSpec&, int layer) and has forward(x, layer_input).
template <class Block>
class DecoderModel : public Model {
 public:
  DecoderModel(const ModelConfig& config, const WeightSource* weights, const ModelOptions& options)
      : config_(config), weights_(weights), options_(options) {}

  Value forward(GraphBuilder& builder, const StepInputs& inputs) const override {
    const WeightNames weights(builder, config_, weights_);
    const LayerInput layer_input{inputs, rotary_cos_sin(builder, config_, inputs.positions),
                                 expert_layout(inputs.form),
                                 options_.one_form ? StepForm::kDecode : inputs.form};
    Value x = embed_tokens(weights, inputs.token_ids);
    for (int layer = 0; layer < config_.num_hidden_layers; ++layer) {
      x = Block(weights, cache(), layer).forward(x, layer_input);
    }
    return x;
  }

  Value head(GraphBuilder& builder, Value hidden) const override {
    const WeightNames weights(builder, config_, weights_);
    return lm_head(weights, RmsNorm(weights, "model.norm", config_.hidden_size)(hidden));
  }

  CacheSpec cache() const override { return attention_cache(config_, options_); }

 private:
  ExpertLayout expert_layout(StepForm form) const {
    if (!options_.deepgemm_layouts) return ExpertLayout::kCompact;
    return form == StepForm::kExtend ? ExpertLayout::kContiguous : ExpertLayout::kMasked;
  }

  const ModelConfig& config_;
  const WeightSource* weights_;
  ModelOptions options_;
};

}  // namespace musaic
