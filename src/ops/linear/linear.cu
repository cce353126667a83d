#include "ops/linear/linear_few_rows.cuh"
#include "ops/linear/linear_gpu.h"
#include "ops/linear/linear_many_rows.cuh"

namespace musaic {
namespace {

// Eight rows of sums and one packet of each stay in registers.
constexpr int64_t kFewRows = 8;
// Tiles that keep most multiprocessors of a large device busy; with fewer, smaller ones are faster.
constexpr int64_t kEnoughTiles = 96;

using LargeTile = TileShape<64, 8, 8, 1>;
using SmallTile = TileShape<16, 4, 4, 2>;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

bool is_aligned(const LinearCall& call) {
  const auto lies_at = [](const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; };
  return call.x.width % kPacket == 0 && call.x.outer_stride % 4 == 0 && lies_at(call.x.data) &&
         lies_at(call.weight);
}

template <DType kType, int kRows, int kBatch>
void launch_few_rows(const LinearCall& call, gpuStream_t stream) {
  const dim3 grid(static_cast<unsigned>(ceil_div(call.y.width, kFewRowsColumns)),
                  static_cast<unsigned>(ceil_div(call.x.outer, kRows)));
  launch_kernel(linear_few_rows<kType, kRows, kBatch>, grid, kFewRowsThreads, stream, call);
}

template <DType kType, class Shape>
void launch_many_rows(const LinearCall& call, gpuStream_t stream) {
  const dim3 grid(static_cast<unsigned>(ceil_div(call.y.width, kTileColumns)),
                  static_cast<unsigned>(ceil_div(call.x.outer, Shape::kTileRows)));
  launch_kernel(linear_many_rows<kType, Shape>, grid, kTileThreads, stream, call);
}

template <DType kType>
void launch_type(const LinearCall& call, gpuStream_t stream) {
  const int64_t rows = call.x.outer;
  constexpr int kBatch = kType == DType::kF32 ? 8 : 12;
  if (!is_aligned(call)) return launch_few_rows<kType, 4, 0>(call, stream);
  if (rows == 1) return launch_few_rows<kType, 1, kBatch>(call, stream);
  if (rows <= 4) return launch_few_rows<kType, 4, 8>(call, stream);
  if (rows <= kFewRows) return launch_few_rows<kType, 8, 8>(call, stream);
  const int64_t large_tiles = ceil_div(rows, LargeTile::kTileRows) * ceil_div(call.y.width, kTileColumns);
  if (large_tiles >= kEnoughTiles) return launch_many_rows<kType, LargeTile>(call, stream);
  launch_many_rows<kType, SmallTile>(call, stream);
}

}  // namespace

void launch_linear(const LinearCall& call, gpuStream_t stream) {
  with_weight_type(call.weight_dtype,
                   [&](auto weight) { launch_type<decltype(weight)::value>(call, stream); });
}

}  // namespace musaic
