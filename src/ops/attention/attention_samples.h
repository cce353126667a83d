#pragma once

#include "ops/op_samples.h"

namespace musaic {

struct AttentionLayout {
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t page_size;
  DType cache;
};

// musaic::rope_attention of sequences with so many positions, up to 640: each one's last position is the
// step's, whatever the cache has there.
OpSample rope_attention_sample(const AttentionLayout& layout, const std::vector<int64_t>& kv_lengths,
                               int64_t pads, bool interleaved);

}  // namespace musaic
