#pragma once

#include <cstdint>

#include "gpu_vendor.h"
#include "tensor/dtype.h"

namespace musaic {

// One call of musaic::random_values.
struct RandomValuesCall {
  void* x = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t width = 0;
  uint64_t seed = 0;
  float mean = 0;
  float deviation = 1;
  const int32_t* live_rows = nullptr;
};

void launch_random_values(const RandomValuesCall& call, gpuStream_t stream);

}  // namespace musaic
