#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of aten::linear.
struct LinearCall {
  DeviceRows x;
  DeviceRows y;
  const uint8_t* weight = nullptr;  // [y.width, x.width], 16-byte aligned
  DType weight_dtype = DType::kF32;
  int64_t weight_row_bytes = 0;
  const void* bias = nullptr;  // null: none
  DType bias_dtype = DType::kF32;
  const int32_t* live_rows = nullptr;
};

// A sum over k is the sum of eight stripes, each in order: stripe s has the packets of 8 values whose number
// is s modulo 8. Every kernel keeps to it, so that a row's bits depend neither on the kernel nor on the other
// rows.
void launch_linear(const LinearCall& call, gpuStream_t stream);

// The same by matrix units, whose sums have an order of their own. REQUIRES: a bf16 weight, k and n multiples
// of 16.
void launch_linear_mma(const LinearCall& call, gpuStream_t stream);

class OpRegistry;
void add_linear_float_gpu(OpRegistry& registry);
void add_linear_q8_gpu(OpRegistry& registry);

}  // namespace musaic
