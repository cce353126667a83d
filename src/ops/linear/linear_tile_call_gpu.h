#pragma once

#include "ops/linear/linear_call_gpu.h"
#include "ops/linear/linear_tile_gpu.h"

// Calls and queries of aten::linear and of the fused linears as a LinearTileCall.
namespace musaic {

// Whether input `weight` is a bf16 one with a multiple of `rows_of` rows.
inline bool takes_tile_weight(const KernelQuery& query, size_t weight, int64_t rows_of) {
  const Meta& meta = *query.inputs[weight];
  const auto is_multiple = [](const Dim& dim, int64_t of) {
    return dim.is_constant() && dim.constant() % of == 0;
  };
  return meta.dtype == DType::kBF16 && is_multiple(meta.dim(0), rows_of) && is_multiple(meta.dim(1), 32);
}

inline bool rounds_x(const KernelCall& call) {
  return call.attributes.get_bool("rounds_x");
}

inline LinearTileCall plain_tile_call(const KernelCall& call) {
  LinearTileCall tile;
  tile.linear = linear_call(call.inputs[0], call.outputs[0], call, 1);
  return tile;
}

template <bool swiglu>
LinearTileCall norm_tile_call(const KernelCall& call) {
  LinearTileCall tile;
  tile.linear = linear_call(call.inputs[0], call.outputs[0], call, 2);
  tile.norm_weight = call.inputs[1].data;
  tile.norm_dtype = call.inputs[1].dtype;
  tile.eps = static_cast<float>(call.attributes.get_float("eps"));
  tile.swiglu = swiglu;
  tile.rounds_x = rounds_x(call);
  return tile;
}

inline LinearTileCall adding_tile_call(const KernelCall& call) {
  LinearTileCall tile;
  tile.linear = linear_call(call.inputs[1], call.inputs[0], call, 2);
  tile.adds_to_y = true;
  tile.rounds_x = rounds_x(call);
  return tile;
}

// The ops that LinearTileCall covers.
struct TileOp {
  const char* op;
  size_t weight;    // input
  int64_t rows_of;  // the weight's rows are a multiple of it
  LinearTileCall (*call)(const KernelCall& call);
};
inline constexpr TileOp kTileOps[] = {
    {"aten::linear", 1, 16, plain_tile_call},
    {"musaic::rms_norm_linear", 2, 16, norm_tile_call<false>},
    {"musaic::rms_norm_linear_swiglu", 2, 32, norm_tile_call<true>},
    {"musaic::linear_add_", 2, 16, adding_tile_call},
};

}  // namespace musaic
