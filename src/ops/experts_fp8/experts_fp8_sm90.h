#pragma once

#include "ops/grouped_linear/grouped_linear_fp8_sm90.h"
#include "ops/linear_fp8/linear_fp8_gpu.h"

namespace musaic {

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
// n multiples of 4. REQUIRES: start and count were written before the kernel before this one began.
bool launch_experts_down_fp8(const GroupedLinearFp8Call& routed, const LinearFp8Call& shared,
                             gpuStream_t stream);

class OpRegistry;
void add_experts_fp8_sm90(OpRegistry& registry);

}  // namespace musaic
