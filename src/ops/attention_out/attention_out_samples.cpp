#include <fmt/format.h>

#include "ops/attention/attention_samples.h"

namespace musaic {
namespace {

OpSample attention_out_sample(const AttentionLayout& layout, int64_t hidden,
                              const std::vector<int64_t>& kv_lengths, int64_t pads, bool interleaved) {
  OpSample sample = rope_attention_sample(layout, kv_lengths, pads, interleaved);
  const int64_t tokens = static_cast<int64_t>(kv_lengths.size()) + pads;
  const int64_t width = layout.heads * layout.head_dim;
  sample.name += fmt::format(", {} columns", hidden);
  sample.inputs.insert(sample.inputs.begin(),
                       sample_rows_of(HostTensor::random(DType::kF32, {tokens, hidden}, 7, 1, hidden + 4)));
  sample.inputs.push_back(sample_fixed(HostTensor::random(DType::kBF16, {hidden, width}, 8, 0.1f)));
  sample.outputs = {};
  return sample;
}

}  // namespace

// Few rows and many, positions of one block and of several rounds of blocks.
std::vector<OpSample> attention_out_samples() {
  const AttentionLayout nine{9, 3, 64, 16, DType::kBF16}, fourteen{14, 2, 64, 64, DType::kBF16};
  return {attention_out_sample(nine, 576, {}, 0, false),
          attention_out_sample(nine, 576, {1}, 0, false),
          attention_out_sample(nine, 576, {17}, 0, true),
          attention_out_sample(nine, 576, {640, 49, 130}, 1, false),
          attention_out_sample(fourteen, 896, {2, 600}, 1, true),
          attention_out_sample(nine, 576, std::vector<int64_t>(70, 33), 3, false)};
}

}  // namespace musaic
