#pragma once

#include "ops/grouped_linear/grouped_linear_fp8_sm90.h"
#include "ops/linear_fp8/linear_fp8_gpu.h"

namespace musaic {

// Where down's results go.
struct ExpertRowsOut {
  void* data = nullptr;       // [rows, n]
  DType dtype = DType::kF32;  // or bf16
};

// Where a SwiGLU goes that is made in place of a call's y.
struct SwigluRowsFp8 {
  uint8_t* q = nullptr;    // [rows, d]
  float* scale = nullptr;  // [rows, d / 128]
};

// The products of routed and shared experts in one launch of Hopper's matrix units, with the bits of
// launch_linear_fp8_sm90. False: nothing was launched, since the driver cannot map a weight. REQUIRES:
// compute capability 9.0, fewer than 256 experts, k multiples of 128, weights at multiples of 16.

// Of 2 parts each, n / 2 multiples of 128; y of the calls is not written.
bool launch_experts_gate_up_fp8(const GroupedLinearFp8Call& routed, const SwigluRowsFp8& routed_rows,
                                const LinearFp8Call& shared, const SwigluRowsFp8& shared_rows,
                                gpuStream_t stream);
// n multiples of 4; y of the calls is not written. REQUIRES: start and count were written before the kernel
// before this one began.
bool launch_experts_down_fp8(const GroupedLinearFp8Call& routed, const ExpertRowsOut& routed_rows,
                             const LinearFp8Call& shared, const ExpertRowsOut& shared_rows,
                             gpuStream_t stream);

// Of routed or of shared experts.
struct ExpertsLinears {
  const uint8_t* gate_up = nullptr;  // [experts, 2 · d, k]  e4m3
  const float* gate_up_scale = nullptr;
  const uint8_t* down = nullptr;  // [experts, n, d]  e4m3
  const float* down_scale = nullptr;
  SwigluRowsFp8 rows;  // what goes from one to the other
  ExpertRowsOut out;
  int64_t d = 0;
};

// One call of musaic::experts_fp8.
struct ExpertsFp8Call {
  const uint8_t* q = nullptr;    // [tokens, k]
  const float* scale = nullptr;  // [tokens, k / 128]
  const int32_t* row_token = nullptr;
  const int32_t* start = nullptr;
  const int32_t* count = nullptr;
  const int32_t* live_rows = nullptr;
  int64_t num_experts = 0;
  int64_t tokens = 0;
  int64_t rows = 0;  // grouped
  int64_t k = 0;
  int64_t n = 0;
  ExpertsLinears routed;
  ExpertsLinears shared;
  uint32_t* counters = nullptr;  // GpuStream::counters
};

// As launch_experts_gate_up_fp8 and launch_experts_down_fp8, with the same bits; of few tokens in one launch.
// n multiples of 4, d multiples of 128.
bool launch_experts_fp8(const ExpertsFp8Call& call, gpuStream_t stream);

// What fits into a block's memory.
inline constexpr int kMaxFewRowTiles = 128;
inline constexpr int kMaxFewGroups = 22;  // of k and of d

bool takes_few_tokens(const ExpertsFp8Call& call);
// REQUIRES: takes_few_tokens.
bool launch_experts_few_fp8(const ExpertsFp8Call& call, gpuStream_t stream);

class OpRegistry;
void add_experts_fp8_sm90(OpRegistry& registry);
void add_experts_norm_fp8_sm90(OpRegistry& registry);

}  // namespace musaic
