#pragma once

#include <vector>

#include "weights/model_config.h"

namespace musaic {

// [rotary_dim / 2]: the angle of pair i at position p is p times element i. Scaled as the configuration says
// (linear, llama3, yarn), or divided by its `rope_frequency_factors`.
// REQUIRES: rotary_dim is even; the factors, if any, are rotary_dim / 2.
std::vector<float> rope_inverse_frequencies(const ModelConfig& config, int rotary_dim);

// The same over a whole head.
std::vector<float> rope_inverse_frequencies(const ModelConfig& config);

// What cos and sin are multiplied by: 1 except with yarn.
float rope_attention_factor(const ModelConfig& config);

// What the scores before the softmax are multiplied by besides: 1 except with yarn's `mscale_all_dim`, whose
// magnitude counts twice (DeepSeek-V2).
double rope_score_factor(const ModelConfig& config);

}  // namespace musaic
