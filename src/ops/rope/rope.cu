#include "gpu_launch.cuh"
#include "ops/rope/rope_gpu.h"
#include "ops/rope/rotate_gpu.cuh"

namespace musaic {
namespace {

__global__ void write_cos_sin(RopeCosSinCall call, unsigned blocks_a_row) {
  wait_for_previous_kernel();
  const PackPlace place = my_pack(blocks_a_row);
  if (place.pack >= call.half || place.row >= live_count(call.live_rows, call.cos_sin.outer)) return;
  const double position = call.positions[place.row * call.position_stride];
  double sine, cosine;
  sincos(position * static_cast<double>(call.inv_freq[place.pack]), &sine, &cosine);
  float* row = row_of<float>(call.cos_sin, place.row);
  row[place.pack] = static_cast<float>(cosine * call.factor);
  row[call.half + place.pack] = static_cast<float>(sine * call.factor);
}

// A thread for N pairs of a head, in place.
template <class T, int N>
__global__ void rotate_rows(RopeCall call, unsigned blocks_a_row) {
  wait_for_previous_kernel();
  const PackPlace place = my_pack(blocks_a_row);
  const int64_t half = call.cos_sin.width / 2;
  const unsigned packs_a_head = static_cast<unsigned>(half / N);
  const int64_t head = static_cast<unsigned>(place.pack) / packs_a_head;
  const int64_t first = static_cast<unsigned>(place.pack) % packs_a_head * N;
  if (head * call.head_dim >= call.x.width || place.row >= live_count(call.live_rows, call.x.outer)) return;
  T* values = row_of<T>(call.x, place.row) + head * call.head_dim;
  Pairs<N> pairs = load_pairs<T, N>(values, first, half, call.interleaved);
  rotate(pairs, row_of<const float>(call.cos_sin, place.row), first, half);
  store_pairs(pairs, values, first, half, call.interleaved);
}

template <class T, int N>
void launch_rotation(const RopeCall& call, gpuStream_t stream) {
  const int64_t packs = call.x.width / call.head_dim * (call.cos_sin.width / 2 / N);
  const RowGrid shape = RowGrid::of(call.x.outer, packs);
  launch_kernel(rotate_rows<T, N>, shape.grid, shape.block, stream, call, shape.blocks_a_row);
}

}  // namespace

void launch_rope_cos_sin(const RopeCosSinCall& call, gpuStream_t stream) {
  const RowGrid shape = RowGrid::of(call.cos_sin.outer, call.half);
  launch_kernel(write_cos_sin, shape.grid, shape.block, stream, call, shape.blocks_a_row);
}

void launch_rope(const RopeCall& call, gpuStream_t stream) {
  with_float_type(call.x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (rotates_in_packs<T>(call.x, call.cos_sin, call.head_dim, call.interleaved)) {
      launch_rotation<T, kPairsAtOnce>(call, stream);
    } else {
      launch_rotation<T, 1>(call, stream);
    }
  });
}

}  // namespace musaic
