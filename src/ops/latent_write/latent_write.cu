#include "gpu_launch.cuh"
#include "ops/latent_write/latent_write_gpu.h"
#include "ops/rms_norm/norm_row_gpu.cuh"
#include "ops/rope/rotate_gpu.cuh"

namespace musaic {
namespace {

// What the threads of one token do, in this order: rotate pairs of the query, rotate pairs of the key into
// the cache, copy the latent; N pairs or values each.
struct LatentParts {
  int pairs_a_head;
  int query_pairs;
  int latent_copies;

  int count() const { return query_pairs + pairs_a_head + latent_copies; }
};

template <int N>
LatentParts parts_of(const LatentWriteCall& call) {
  LatentParts parts = {};
  parts.pairs_a_head = static_cast<int>(call.cos_sin.width) / 2 / N;
  parts.query_pairs = static_cast<int>(call.query.width / call.head_dim) * parts.pairs_a_head;
  parts.latent_copies = static_cast<int>(call.latent.width + N - 1) / N;
  return parts;
}

template <int N>
__device__ Pairs<N> rotated_pairs(const LatentWriteCall& call, const float* values, int64_t token,
                                  int64_t first) {
  const int64_t half = call.cos_sin.width / 2;
  Pairs<N> pairs = load_pairs<float, N>(values, first, half, call.interleaved);
  rotate(pairs, row_of<const float>(call.cos_sin, token), first, half);
  return pairs;
}

template <int N>
__device__ void rotate_query(const LatentWriteCall& call, const LatentParts& parts, int64_t token, int part) {
  const int64_t first = part % parts.pairs_a_head * N;
  const int64_t end = (part / parts.pairs_a_head + 1) * call.head_dim;
  float* values = row_of<float>(call.query, token) + end - call.cos_sin.width;
  store_pairs(rotated_pairs<N>(call, values, token, first), values, first, call.cos_sin.width / 2,
              call.interleaved);
}

template <class C>
__device__ C* cached_row(const LatentWriteCall& call, int64_t token) {
  return static_cast<C*>(call.cache) + call.slots[token] * (call.latent.width + call.cos_sin.width);
}

// The parts that rotate.
template <class C, int N>
__device__ void rotate_part(const LatentWriteCall& call, const LatentParts& parts, int64_t token, int part) {
  if (part < parts.query_pairs) return rotate_query<N>(call, parts, token, part);
  part -= parts.query_pairs;
  const Pairs<N> pairs = rotated_pairs<N>(call, row_of<const float>(call.rope_key, token), token, part * N);
  store_pairs(pairs, cached_row<C>(call, token) + call.latent.width, part * N, call.cos_sin.width / 2,
              call.interleaved);
}

template <class C, int N>
__global__ void write_latents(LatentWriteCall call, LatentParts parts, unsigned blocks_a_row) {
  wait_for_previous_kernel();
  const PackPlace place = my_pack(blocks_a_row);
  const int64_t token = place.row;
  if (token >= live_count(call.live_rows, call.query.outer)) return;
  const int part = static_cast<int>(place.pack), copy = part - parts.query_pairs - parts.pairs_a_head;
  if (copy < 0) return rotate_part<C, N>(call, parts, token, part);
  const int64_t column = static_cast<int64_t>(copy) * N;
  if (column >= call.latent.width) return;
  float values[N];
  load_pack<float, N>(row_of<const float>(call.latent, token) + column, N, true, values);
  store_pack<C, N>(values, cached_row<C>(call, token) + column, N, true);
}

// A token's first block norms its latent, the others rotate, a part a thread.
template <class C, class W, int N, bool whole>
__global__ void __launch_bounds__(kMaxNormThreads)
    norm_and_write_latents(LatentWriteCall call, LatentParts parts, LatentNorm norm) {
  __shared__ float scratch[32];
  const int64_t token = blockIdx.x, live = live_count(call.live_rows, call.query.outer);
  if (blockIdx.y == 0) prefetch_weight(static_cast<const W*>(norm.weight), call.latent.width);
  wait_for_previous_kernel();
  if (token >= live) return;
  if (blockIdx.y > 0) {
    const int part = static_cast<int>((blockIdx.y - 1) * blockDim.x + threadIdx.x);
    if (part < parts.query_pairs + parts.pairs_a_head) rotate_part<C, N>(call, parts, token, part);
    return;
  }
  const NormRow<float, W> row = {
      row_of<const float>(call.latent, token), nullptr,  nullptr, static_cast<const W*>(norm.weight),
      static_cast<int>(call.latent.width),     norm.eps, whole};
  C* cached = cached_row<C>(call, token);
  norm_row(row, scratch, [&](int column, const float(&values)[kPackWidth<float>]) {
    if (column < row.width) store_pack(values, cached + column, row.width - column, whole);
  });
}

template <class C, int N>
void launch_packs(const LatentWriteCall& call, gpuStream_t stream) {
  const LatentParts parts = parts_of<N>(call);
  const RowGrid shape = RowGrid::of(call.query.outer, parts.count());
  launch_kernel(write_latents<C, N>, shape.grid, shape.block, stream, call, parts, shape.blocks_a_row);
}

// Whether everything can be moved kPairsAtOnce pairs or values at a time.
template <class C>
bool moves_in_packs(const LatentWriteCall& call) {
  constexpr int kWidth = 2 * kPairsAtOnce;
  return call.latent.width % kWidth == 0 && is_aligned(call.cache, alignof(Pack<C, kWidth>)) &&
         has_whole_packs<float, kPairsAtOnce>(call.latent) &&
         rotates_in_packs<float>(call.query, call.cos_sin, call.head_dim, call.interleaved) &&
         rotates_in_packs<float>(call.rope_key, call.cos_sin, call.cos_sin.width, call.interleaved);
}

template <class C, class W, int N>
void launch_normed(const LatentWriteCall& call, const LatentNorm& norm, gpuStream_t stream) {
  constexpr int kWidth = kPackWidth<float>;
  const int64_t row_width = call.latent.width + call.cos_sin.width;
  const bool whole = has_whole_packs<float, kWidth>(call.latent) && row_width % kWidth == 0 &&
                     is_aligned(call.cache, alignof(Pack<C, kWidth>)) &&
                     is_aligned(norm.weight, alignof(Pack<W, kWidth>));
  const LatentParts parts = parts_of<N>(call);
  const auto threads = norm_block<float>(call.latent.width, 1).x;
  const auto rotating = static_cast<unsigned>(parts.query_pairs + parts.pairs_a_head);
  const dim3 grid(static_cast<unsigned>(call.query.outer), 1 + (rotating + threads - 1) / threads);
  launch_kernel(whole ? norm_and_write_latents<C, W, N, true> : norm_and_write_latents<C, W, N, false>, grid,
                dim3(threads), stream, call, parts, norm);
}

}  // namespace

void launch_norm_latent_write(const LatentWriteCall& call, const LatentNorm& norm, gpuStream_t stream) {
  with_float_type(call.cache_dtype, [&](auto* type) {
    using C = std::remove_pointer_t<decltype(type)>;
    with_float_type(norm.dtype, [&](auto* weight) {
      using W = std::remove_pointer_t<decltype(weight)>;
      if (moves_in_packs<C>(call)) {
        launch_normed<C, W, kPairsAtOnce>(call, norm, stream);
      } else {
        launch_normed<C, W, 1>(call, norm, stream);
      }
    });
  });
}

void launch_latent_write(const LatentWriteCall& call, gpuStream_t stream) {
  with_float_type(call.cache_dtype, [&](auto* type) {
    using C = std::remove_pointer_t<decltype(type)>;
    if (moves_in_packs<C>(call)) {
      launch_packs<C, kPairsAtOnce>(call, stream);
    } else {
      launch_packs<C, 1>(call, stream);
    }
  });
}

}  // namespace musaic
