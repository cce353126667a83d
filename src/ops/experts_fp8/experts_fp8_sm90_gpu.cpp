#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "base/check.h"
#include "ir/registry.h"
#include "ops/experts_fp8/experts_fp8_call_gpu.h"

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
  const GroupedLinearFp8Call routed = routed_call(call, 2, 1);
  const LinearFp8Call shared = shared_call(call, 6, 8);
  if (shared.rows == 0) return;
  const auto rows = [&](size_t output) { return ExpertRowsOut{call.outputs[output].data, DType::kF32}; };
  GpuStream& stream = gpu_stream(call.stream);
  check(launch_experts_down_fp8(routed, rows(0), shared, rows(1), stream.handle()), stream);
}

Dim workspace_bytes(const KernelQuery& query) {
  return experts_row_groups(query) * Dim(kRowGroupBytes + kRowGroupScaleBytes);
}

void run_both(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  ExpertsFp8Call work = experts_fp8_call(call);
  auto* rows = call.workspace.as<uint8_t>();
  place_expert_rows(work, rows, rows + experts_row_groups(work) * kRowGroupBytes);
  work.routed.out = {call.outputs[0].data, DType::kF32};
  work.shared.out = {call.outputs[1].data, DType::kF32};
  if (work.tokens == 0) return;
  check(launch_experts_fp8(work, stream.handle()), stream);
}

}  // namespace

void add_experts_fp8_sm90(OpRegistry& registry) {
  registry.add_kernel(
      "musaic::experts_gate_up_fp8",
      {.name = "experts_gate_up_fp8_sm90",
       .device_type = kGpuDeviceType,
       .supports = [](const KernelQuery& query) { return supports_experts(query, 5, 7, 256); },
       .run = run_gate_up});
  registry.add_kernel("musaic::experts_down_fp8",
                      {.name = "experts_down_fp8_sm90",
                       .device_type = kGpuDeviceType,
                       .supports = [](const KernelQuery& query) { return supports_experts(query, 4, 8, 4); },
                       .run = run_down});
  registry.add_kernel("musaic::experts_fp8", {.name = "experts_fp8_sm90",
                                              .device_type = kGpuDeviceType,
                                              .supports = supports_experts_fp8,
                                              .run = run_both,
                                              .workspace_bytes = workspace_bytes});
}

}  // namespace musaic
