#include "gpu_launch.cuh"
#include "ops/moe_combine/combine_gpu.cuh"
#include "ops/moe_combine/combine_norm_fp8_gpu.h"
#include "ops/per_token_group_quant/group_of_128_gpu.cuh"
#include "ops/rms_norm/norm_row_gpu.cuh"

namespace musaic {
namespace {

constexpr int N = kPackWidth<float>;

// A pack a thread, as far as there are threads: a pack waits for the rows of all its token's experts.
dim3 block_of(int64_t width) {
  const int64_t packs = (width + N - 1) / N, threads = (packs + kWarpSize - 1) / kWarpSize * kWarpSize;
  return dim3(static_cast<unsigned>(threads < kMaxNormThreads ? threads : kMaxNormThreads));
}

template <class W>
__global__ void __launch_bounds__(kMaxNormThreads)
    combine_norm_rows(MoeCombineCall combine, RmsNormCall norm, Fp8RowsOut out, bool whole) {
  __shared__ float scratch[32];
  wait_for_previous_kernel();
  const int64_t token = blockIdx.x;
  if (token >= live_count(norm.live_rows, norm.residual.outer)) return;
  float* residual = row_of<float>(norm.residual, token);
  const NormRow<float, W> row = {
      nullptr,  residual, nullptr, static_cast<const W*>(norm.weight), static_cast<int>(norm.residual.width),
      norm.eps, whole};
  const auto load = [&](int column, float(&values)[N]) {
    combine_pack(combine, token, column, whole, values);
    add_pack<float>(residual, column, row.width, whole, values);
  };
  norm_loaded_row(row, scratch, load, [&](int column, const float(&values)[N]) {
    quantize_group_of_128(values, out, token, column, whole);
  });
}

}  // namespace

void launch_combine_norm_fp8(const MoeCombineCall& combine, const RmsNormCall& norm, const Fp8RowsOut& out,
                             gpuStream_t stream) {
  with_float_type(norm.weight_dtype, [&](auto* weight) {
    using W = std::remove_pointer_t<decltype(weight)>;
    const bool whole = has_whole_packs<float, N>(combine.x) && has_whole_packs<float, N>(combine.addend) &&
                       has_whole_packs<float, N>(norm.residual) &&
                       is_aligned(norm.weight, alignof(Pack<W, N>)) && is_aligned(out.q, N);
    launch_kernel(combine_norm_rows<W>, dim3(static_cast<unsigned>(norm.residual.outer)),
                  block_of(norm.residual.width), stream, combine, norm, out, whole);
  });
}

}  // namespace musaic
