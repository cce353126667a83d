#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of aten::embedding.
struct EmbeddingCall {
  const uint8_t* weight = nullptr;  // [vocab, width], 16-byte aligned
  DType weight_dtype = DType::kF32;
  int64_t row_bytes = 0;
  int64_t vocab = 0;
  const int32_t* indices = nullptr;
  DeviceRows y;
  const int32_t* live_rows = nullptr;
};

void launch_embedding(const EmbeddingCall& call, gpuStream_t stream);

}  // namespace musaic
