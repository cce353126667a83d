#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace musaic {

// How values are made instead of read: value i of a tensor is mean + deviation · z, where z, near normal of
// mean 0 and variance 1, depends on seed and i alone. The same on every machine.
struct RandomValues {
  uint64_t seed = 0;
  float mean = 0;
  float deviation = 1;

  float at(uint64_t index) const;
  // Values first .. first + count - 1, rounded. REQUIRES: dtype is f32, bf16 or f8e4m3.
  void fill(DType dtype, uint64_t first, int64_t count, std::byte* out) const;
};

}  // namespace musaic
