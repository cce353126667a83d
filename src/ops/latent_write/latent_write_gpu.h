#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of musaic::rope_latent_write; rows in float32.
struct LatentWriteCall {
  DeviceRows query;
  DeviceRows latent;
  DeviceRows rope_key;
  DeviceRows cos_sin;
  const int32_t* slots = nullptr;
  void* cache = nullptr;  // [slots, rank + r]
  DType cache_dtype = DType::kF32;
  int64_t head_dim = 0;
  bool interleaved = false;
  const int32_t* live_rows = nullptr;
};

void launch_latent_write(const LatentWriteCall& call, gpuStream_t stream);

}  // namespace musaic
