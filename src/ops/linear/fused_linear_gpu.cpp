#include "ops/linear/fused_linear.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/linear/linear_tile_gpu.h"

namespace musaic {
namespace {

bool is_multiple(const Dim& dim, int64_t of) {
  return dim.is_constant() && dim.constant() % of == 0;
}

bool takes_weight(const KernelQuery& query, int weight, int64_t rows_of) {
  const Meta& meta = *query.inputs[static_cast<size_t>(weight)];
  return meta.dtype == DType::kBF16 && is_multiple(meta.dim(0), rows_of) && is_multiple(meta.dim(1), 32);
}

// The plain linear of inputs x, weight [, bias] from `first` on.
LinearTileCall linear_call(const KernelCall& call, const Tensor& x, const Tensor& y, size_t weight) {
  const bool has_bias = call.inputs.size() > weight + 1 && call.inputs[weight + 1].defined();
  LinearTileCall tile;
  tile.linear = {
      .x = device_rows(x),
      .y = device_rows(y),
      .weight = call.inputs[weight].as<const uint8_t>(),
      .weight_dtype = call.inputs[weight].dtype,
      .weight_row_bytes = static_cast<int64_t>(byte_size(DType::kBF16, call.inputs[weight].shape[1])),
      .bias = has_bias ? call.inputs[weight + 1].data : nullptr,
      .bias_dtype = has_bias ? call.inputs[weight + 1].dtype : DType::kF32,
      .live_rows = call.live_rows};
  return tile;
}

void launch(const KernelCall& call, const LinearTileCall& tile) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_linear_tile(tile, stream.handle());
  stream.check_launch();
}

void run_linear(const KernelCall& call) {
  launch(call, linear_call(call, call.inputs[0], call.outputs[0], 1));
}

template <bool swiglu>
void run_rms_norm_linear(const KernelCall& call) {
  LinearTileCall tile = linear_call(call, call.inputs[0], call.outputs[0], 2);
  tile.norm_weight = call.inputs[1].data;
  tile.norm_dtype = call.inputs[1].dtype;
  tile.eps = static_cast<float>(call.attributes.get_float("eps"));
  tile.swiglu = swiglu;
  launch(call, tile);
}

void run_linear_add(const KernelCall& call) {
  LinearTileCall tile = linear_call(call, call.inputs[1], call.inputs[0], 2);
  tile.adds_to_y = true;
  launch(call, tile);
}

template <int weight, int rows>
bool supports(const KernelQuery& query) {
  return takes_weight(query, weight, rows);
}

}  // namespace

void add_fused_linear_gpu(OpRegistry& registry) {
  registry.prefer_kernel("aten::linear", {.name = "linear_tile_gpu",
                                          .device_type = kGpuDeviceType,
                                          .supports = supports<1, 16>,
                                          .run = run_linear});
  registry.add_kernel("musaic::rms_norm_linear", {.name = "rms_norm_linear_gpu",
                                                  .device_type = kGpuDeviceType,
                                                  .supports = supports<2, 16>,
                                                  .run = run_rms_norm_linear<false>});
  registry.add_kernel("musaic::rms_norm_linear_swiglu", {.name = "rms_norm_linear_swiglu_gpu",
                                                         .device_type = kGpuDeviceType,
                                                         .supports = supports<2, 32>,
                                                         .run = run_rms_norm_linear<true>});
  registry.add_kernel("musaic::linear_add_", {.name = "linear_add_gpu",
                                              .device_type = kGpuDeviceType,
                                              .supports = supports<2, 16>,
                                              .run = run_linear_add});
}

}  // namespace musaic
