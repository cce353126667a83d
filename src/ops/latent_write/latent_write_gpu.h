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

// The norm of its latents, in musaic::norm_latent_write.
struct LatentNorm {
  const void* weight = nullptr;  // [rank]
  DType dtype = DType::kF32;
  float eps = 0;
};

void launch_latent_write(const LatentWriteCall& call, gpuStream_t stream);
void launch_norm_latent_write(const LatentWriteCall& call, const LatentNorm& norm, gpuStream_t stream);

struct KernelCall;
struct KernelQuery;
LatentWriteCall latent_write_call(const KernelCall& call);
// Whether query, latents and keys are in float32.
bool takes_latent_rows(const KernelQuery& query);

}  // namespace musaic
