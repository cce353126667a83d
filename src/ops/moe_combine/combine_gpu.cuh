#pragma once

#include "backends/gpu/row_packs.cuh"
#include "ops/moe_combine/moe_combine_gpu.h"

namespace musaic {

// Some of a token's choices: grouped rows and weights.
struct TokenChoices {
  static constexpr int kCount = 8;  // whose rows are on their way at once

  int rows[kCount];
  float weights[kCount];

  __device__ void load(const MoeCombineCall& call, int64_t token, int first) {
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      if (first + j >= call.top_k) break;
      rows[j] = call.token_row[token * call.top_k + first + j];
      weights[j] = call.weights[token * call.top_k + first + j];
    }
  }
};

// The token's experts' results at `column`, weighted and added in the order of its choices, and the addend.
// `first_choices` are its first ones, T is the type of the results and of the addend.
template <class T, int N>
__device__ void combine_pack(const MoeCombineCall& call, const TokenChoices& first_choices, int64_t token,
                             int64_t column, bool whole, float (&sum)[N]) {
  constexpr int kLoads = TokenChoices::kCount;
  const T* x = static_cast<const T*>(call.x.data) + column;
  TokenChoices choices = first_choices;
#pragma unroll
  for (int i = 0; i < N; ++i) sum[i] = 0.0f;
  for (int base = 0; base < call.top_k; base += kLoads) {
    if (base > 0) choices.load(call, token, base);
    float values[kLoads][N] = {};
#pragma unroll
    for (int j = 0; j < kLoads; ++j) {
      if (base + j >= call.top_k) break;
      load_pack(x + choices.rows[j] * call.x.outer_stride, call.x.width - column, whole, values[j]);
    }
#pragma unroll
    for (int j = 0; j < kLoads; ++j) {
      if (base + j >= call.top_k) break;
#pragma unroll
      for (int i = 0; i < N; ++i) sum[i] = __fadd_rn(sum[i], __fmul_rn(choices.weights[j], values[j][i]));
    }
  }
  if (call.addend.data == nullptr) return;
  float more[N];
  load_pack(static_cast<const T*>(call.addend.data) + token * call.addend.outer_stride + column,
            call.x.width - column, whole, more);
#pragma unroll
  for (int i = 0; i < N; ++i) sum[i] = __fadd_rn(sum[i], more[i]);
}

}  // namespace musaic
