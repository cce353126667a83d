#include "ops/experts_fp8/experts_fp8_sm90.h"

#include "ops/linear_fp8/fp8_tile_calls_sm90.cuh"

namespace musaic {
namespace {

using Swiglu = Fp8TileShape<1, 2, 128, 4, kSwigluTile>;
using SwigluOnce = Fp8TileShape<1, 2, 128, 4, kSwigluTile | kReadsOnce>;
using SwigluWide = Fp8TileShape<2, 2, 128, 4, kSwigluTile | kWideTile>;
using Low = Fp8TileShape<1, 2, 64, 8, kReadsOnce>;
using Tall = Fp8TileShape<2, 1, 128, 6, kCopiesRows>;
using Wide = Fp8TileShape<2, 2, 128, 4, kCopiesRows | kWideTile>;

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

void set_out(Fp8WeightedTiles& product, const ExpertRowsOut& out) {
  product.tiles.y = out.data;
  product.tiles.y_dtype = out.dtype;
}

template <class Shape>
bool launch_down(const GroupedLinearFp8Call& routed, const ExpertRowsOut& routed_rows,
                 const LinearFp8Call& shared, const ExpertRowsOut& shared_rows, gpuStream_t stream) {
  Fp8WeightedTiles products[] = {shared_tiles<Shape>(shared, 1), routed_tiles<Shape>(routed)};
  set_out(products[0], shared_rows);
  set_out(products[1], routed_rows);
  return launch_fp8_products<Shape>(products, /*knows_rows=*/true, stream);
}

// Of an expert, on average.
bool has_more_rows(const GroupedLinearFp8Call& routed, int64_t than) {
  return routed.rows > than * routed.num_experts;
}

}  // namespace

// No expert has more rows than there are tokens.
bool launch_experts_gate_up_fp8(const GroupedLinearFp8Call& routed, const SwigluRowsFp8& routed_rows,
                                const LinearFp8Call& shared, const SwigluRowsFp8& shared_rows,
                                gpuStream_t stream) {
  if (shared.rows <= SwigluOnce::kRows)
    return launch_gate_up<SwigluOnce>(routed, routed_rows, shared, shared_rows, stream);
  if (has_more_rows(routed, Swiglu::kRows))
    return launch_gate_up<SwigluWide>(routed, routed_rows, shared, shared_rows, stream);
  return launch_gate_up<Swiglu>(routed, routed_rows, shared, shared_rows, stream);
}

// Of few rows, low and narrow tiles spread the weights more evenly over the device; wide ones pay where most
// of an expert's have rows for both warpgroups.
bool launch_experts_down_fp8(const GroupedLinearFp8Call& routed, const ExpertRowsOut& routed_rows,
                             const LinearFp8Call& shared, const ExpertRowsOut& shared_rows,
                             gpuStream_t stream) {
  constexpr int64_t kFewRows = 4, kManyRows = 160;
  const auto launch = !has_more_rows(routed, kFewRows)   ? launch_down<Low>
                      : has_more_rows(routed, kManyRows) ? launch_down<Wide>
                                                         : launch_down<Tall>;
  return launch(routed, routed_rows, shared, shared_rows, stream);
}

namespace {

GroupedLinearFp8Call routed_linear(const ExpertsFp8Call& call) {
  GroupedLinearFp8Call linear;
  linear.start = call.start;
  linear.count = call.count;
  linear.num_experts = call.num_experts;
  linear.rows = call.rows;
  return linear;
}

LinearFp8Call shared_linear(const ExpertsFp8Call& call) {
  LinearFp8Call linear;
  linear.rows = call.tokens;
  linear.live_rows = call.live_rows;
  return linear;
}

bool launch_gate_up_of(const ExpertsFp8Call& call, gpuStream_t stream) {
  GroupedLinearFp8Call routed = routed_linear(call);
  routed.q = call.q;
  routed.scale = call.scale;
  routed.row_token = call.row_token;
  routed.weight = call.routed.gate_up;
  routed.weight_scale = call.routed.gate_up_scale;
  routed.parts = 2;
  routed.tokens = call.tokens;
  routed.n = 2 * call.routed.d;
  routed.k = call.k;
  LinearFp8Call shared = shared_linear(call);
  shared.q = call.q;
  shared.scale = call.scale;
  shared.weight = call.shared.gate_up;
  shared.weight_scale = call.shared.gate_up_scale;
  shared.n = 2 * call.shared.d;
  shared.k = call.k;
  return launch_experts_gate_up_fp8(routed, call.routed.rows, shared, call.shared.rows, stream);
}

bool launch_down_of(const ExpertsFp8Call& call, gpuStream_t stream) {
  GroupedLinearFp8Call routed = routed_linear(call);
  routed.q = call.routed.rows.q;
  routed.scale = call.routed.rows.scale;
  routed.weight = call.routed.down;
  routed.weight_scale = call.routed.down_scale;
  routed.tokens = call.rows;
  routed.n = call.n;
  routed.k = call.routed.d;
  LinearFp8Call shared = shared_linear(call);
  shared.q = call.shared.rows.q;
  shared.scale = call.shared.rows.scale;
  shared.weight = call.shared.down;
  shared.weight_scale = call.shared.down_scale;
  shared.n = call.n;
  shared.k = call.shared.d;
  return launch_experts_down_fp8(routed, call.routed.out, shared, call.shared.out, stream);
}

}  // namespace

bool launch_experts_fp8(const ExpertsFp8Call& call, gpuStream_t stream) {
  if (takes_few_tokens(call)) return launch_experts_few_fp8(call, stream);
  return launch_gate_up_of(call, stream) && launch_down_of(call, stream);
}

}  // namespace musaic
