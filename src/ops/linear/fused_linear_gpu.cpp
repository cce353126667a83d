#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/linear/fused_linear.h"
#include "ops/linear/linear_tile_call_gpu.h"

namespace musaic {
namespace {

Kernel tile_kernel(const TileOp& op, const char* name) {
  return {
      .name = name,
      .device_type = kGpuDeviceType,
      .supports = [op](const KernelQuery& query) { return takes_tile_weight(query, op.weight, op.rows_of); },
      .run =
          [op](const KernelCall& call) {
            GpuStream& stream = gpu_stream(call.stream);
            launch_linear_tile(op.call(call), stream.handle());
            stream.check_launch();
          },
      .workspace_bytes = {},
      .packing = {}};
}

}  // namespace

void add_fused_linear_gpu(OpRegistry& registry) {
  constexpr const char* kNames[] = {"linear_tile_gpu", "rms_norm_linear_gpu", "rms_norm_linear_swiglu_gpu",
                                    "linear_add_gpu"};
  for (size_t i = 0; i < std::size(kTileOps); ++i)
    registry.prefer_kernel(kTileOps[i].op, tile_kernel(kTileOps[i], kNames[i]));
}

}  // namespace musaic
