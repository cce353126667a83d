#include "backends/gpu/gpu_stream.h"
#include "device/row_invariant.h"
#include "ir/registry.h"
#include "ops/linear/linear_sm90.h"
#include "ops/linear/linear_tall_sm90.h"
#include "ops/linear/linear_tile_call_gpu.h"

namespace musaic {
namespace {

bool may_round_ahead(const KernelQuery& query, size_t weight) {
  return query.attributes.contains("rounds_x") && query.attributes.get_bool("rounds_x") &&
         query.inputs[weight]->dim(1).constant() >= kFewestRoundedValues;
}

// Rows in bf16, where many of them may be rounded ahead of their products.
Dim rounded_bytes(const KernelQuery& query, size_t weight) {
  if (!may_round_ahead(query, weight)) return Dim(0);
  return query.inputs[0]->dim(0) * rounded_row_bytes(query.inputs[weight]->dim(1).constant());
}

// Few rows have other bits than many: not where a row's bits may not depend on the others.
Kernel sm90_kernel(const TileOp& op, const char* name) {
  return {.name = name,
          .device_type = kGpuDeviceType,
          .supports =
              [op](const KernelQuery& query) {
                return query.capabilities.has("sm_90") && !query.capabilities.has(kRowInvariant) &&
                       takes_tile_weight(query, op.weight, op.rows_of);
              },
          .run =
              [op](const KernelCall& call) {
                LinearTileCall tile = op.call(call);
                tile.rounded = call.workspace.data;
                GpuStream& stream = gpu_stream(call.stream);
                const bool is_launched = launch_linear_tall_sm90(tile, stream.handle()) ||
                                         launch_linear_sm90(tile, stream.handle());
                if (!is_launched) launch_linear_tile(tile, stream.handle());
                stream.check_launch();
              },
          .workspace_bytes = [op](const KernelQuery& query) { return rounded_bytes(query, op.weight); },
          .packing = {}};
}

}  // namespace

void add_linear_sm90(OpRegistry& registry) {
  constexpr const char* kNames[] = {"linear_sm90", "rms_norm_linear_sm90", "rms_norm_linear_swiglu_sm90",
                                    "linear_add_sm90"};
  for (size_t i = 0; i < std::size(kTileOps); ++i)
    registry.prefer_kernel(kTileOps[i].op, sm90_kernel(kTileOps[i], kNames[i]));
}

}  // namespace musaic
