#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/attention/attention.h"
#include "ops/attention/attention_call_gpu.h"
#include "ops/attention/attention_matrix_gpu.h"
#include "ops/attention/rope_attention.h"

namespace musaic {
namespace {

bool supports_matrix(const KernelQuery& query) {
  const Dim& head_dim = query.inputs[1]->dim(3);
  return supports_paged_attention(query) && head_dim.is_constant() &&
         is_multiple_of_4(query.inputs[0]->strides[0]) &&
         attends_by_matrix(query.inputs[1]->dtype, head_dim.constant());
}

bool supports_rope_attention(const KernelQuery& query) {
  return attends_to_new_rows(query, kRopeInputs);
}

void run_paged_attention(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_paged_attention(attention_call(call, kPagedInputs), stream.handle());
  stream.check_launch();
}

void run_matrix(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_attention_matrix(attention_call(call, kPagedInputs), {}, stream.handle());
  stream.check_launch();
}

void run_rope_attention(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_attention_matrix(attention_call(call, kRopeInputs), new_rows(call, kRopeInputs), stream.handle());
  stream.check_launch();
}

}  // namespace

void add_attention_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::paged_attention",
                      {.name = "paged_attention_matrix_gpu",
                       .device_type = kGpuDeviceType,
                       .supports = supports_matrix,
                       .run = run_matrix,
                       .workspace_bytes = attention_workspace_bytes<kPagedInputs>});
  registry.add_kernel("musaic::paged_attention",
                      {.name = "paged_attention_gpu",
                       .device_type = kGpuDeviceType,
                       .supports = supports_paged_attention,
                       .run = run_paged_attention,
                       .workspace_bytes = attention_workspace_bytes<kPagedInputs>});
}

void add_rope_attention_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::rope_attention", {.name = "rope_attention_gpu",
                                                 .device_type = kGpuDeviceType,
                                                 .supports = supports_rope_attention,
                                                 .run = run_rope_attention,
                                                 .workspace_bytes = attention_workspace_bytes<kRopeInputs>});
}

}  // namespace musaic
