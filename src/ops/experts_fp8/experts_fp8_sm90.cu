#include "ops/experts_fp8/experts_fp8_sm90.h"

#include "ops/linear_fp8/fp8_tile_calls_sm90.cuh"

namespace musaic {
namespace {

using Swiglu = Fp8TileShape<1, 2, 128, 4, kSwigluTile>;
using SwigluOnce = Fp8TileShape<1, 2, 128, 4, kSwigluTile | kReadsOnce>;
using Low = Fp8TileShape<1, 2, 64, 8, kReadsOnce>;
using Tall = Fp8TileShape<2, 1, 128, 6, kCopiesRows>;

template <class Shape>
Fp8WeightedTiles routed_tiles(const GroupedLinearFp8Call& call) {
  return {tiles_of(call), call.weight, row_tiles<Shape>(call)};
}

template <class Shape>
Fp8WeightedTiles shared_tiles(const LinearFp8Call& call, int parts) {
  return {tiles_of(call, parts), call.weight, row_tiles<Shape>(call)};
}

void set_swiglu(Fp8WeightedTiles& product, const SwigluRowsFp8& rows) {
  product.tiles.swiglu_q = rows.q;
  product.tiles.swiglu_scale = rows.scale;
}

template <class Shape>
bool launch_gate_up(const GroupedLinearFp8Call& routed, const SwigluRowsFp8& routed_rows,
                    const LinearFp8Call& shared, const SwigluRowsFp8& shared_rows, gpuStream_t stream) {
  Fp8WeightedTiles products[] = {shared_tiles<Shape>(shared, 2), routed_tiles<Shape>(routed)};
  set_swiglu(products[0], shared_rows);
  set_swiglu(products[1], routed_rows);
  return launch_fp8_products<Shape>(products, /*knows_rows=*/false, stream);
}

template <class Shape>
bool launch_down(const GroupedLinearFp8Call& routed, const LinearFp8Call& shared, gpuStream_t stream) {
  const Fp8WeightedTiles products[] = {shared_tiles<Shape>(shared, 1), routed_tiles<Shape>(routed)};
  return launch_fp8_products<Shape>(products, /*knows_rows=*/true, stream);
}

}  // namespace

// No expert has more rows than there are tokens.
bool launch_experts_gate_up_fp8(const GroupedLinearFp8Call& routed, const SwigluRowsFp8& routed_rows,
                                const LinearFp8Call& shared, const SwigluRowsFp8& shared_rows,
                                gpuStream_t stream) {
  if (shared.rows <= SwigluOnce::kRows)
    return launch_gate_up<SwigluOnce>(routed, routed_rows, shared, shared_rows, stream);
  return launch_gate_up<Swiglu>(routed, routed_rows, shared, shared_rows, stream);
}

// Of few rows, low and narrow tiles spread the weights more evenly over the device.
bool launch_experts_down_fp8(const GroupedLinearFp8Call& routed, const LinearFp8Call& shared,
                             gpuStream_t stream) {
  constexpr int64_t kFewRows = 4;  // of an expert, on average
  if (routed.rows <= kFewRows * routed.num_experts) return launch_down<Low>(routed, shared, stream);
  return launch_down<Tall>(routed, shared, stream);
}

}  // namespace musaic
