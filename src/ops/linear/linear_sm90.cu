#include "ops/linear/linear_sm90.h"

#include "ops/linear/bf16_tiles_sm90.cuh"

namespace musaic {
namespace {

using Large = Bf16TileShape<1, 2, 128, 4>;
using Middle = Bf16TileShape<1, 2, 64, 6>;
using Small = Bf16TileShape<1, 2, 32, 8>;

bool is_aligned(const DeviceRows& rows) {
  return reinterpret_cast<uintptr_t>(rows.data) % 16 == 0 && (rows.outer == 1 || rows.outer_stride % 4 == 0);
}

// How many tiles a multiprocessor makes, in units of `cost`.
template <class Shape>
int64_t time_of(const LinearCall& call, int64_t cost) {
  const int64_t blocks = num_multiprocessors();
  return (num_bf16_tiles<Shape>(call) + blocks - 1) / blocks * cost;
}

}  // namespace

bool launch_linear_sm90(const LinearCall& call, gpuStream_t stream) {
  constexpr int64_t kFirstRows = 65;
  if (call.x.outer < kFirstRows || !is_aligned(call.x) || !is_aligned(call.y)) return false;
  const int64_t small = time_of<Small>(call, 4), middle = time_of<Middle>(call, 5),
                large = time_of<Large>(call, 7);
  if (large <= std::min(small, middle)) return launch_bf16_tiles<Large>(call, stream);
  if (middle <= small) return launch_bf16_tiles<Middle>(call, stream);
  return launch_bf16_tiles<Small>(call, stream);
}

}  // namespace musaic
