#pragma once

#include "backends/gpu/row_packs.cuh"
#include "ops/moe_combine/moe_combine_gpu.h"

namespace musaic {

// The token's experts' results at `column`, weighted and added in the order of its choices, and the addend.
template <int N>
__device__ void combine_pack(const MoeCombineCall& call, int64_t token, int64_t column, bool whole,
                             float (&sum)[N]) {
  constexpr int kLoads = 8;  // on their way at once
  const int32_t* rows = call.token_row + token * call.top_k;
  const float* weights = call.weights + token * call.top_k;
  const float* x = static_cast<const float*>(call.x.data) + column;
#pragma unroll
  for (int i = 0; i < N; ++i) sum[i] = 0.0f;
  for (int base = 0; base < call.top_k; base += kLoads) {
    float values[kLoads][N] = {};
#pragma unroll
    for (int j = 0; j < kLoads; ++j) {
      if (base + j >= call.top_k) break;
      load_pack(x + rows[base + j] * call.x.outer_stride, call.x.width - column, whole, values[j]);
    }
#pragma unroll
    for (int j = 0; j < kLoads; ++j) {
      if (base + j >= call.top_k) break;
      const float weight = weights[base + j];
#pragma unroll
      for (int i = 0; i < N; ++i) sum[i] = __fadd_rn(sum[i], __fmul_rn(weight, values[j][i]));
    }
  }
  if (call.addend.data == nullptr) return;
  float more[N];
  load_pack(static_cast<const float*>(call.addend.data) + token * call.addend.outer_stride + column,
            call.x.width - column, whole, more);
#pragma unroll
  for (int i = 0; i < N; ++i) sum[i] = __fadd_rn(sum[i], more[i]);
}

}  // namespace musaic
