#pragma once

#include "ops/linear/float_linear_cpu.h"

namespace musaic {

// kv_b as a weight whose rows expand to float32; an undefined scale where it is not in FP8.
inline FloatLinearWork kv_b_of(const Tensor& kv_b, const Tensor& scale) {
  FloatLinearWork work = {};
  work.weight = kv_b.as<const uint8_t>();
  work.dtype = kv_b.dtype;
  work.weight_row_bytes = byte_size(kv_b.dtype, kv_b.shape[1]);
  work.part_rows = kv_b.shape[0];
  if (scale.defined()) {
    work.weight_scale = scale.as<const float>();
    work.scale_columns = scale.shape[1];
  }
  return work;
}

}  // namespace musaic
