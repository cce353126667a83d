#include "gpu_launch.cuh"
#include "ops/moe_combine/combine_gpu.cuh"
#include "ops/moe_combine/combine_norm_fp8_gpu.h"
#include "ops/per_token_group_quant/group_of_128_gpu.cuh"
#include "ops/rms_norm/norm_row_gpu.cuh"

namespace musaic {
namespace {

constexpr int N = kPackWidth<float>;
constexpr int kBlocksAtOnce = 2;  // on a multiprocessor, where there are many tokens

// A pack a thread, as far as there are threads: a pack waits for the rows of all its token's experts.
dim3 block_of(int64_t width) {
  const int64_t packs = (width + N - 1) / N, threads = (packs + kWarpSize - 1) / kWarpSize * kWarpSize;
  return dim3(static_cast<unsigned>(threads < kMaxNormThreads ? threads : kMaxNormThreads));
}

// A block a token. The choices were made before the experts began, and need no wait for those. The code is
// short, as a block of a decode step waits for each line of it.
template <class T, class W, bool whole>
__global__ void __launch_bounds__(kMaxNormThreads, kBlocksAtOnce)
    combine_norm_rows(MoeCombineCall combine, RmsNormCall norm, Fp8RowsOut out) {
  __shared__ float scratch[32];
  const int64_t token = blockIdx.x, live = live_count(norm.live_rows, norm.residual.outer);
  const int width = static_cast<int>(norm.residual.width), step = static_cast<int>(blockDim.x) * N;
  const int first = static_cast<int>(threadIdx.x) * N;
  prefetch_weight(static_cast<const W*>(norm.weight), width);
  TokenChoices choices;
  if (token < live) choices.load(combine, token, 0);
  wait_for_previous_kernel();
  if (token >= live) return;
  float* residual = static_cast<float*>(norm.residual.data) + token * norm.residual.outer_stride;
  float values[N] = {}, squares = 0.0f;
#pragma unroll 1
  for (int column = first; column < width; column += step) {
    combine_pack<T>(combine, choices, token, column, whole, values);
    add_pack<float>(residual, column, width, whole, values);
    store_pack(values, residual + column, width - column, whole);
    squares = add_squares(values, squares);
  }
  squares = block_sum(squares, scratch);
  const float mean = __fdiv_rn(squares, static_cast<float>(width));
  const float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, norm.eps)));
#pragma unroll 1
  for (int base = 0; base < width; base += step) {
    const int column = base + first;
    float weights[N] = {};
    if (column < width) {
      if (step < width) load_pack(residual + column, width - column, whole, values);
      load_pack(static_cast<const W*>(norm.weight) + column, width - column, whole, weights);
    } else {
#pragma unroll
      for (int i = 0; i < N; ++i) values[i] = 0.0f;
    }
    scale_pack(factor, weights, values);
    quantize_group_of_128(values, out, token, column, whole);
  }
}

template <class T, class W>
void launch_rows(const MoeCombineCall& combine, const RmsNormCall& norm, const Fp8RowsOut& out,
                 gpuStream_t stream) {
  const bool whole = has_whole_packs<T, N>(combine.x) && has_whole_packs<T, N>(combine.addend) &&
                     has_whole_packs<float, N>(norm.residual) &&
                     is_aligned(norm.weight, alignof(Pack<W, N>)) && is_aligned(out.q, N);
  launch_kernel(whole ? combine_norm_rows<T, W, true> : combine_norm_rows<T, W, false>,
                dim3(static_cast<unsigned>(norm.residual.outer)), block_of(norm.residual.width), stream,
                combine, norm, out);
}

}  // namespace

void launch_combine_norm_fp8(const MoeCombineCall& combine, const RmsNormCall& norm, const Fp8RowsOut& out,
                             gpuStream_t stream) {
  with_float_type(norm.weight_dtype, [&](auto* weight) {
    using W = std::remove_pointer_t<decltype(weight)>;
    if (combine.x.dtype == DType::kBF16) return launch_rows<gpuBfloat16, W>(combine, norm, out, stream);
    launch_rows<float, W>(combine, norm, out, stream);
  });
}

}  // namespace musaic
