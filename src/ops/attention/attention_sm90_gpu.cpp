#include "backends/gpu/gpu_stream.h"
#include "device/row_invariant.h"
#include "ir/registry.h"
#include "ops/attention/attention_call_gpu.h"
#include "ops/attention/attention_matrix_gpu.h"
#include "ops/attention/attention_sm90.h"

namespace musaic {
namespace {

// Decode steps have other bits: not where a row's bits may not depend on the step.
bool supports_sm90(const KernelQuery& query) {
  const Dim& head_dim = query.inputs[1]->dim(3);
  return query.capabilities.has("sm_90") && !query.capabilities.has(kRowInvariant) &&
         supports_paged_attention(query) && query.inputs[1]->dtype == DType::kBF16 &&
         is_multiple_of_4(query.inputs[0]->strides[0]) && (head_dim == Dim(64) || head_dim == Dim(128));
}

void launch_others(const AttentionCall& call, gpuStream_t stream) {
  if (attends_by_matrix(call.cache_dtype, call.head_dim)) return launch_attention_matrix(call, {}, stream);
  launch_paged_attention(call, stream);
}

void run_sm90(const KernelCall& call) {
  const AttentionCall attention = attention_call(call, kPagedInputs);
  GpuStream& stream = gpu_stream(call.stream);
  if (!launch_attention_sm90(attention, stream.handle())) launch_others(attention, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_attention_sm90(OpRegistry& registry) {
  registry.prefer_kernel("musaic::paged_attention",
                         {.name = "paged_attention_sm90",
                          .device_type = kGpuDeviceType,
                          .supports = supports_sm90,
                          .run = run_sm90,
                          .workspace_bytes = attention_workspace_bytes<kPagedInputs>});
}

}  // namespace musaic
