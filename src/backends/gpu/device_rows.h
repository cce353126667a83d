#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace musaic {

// Dense rows on a device, as kernels take them: a tensor [outer, width] or [outer, inner, width] at its
// strides (in values). C++17, like all that device sources include.
struct DeviceRows {
  void* data = nullptr;  // null: absent
  DType dtype = DType::kF32;
  int64_t outer = 0;  // leading dimension: what live_rows counts
  int64_t inner = 1;
  int64_t outer_stride = 0;
  int64_t inner_stride = 0;
  int64_t width = 0;

  int64_t rows() const { return outer * inner; }
};

}  // namespace musaic
