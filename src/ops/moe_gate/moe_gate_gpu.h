#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of musaic::moe_gate.
struct MoeGateCall {
  DeviceRows logits;           // [tokens, experts]
  float* weights = nullptr;    // [tokens, top_k]
  int32_t* experts = nullptr;  // [tokens, top_k]
  int top_k = 0;
  int num_groups = 1;
  int top_groups = 1;
  bool renormalize = false;
  float scale = 1;
  const int32_t* live_rows = nullptr;
};

void launch_moe_gate(const MoeGateCall& call, gpuStream_t stream);

}  // namespace musaic
