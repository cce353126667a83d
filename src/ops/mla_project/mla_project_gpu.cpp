#include "ops/mla_project/mla_project_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/mla_project/mla_project.h"

namespace musaic {
namespace {

MlaProjectCall call_of(const KernelCall& call) {
  const Tensor& kv_b = call.inputs[1];
  const Tensor& scale = call.inputs[2];
  const int64_t heads = call.attributes.get_int("num_heads");
  const int64_t value_dim = call.attributes.get_int("v_head_dim");
  MlaProjectCall work = {.rows = device_rows(call.inputs[0]),
                         .out = device_rows(call.outputs[0]),
                         .heads = static_cast<int>(heads),
                         .live_rows = call.live_rows};
  work.kv_b = {.data = kv_b.as<const uint8_t>(),
               .dtype = kv_b.dtype,
               .rank = static_cast<int>(kv_b.shape[1]),
               .nope = static_cast<int>(kv_b.shape[0] / heads - value_dim),
               .value_dim = static_cast<int>(value_dim)};
  if (scale.defined()) {
    work.kv_b.scale = scale.as<const float>();
    work.kv_b.scale_columns = scale.shape[1];
  }
  return work;
}

bool suits_matrix_units(const MlaProjectCall& call) {
  constexpr int64_t kVector = 4;  // floats that are read at once
  const DeviceRows& rows = call.rows;
  return call.kv_b.has_matrix_sizes() && reinterpret_cast<uintptr_t>(rows.data) % 16 == 0 &&
         (rows.outer <= 1 || rows.outer_stride % kVector == 0) && rows.width / call.heads % kVector == 0;
}

void run_absorb(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  const MlaProjectCall work = call_of(call);
  const auto launch = suits_matrix_units(work) ? launch_absorb_matrix : launch_absorb_plain;
  launch(work, stream.handle());
  stream.check_launch();
}

void run_expand(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  const MlaProjectCall work = call_of(call);
  const auto launch = suits_matrix_units(work) ? launch_expand_matrix : launch_expand_plain;
  launch(work, stream.handle());
  stream.check_launch();
}

bool supports(const KernelQuery& query) {
  return query.inputs[0]->dtype == DType::kF32;
}

}  // namespace

void add_mla_project_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::mla_absorb_query", {.name = "mla_absorb_query_gpu",
                                                   .device_type = kGpuDeviceType,
                                                   .supports = supports,
                                                   .run = run_absorb});
  registry.add_kernel("musaic::mla_expand_values", {.name = "mla_expand_values_gpu",
                                                    .device_type = kGpuDeviceType,
                                                    .supports = supports,
                                                    .run = run_expand});
}

}  // namespace musaic
