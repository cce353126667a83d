#include "base/check.h"
#include "ir/registry.h"
#include "ops/experts_fp8/experts_fp8_call_gpu.h"
#include "ops/experts_fp8/experts_fp8_parts.h"
#include "ops/moe_combine/combine_norm_fp8_call_gpu.h"
#include "ops/moe_combine/combine_norm_fp8_sm90.h"

namespace musaic {
namespace {

constexpr int kFirst = kExpertsFp8Inputs;
constexpr CombineNormInputs kSum = {
    .token_row = kFirst, .weights = kFirst + 1, .residual = kFirst + 2, .norm_weight = kFirst + 3};

constexpr int64_t kResultBytes = 2;  // bf16

// The rows between the linears, the experts' results, the rows' scales: each begins where it may.
Dim workspace_bytes(const KernelQuery& query) {
  using namespace experts_fp8_input;
  const Dim rows = query.inputs[kRowToken]->dim(0) + query.inputs[kQ]->dim(0);
  return experts_row_groups(query) * Dim(kRowGroupBytes + kRowGroupScaleBytes) +
         rows * Dim(query.inputs[kDown]->dim(1).constant() * kResultBytes);
}

void place_workspace(ExpertsFp8Call& work, uint8_t* workspace) {
  uint8_t* routed = workspace + experts_row_groups(work) * kRowGroupBytes;
  uint8_t* shared = routed + work.rows * work.n * kResultBytes;
  work.routed.out = {routed, DType::kBF16};
  work.shared.out = {shared, DType::kBF16};
  place_expert_rows(work, workspace, shared + work.tokens * work.n * kResultBytes);
}

DeviceRows rows_of(const ExpertRowsOut& out, int64_t rows, int64_t width) {
  return {.data = out.data, .dtype = out.dtype, .outer = rows, .outer_stride = width, .width = width};
}

void run_experts_norm(const KernelCall& call) {
  ExpertsFp8Call work = experts_fp8_call(call);
  if (work.tokens == 0) return;
  place_workspace(work, call.workspace.as<uint8_t>());
  GpuStream& stream = gpu_stream(call.stream);
  CHECK(launch_experts_fp8(work, stream.handle()), "the driver does not map an expert's weight");
  const MoeCombineCall combine = combine_call(call, kSum, rows_of(work.routed.out, work.rows, work.n),
                                              rows_of(work.shared.out, work.tokens, work.n));
  launch_combine_norm_fp8_sm90(combine, norm_of_combined(call, kSum), fp8_rows_out(call), stream.handle());
  stream.check_launch();
}

}  // namespace

void add_experts_norm_fp8_sm90(OpRegistry& registry) {
  registry.add_kernel("musaic::experts_norm_quant_fp8", {.name = "experts_norm_quant_fp8_sm90",
                                                         .device_type = kGpuDeviceType,
                                                         .supports = supports_experts_fp8,
                                                         .run = run_experts_norm,
                                                         .workspace_bytes = workspace_bytes});
}

}  // namespace musaic
