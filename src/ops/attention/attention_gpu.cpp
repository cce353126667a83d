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
  const Meta& cache = *query.inputs[5];
  for (int i : {0, 1, 2, 3}) {
    if (!is_multiple_of_4(query.inputs[static_cast<size_t>(i)]->strides[0])) return false;
  }
  return cache.dim(1).is_constant() && cache.dim(3).is_constant() &&
         attends_by_matrix(cache.dtype, cache.dim(3).constant()) &&
         query.attributes.get_int("num_heads") <= kMaxNewGroup * cache.dim(1).constant();
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
  const Tensor* in = call.inputs.data();
  GpuStream& stream = gpu_stream(call.stream);
  launch_attention_matrix(attention_call(call, kRopeInputs),
                          {.key = in[1].as<const float>(),
                           .value = in[2].as<const float>(),
                           .key_stride = in[1].strides[0],
                           .value_stride = in[2].strides[0],
                           .cos_sin = in[3].as<const float>(),
                           .cos_sin_stride = in[3].strides[0],
                           .slots = in[4].as<const int32_t>(),
                           .interleaved = call.attributes.get_bool("interleaved")},
                          stream.handle());
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
