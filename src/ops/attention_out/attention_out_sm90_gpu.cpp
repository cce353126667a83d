#include "backends/gpu/gpu_stream.h"
#include "device/row_invariant.h"
#include "ir/registry.h"
#include "ops/attention/attention_call_gpu.h"
#include "ops/attention_out/attention_out.h"
#include "ops/attention_out/attention_out_gpu.h"
#include "ops/linear/linear_call_gpu.h"
#include "ops/linear/linear_sm90.h"

namespace musaic {
namespace {

constexpr AttentionInputs kInputs = {1, 6, 8};
constexpr size_t kResidual = 0, kWeight = 12;

// Few rows have other bits than many: not where a row's bits may not depend on the others.
bool supports(const KernelQuery& query) {
  const Meta& weight = *query.inputs[kWeight];
  const Meta& cache = *query.inputs[kInputs.key_cache];
  if (!query.capabilities.has("sm_90") || query.capabilities.has(kRowInvariant)) return false;
  if (cache.dtype != DType::kBF16 || !weight.dim(0).is_constant() || !attends_to_new_rows(query, kInputs))
    return false;
  return has_attention_out_sm90({.num_heads = query.attributes.get_int("num_heads"),
                                 .kv_heads = cache.dim(1).constant(),
                                 .hidden = weight.dim(0).constant()});
}

// The rows that are attended to, where that is a launch of its own.
Dim rows_bytes(const Dim& rows, const Dim& width) {
  return rows * width * static_cast<int64_t>(sizeof(float));
}

Dim workspace_bytes(const KernelQuery& query) {
  const Meta& attended = *query.inputs[kInputs.query];
  return rows_bytes(attended.dim(0), attended.dim(1)) + attention_workspace_bytes<kInputs>(query);
}

AttentionOutCall attention_out_call(const KernelCall& call) {
  const Tensor& query = call.inputs[kInputs.query];
  const Tensor attended =
      Tensor::contiguous(call.workspace.data, DType::kF32, {query.shape[0], query.shape[1]});
  float* workspace = attended.as<float>() + attended.elements();
  AttentionOutCall out = {.attention = attention_call(call, kInputs, attended, workspace),
                          .rows = new_rows(call, kInputs),
                          .linear = {}};
  out.linear.linear = linear_call(attended, call.inputs[kResidual], call, kWeight);
  out.linear.adds_to_y = true;
  out.linear.rounds_x = true;
  return out;
}

void run_attention_out(const KernelCall& call) {
  const AttentionOutCall out = attention_out_call(call);
  GpuStream& stream = gpu_stream(call.stream);
  if (!launch_attention_out_sm90(out, stream.handle())) {
    launch_attention_matrix(out.attention, out.rows, stream.handle());
    if (!launch_linear_sm90(out.linear, stream.handle())) launch_linear_tile(out.linear, stream.handle());
  }
  stream.check_launch();
}

}  // namespace

void add_attention_out_sm90(OpRegistry& registry) {
  registry.add_kernel("musaic::attention_out_", {.name = "attention_out_sm90",
                                                 .device_type = kGpuDeviceType,
                                                 .supports = supports,
                                                 .run = run_attention_out,
                                                 .workspace_bytes = workspace_bytes});
}

}  // namespace musaic
