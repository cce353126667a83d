#include "base/check.h"
#include "ir/registry.h"
#include "ops/experts_fp8/experts_fp8_call_gpu.h"
#include "ops/experts_fp8/experts_fp8_parts.h"
#include "ops/moe_combine/combine_norm_fp8_sm90.h"
#include "ops/per_token_group_quant/fp8_rows_call_gpu.h"

namespace musaic {
namespace {

enum Input { kTokenRow = kExpertsFp8Inputs, kWeights, kResidual, kNormWeight };

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

MoeCombineCall combine_call(const KernelCall& call, const ExpertsFp8Call& work) {
  return {.x = rows_of(work.routed.out, work.rows, work.n),
          .addend = rows_of(work.shared.out, work.tokens, work.n),
          .y = {},
          .token_row = call.inputs[kTokenRow].as<const int32_t>(),
          .weights = call.inputs[kWeights].as<const float>(),
          .top_k = static_cast<int>(call.inputs[kTokenRow].shape[1]),
          .live_rows = call.live_rows};
}

RmsNormCall norm_call(const KernelCall& call) {
  return {.x = {},
          .residual = device_rows(call.inputs[kResidual]),
          .extra = {},
          .y = {},
          .weight = call.inputs[kNormWeight].data,
          .weight_dtype = call.inputs[kNormWeight].dtype,
          .eps = static_cast<float>(call.attributes.get_float("eps")),
          .live_rows = call.live_rows};
}

void run_experts_norm(const KernelCall& call) {
  ExpertsFp8Call work = experts_fp8_call(call);
  if (work.tokens == 0) return;
  place_workspace(work, call.workspace.as<uint8_t>());
  GpuStream& stream = gpu_stream(call.stream);
  CHECK(launch_experts_fp8(work, stream.handle()), "the driver does not map an expert's weight");
  const MoeCombineCall combine = combine_call(call, work);
  const RmsNormCall norm = norm_call(call);
  const Fp8RowsOut out = fp8_rows_out(call);
  if (!launch_combine_norm_fp8_sm90(combine, norm, out, stream.handle()))
    launch_combine_norm_fp8(combine, norm, out, stream.handle());
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
