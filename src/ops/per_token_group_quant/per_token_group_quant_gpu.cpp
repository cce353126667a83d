#include "ops/per_token_group_quant/per_token_group_quant_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/per_token_group_quant/per_token_group_quant.h"

namespace musaic {
namespace {

PlaneStrides strides_of(const Tensor& tensor) {
  const bool nested = tensor.shape.rank() == 3;
  return {nested ? tensor.strides[0] : 0, tensor.strides[-2], tensor.strides[-1]};
}

void run_group_quant(const KernelCall& call) {
  const Tensor& input = call.inputs[0];
  const Tensor& q = call.inputs[1];
  const Tensor& scales = call.inputs[2];
  const bool nested = input.shape.rank() == 3;
  const int64_t group_size = call.attributes.get_int("group_size");
  const GroupQuantCall work = {.input = input.data,
                               .dtype = input.dtype,
                               .input_strides = strides_of(input),
                               .q = static_cast<uint8_t*>(q.data),
                               .is_i8 = q.dtype == DType::kI8,
                               .scales = scales.data,
                               .packed = scales.dtype == DType::kI32,
                               .scale_strides = strides_of(scales),
                               .masked_m = static_cast<const int32_t*>(call.inputs[3].data),
                               .planes = nested ? input.shape[0] : 1,
                               .rows = input.shape[-2],
                               .width = q.shape[-1],
                               .groups = (q.shape[-1] + group_size - 1) / group_size,
                               .group_size = static_cast<int>(group_size),
                               .eps = static_cast<float>(call.attributes.get_float("eps")),
                               .min = static_cast<float>(call.attributes.get_float("fp8_min")),
                               .max = static_cast<float>(call.attributes.get_float("fp8_max")),
                               .power_of_two = call.attributes.get_bool("scale_ue8m0"),
                               .fuse_silu = call.attributes.get_bool("fuse_silu_and_mul"),
                               .nested = nested,
                               .live_rows = call.live_rows};
  GpuStream& stream = gpu_stream(call.stream);
  launch_group_quant(work, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_per_token_group_quant_gpu(OpRegistry& registry) {
  registry.add_kernel(
      "sgl_kernel::sgl_per_token_group_quant_8bit_v2",
      {.name = "per_token_group_quant_gpu", .device_type = kGpuDeviceType, .run = run_group_quant});
}

}  // namespace musaic
