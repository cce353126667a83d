#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"
#include "ops/mla_attention/kv_b_gpu.h"

namespace musaic {

// One call of musaic::mla_absorb_query or musaic::mla_expand_values; rows in float32.
struct MlaProjectCall {
  DeviceRows rows;
  DeviceRows out;
  KvBGpu kv_b;
  int heads = 0;
  const int32_t* live_rows = nullptr;
};

// For kv_b of any size and type.
void launch_absorb_plain(const MlaProjectCall& call, gpuStream_t stream);
void launch_expand_plain(const MlaProjectCall& call, gpuStream_t stream);

// By matrix units. REQUIRES: kv_b.has_matrix_sizes(), rows whose heads begin at multiples of 16 bytes.
void launch_absorb_matrix(const MlaProjectCall& call, gpuStream_t stream);
void launch_expand_matrix(const MlaProjectCall& call, gpuStream_t stream);

}  // namespace musaic
