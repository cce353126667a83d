#pragma once

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "device/row_invariant.h"
#include "ops/experts_fp8/experts_fp8_sm90.h"

// What kernels of musaic::experts_fp8, and of ops that begin with its arguments, make of a call.
namespace musaic {

namespace experts_fp8_input {
enum Input { kQ, kScale, kRowToken, kStart, kCount, kGateUp, kSharedGateUp = 7, kDown = 9, kSharedDown = 11 };
}

// Groups of 128 values of the rows between the linears. A workspace has 128 bytes and a scale for each.
inline Dim experts_row_groups(const KernelQuery& query) {
  using namespace experts_fp8_input;
  const auto groups = [&](int rows_of, int weight) {
    return query.inputs[rows_of]->dim(0) * Dim(query.inputs[weight]->dim(-1).constant() / 128);
  };
  return groups(kRowToken, kDown) + groups(kQ, kSharedDown);
}
inline int64_t experts_row_groups(const ExpertsFp8Call& call) {
  return call.rows * (call.routed.d / 128) + call.tokens * (call.shared.d / 128);
}
inline constexpr int64_t kRowGroupBytes = 128, kRowGroupScaleBytes = sizeof(float);

inline ExpertsLinears experts_linears(const KernelCall& call, int gate_up, int down) {
  ExpertsLinears linears;
  linears.gate_up = call.inputs[gate_up].as<const uint8_t>();
  linears.gate_up_scale = call.inputs[gate_up + 1].as<const float>();
  linears.down = call.inputs[down].as<const uint8_t>();
  linears.down_scale = call.inputs[down + 1].as<const float>();
  linears.d = call.inputs[down].shape[-1];
  return linears;
}

// All but where the rows between the linears and the results go.
inline ExpertsFp8Call experts_fp8_call(const KernelCall& call) {
  using namespace experts_fp8_input;
  static_assert(kMaxFewRowTiles <= GpuStream::kNumCounters);
  const auto in = call.inputs;
  ExpertsFp8Call work;
  work.q = in[kQ].as<const uint8_t>();
  work.scale = in[kScale].as<const float>();
  work.row_token = in[kRowToken].as<const int32_t>();
  work.start = in[kStart].as<const int32_t>();
  work.count = in[kCount].as<const int32_t>();
  work.live_rows = call.live_rows;
  work.num_experts = in[kGateUp].shape[0];
  work.tokens = in[kQ].shape[0];
  work.rows = in[kRowToken].shape[0];
  work.k = in[kQ].shape[1];
  work.n = in[kDown].shape[1];
  work.routed = experts_linears(call, kGateUp, kDown);
  work.shared = experts_linears(call, kSharedGateUp, kSharedDown);
  work.counters = gpu_stream(call.stream).counters();
  return work;
}

// The rows between the linears.
inline void place_expert_rows(ExpertsFp8Call& work, uint8_t* q, void* scales) {
  auto* routed_scale = static_cast<float*>(scales);
  work.routed.rows = {q, routed_scale};
  work.shared.rows = {q + work.rows * work.routed.d, routed_scale + work.rows * (work.routed.d / 128)};
}

// `routed` and `shared`: weights of multiples of `rows_of` rows.
inline bool supports_experts(const KernelQuery& query, size_t routed, size_t shared, int64_t rows_of) {
  const auto is_multiple = [](const Dim& dim, int64_t of) {
    return dim.is_constant() && dim.constant() % of == 0;
  };
  const Meta &weight = *query.inputs[routed], &shared_weight = *query.inputs[shared];
  // One of the experts that a block keeps in mind is the shared one.
  return query.capabilities.has("sm_90") && !query.capabilities.has(kRowInvariant) &&
         weight.dim(0).is_constant() && weight.dim(0).constant() < kMaxSm90Experts &&
         is_multiple(weight.dim(1), rows_of) && is_multiple(weight.dim(2), 128) &&
         is_multiple(shared_weight.dim(0), rows_of) && is_multiple(shared_weight.dim(1), 128);
}

inline bool supports_experts_fp8(const KernelQuery& query) {
  using namespace experts_fp8_input;
  return supports_experts(query, kGateUp, kSharedGateUp, 256) &&
         supports_experts(query, kDown, kSharedDown, 4);
}

}  // namespace musaic
