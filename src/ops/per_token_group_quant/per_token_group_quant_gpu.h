#pragma once

#include <cstdint>

#include "gpu_vendor.h"
#include "tensor/dtype.h"

namespace musaic {

// A tensor of [planes, rows, columns], one plane for two dimensions; strides in values.
struct PlaneStrides {
  int64_t plane = 0;
  int64_t row = 0;
  int64_t column = 1;
};

// One call of sgl_kernel::sgl_per_token_group_quant_8bit_v2.
struct GroupQuantCall {
  const void* input = nullptr;
  DType dtype = DType::kF32;
  PlaneStrides input_strides;
  uint8_t* q = nullptr;  // contiguous
  bool is_i8 = false;
  void* scales = nullptr;
  bool packed = false;  // exponents in i32
  PlaneStrides scale_strides;
  const int32_t* masked_m = nullptr;  // may be absent
  int64_t planes = 1;
  int64_t rows = 0;    // of one plane
  int64_t width = 0;   // of a quantized row
  int64_t groups = 0;  // the last may be shorter
  int group_size = 128;
  float eps = 0;
  float min = 0;
  float max = 0;
  bool power_of_two = false;
  bool fuse_silu = false;
  bool nested = false;  // live_rows counts planes, not rows
  const int32_t* live_rows = nullptr;
};

void launch_group_quant(const GroupQuantCall& call, gpuStream_t stream);

}  // namespace musaic
