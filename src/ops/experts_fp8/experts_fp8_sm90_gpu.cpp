#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "base/check.h"
#include "device/row_invariant.h"
#include "ir/registry.h"
#include "ops/experts_fp8/experts_fp8_sm90.h"

namespace musaic {
namespace {

// What follows q and its scale.
GroupedLinearFp8Call routed_call(const KernelCall& call, size_t start, int64_t parts) {
  const auto in = call.inputs;
  const Tensor& weight = in[start + 2];
  return {.q = in[0].as<const uint8_t>(),
          .scale = in[1].as<const float>(),
          .start = in[start].as<const int32_t>(),
          .count = in[start + 1].as<const int32_t>(),
          .num_experts = weight.shape[0],
          .weight = weight.as<const uint8_t>(),
          .weight_scale = in[start + 3].as<const float>(),
          .parts = parts,
          .rows = call.outputs[0].shape[0],
          .tokens = in[0].shape[0],
          .n = weight.shape[1],
          .k = weight.shape[2]};
}

LinearFp8Call shared_call(const KernelCall& call, size_t q, size_t weight) {
  const auto in = call.inputs;
  return {.q = in[q].as<const uint8_t>(),
          .scale = in[q + 1].as<const float>(),
          .weight = in[weight].as<const uint8_t>(),
          .weight_scale = in[weight + 1].as<const float>(),
          .rows = in[q].shape[0],
          .n = in[weight].shape[0],
          .k = in[weight].shape[1],
          .live_rows = call.live_rows};
}

void check(bool launched, GpuStream& stream) {
  CHECK(launched, "the driver does not map an expert's weight");
  stream.check_launch();
}

void run_gate_up(const KernelCall& call) {
  GroupedLinearFp8Call routed = routed_call(call, 3, 2);
  routed.row_token = call.inputs[2].as<const int32_t>();
  if (call.inputs[0].shape[0] == 0) return;
  const auto rows = [&](size_t output) {
    return SwigluRowsFp8{call.outputs[output].as<uint8_t>(), call.outputs[output + 1].as<float>()};
  };
  GpuStream& stream = gpu_stream(call.stream);
  check(launch_experts_gate_up_fp8(routed, rows(0), shared_call(call, 0, 7), rows(2), stream.handle()),
        stream);
}

void run_down(const KernelCall& call) {
  GroupedLinearFp8Call routed = routed_call(call, 2, 1);
  LinearFp8Call shared = shared_call(call, 6, 8);
  if (shared.rows == 0) return;
  routed.y = call.outputs[0].as<float>();
  shared.y = call.outputs[1].as<float>();
  GpuStream& stream = gpu_stream(call.stream);
  check(launch_experts_down_fp8(routed, shared, stream.handle()), stream);
}

enum Both { kQ, kScale, kRowToken, kStart, kCount, kGateUp, kSharedGateUp = 7, kDown = 9, kSharedDown = 11 };

// q and scale of the rows between the linears.
Dim workspace_bytes(const KernelQuery& query) {
  const auto bytes = [&](int output, int weight) {
    const int64_t d = query.inputs[weight]->dim(-1).constant();
    return query.outputs[output]->dim(0) * Dim(d + d / 128 * static_cast<int64_t>(sizeof(float)));
  };
  return bytes(0, kDown) + bytes(1, kSharedDown);
}

ExpertsLinears linears_of(const KernelCall& call, int gate_up, int down, int output) {
  ExpertsLinears linears;
  linears.gate_up = call.inputs[gate_up].as<const uint8_t>();
  linears.gate_up_scale = call.inputs[gate_up + 1].as<const float>();
  linears.down = call.inputs[down].as<const uint8_t>();
  linears.down_scale = call.inputs[down + 1].as<const float>();
  linears.y = call.outputs[output].as<float>();
  linears.d = call.inputs[down].shape[-1];
  return linears;
}

void run_both(const KernelCall& call) {
  static_assert(kMaxFewRowTiles <= GpuStream::kNumCounters);
  const auto in = call.inputs;
  GpuStream& stream = gpu_stream(call.stream);
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
  work.routed = linears_of(call, kGateUp, kDown, 0);
  work.shared = linears_of(call, kSharedGateUp, kSharedDown, 1);
  if (work.tokens == 0) return;
  auto* rows = call.workspace.as<uint8_t>();
  work.routed.rows.q = rows;
  work.shared.rows.q = rows + work.rows * work.routed.d;
  work.routed.rows.scale = reinterpret_cast<float*>(work.shared.rows.q + work.tokens * work.shared.d);
  work.shared.rows.scale = work.routed.rows.scale + work.rows * (work.routed.d / 128);
  work.counters = stream.counters();
  check(launch_experts_fp8(work, stream.handle()), stream);
}

bool is_multiple(const Dim& dim, int64_t of) {
  return dim.is_constant() && dim.constant() % of == 0;
}

bool supports(const KernelQuery& query, size_t routed, size_t shared, int64_t rows_of) {
  const Meta &weight = *query.inputs[routed], &shared_weight = *query.inputs[shared];
  // One of the experts that a block keeps in mind is the shared one.
  return query.capabilities.has("sm_90") && !query.capabilities.has(kRowInvariant) &&
         weight.dim(0).is_constant() && weight.dim(0).constant() < kMaxSm90Experts &&
         is_multiple(weight.dim(1), rows_of) && is_multiple(weight.dim(2), 128) &&
         is_multiple(shared_weight.dim(0), rows_of) && is_multiple(shared_weight.dim(1), 128);
}

}  // namespace

void add_experts_fp8_sm90(OpRegistry& registry) {
  registry.add_kernel("musaic::experts_gate_up_fp8",
                      {.name = "experts_gate_up_fp8_sm90",
                       .device_type = kGpuDeviceType,
                       .supports = [](const KernelQuery& query) { return supports(query, 5, 7, 256); },
                       .run = run_gate_up});
  registry.add_kernel("musaic::experts_down_fp8",
                      {.name = "experts_down_fp8_sm90",
                       .device_type = kGpuDeviceType,
                       .supports = [](const KernelQuery& query) { return supports(query, 4, 8, 4); },
                       .run = run_down});
  registry.add_kernel("musaic::experts_fp8", {.name = "experts_fp8_sm90",
                                              .device_type = kGpuDeviceType,
                                              .supports =
                                                  [](const KernelQuery& query) {
                                                    return supports(query, kGateUp, kSharedGateUp, 256) &&
                                                           supports(query, kDown, kSharedDown, 4);
                                                  },
                                              .run = run_both,
                                              .workspace_bytes = workspace_bytes});
}

}  // namespace musaic
