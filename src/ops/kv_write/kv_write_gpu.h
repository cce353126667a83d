#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of musaic::kv_write (no query, nothing is rotated) or musaic::rope_kv_write. Slots and the number
// of live rows are what the host brings for a step.
struct KvWriteCall {
  DeviceRows query;
  DeviceRows key;
  DeviceRows value;
  DeviceRows cos_sin;
  const int32_t* slots = nullptr;
  void* key_cache = nullptr;  // [pages, kv_heads, page_size, head_dim]
  void* value_cache = nullptr;
  DType cache_dtype = DType::kF32;
  int64_t kv_heads = 0;
  int64_t page_size = 0;
  int64_t head_dim = 0;
  bool interleaved = false;
  const int32_t* live_rows = nullptr;
};

// REQUIRES: query, key and value of one dtype.
void launch_kv_write(const KvWriteCall& call, gpuStream_t stream);

}  // namespace musaic
