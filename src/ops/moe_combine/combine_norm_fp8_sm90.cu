#include "ops/moe_combine/combine_norm_fp8_sm90.h"

#include <algorithm>

#include "gpu_launch.cuh"
#include "hopper.cuh"
#include "ops/linear/tiles_sm90.cuh"
#include "ops/per_token_group_quant/group_of_128_gpu.cuh"
#include "ops/rms_norm/norm_row_gpu.cuh"

namespace musaic {
namespace {

constexpr int N = kPackWidth<float>;
constexpr int kStages = 2;                // tokens whose rows are on their way at once
constexpr int kMostRows = kWarpSize;      // of a token: a lane brings each
constexpr size_t kMostBytes = 216 << 10;  // of a block's dynamic memory

struct CombineNormCall {
  MoeCombineCall combine;
  RmsNormCall norm;
  Fp8RowsOut out;
};

// In the order in which they are added: those of the token's experts, the addend, the residual.
__host__ __device__ int rows_of_a_token(const MoeCombineCall& call) {
  return call.top_k + (call.addend.data == nullptr ? 1 : 2);
}

struct CombineMemory {
  Barrier full[kStages];
  float weights[kStages][kMostRows];
  float scratch[32];
};

// Brings the rows of tokens, by a warp: each of its lanes one of a token.
class RowBringer {
 public:
  __device__ RowBringer(const CombineNormCall& call, CombineMemory& memory, uint32_t rows, int live)
      : call_(call),
        memory_(memory),
        rows_(rows),
        live_(live),
        lane_(static_cast<int>(threadIdx.x)),
        num_rows_(rows_of_a_token(call.combine)),
        row_bytes_(static_cast<uint32_t>(call.norm.residual.width * sizeof(float))),
        token_(static_cast<int>(blockIdx.x)) {
    find_choice();
  }

  // The next token's, into a stage that nobody reads.
  __device__ void bring(int stage) {
    if (token_ >= live_ || lane_ >= num_rows_) return;
    if (lane_ < call_.combine.top_k) memory_.weights[stage][lane_] = weight_;
    memory_.full[stage].arrive_and_expect(row_bytes_);
    copy_bytes(rows_ + (stage * num_rows_ + lane_) * row_bytes_, source(), row_bytes_, memory_.full[stage]);
    token_ += static_cast<int>(gridDim.x);
    find_choice();
  }

 private:
  __device__ void find_choice() {
    const int top_k = call_.combine.top_k;
    if (token_ >= live_ || lane_ >= top_k) return;
    row_ = call_.combine.token_row[token_ * top_k + lane_];
    weight_ = call_.combine.weights[token_ * top_k + lane_];
  }
  __device__ const float* source() const {
    if (lane_ < call_.combine.top_k) return row_of(call_.combine.x, row_);
    return row_of(lane_ + 1 == num_rows_ ? call_.norm.residual : call_.combine.addend, token_);
  }
  static __device__ const float* row_of(const DeviceRows& rows, int64_t row) {
    return static_cast<const float*>(rows.data) + row * rows.outer_stride;
  }

  const CombineNormCall& call_;
  CombineMemory& memory_;
  const uint32_t rows_;  // in shared memory
  const int live_;
  const int lane_;
  const int num_rows_;
  const uint32_t row_bytes_;
  int token_;
  int row_ = 0;  // the lane's choice of the next token
  float weight_ = 0.0f;
};

// The pack at `column` of the sum that combine_norm_rows makes, in its order.
__device__ void sum_pack(const MoeCombineCall& call, const float* rows, const float* weights, int width,
                         int column, float (&sum)[N]) {
  const int num_rows = rows_of_a_token(call);
#pragma unroll 8
  for (int k = 0; k < call.top_k; ++k) {
    float values[N];
    load_pack(rows + k * width + column, N, true, values);
#pragma unroll
    for (int i = 0; i < N; ++i) sum[i] = __fadd_rn(sum[i], __fmul_rn(weights[k], values[i]));
  }
  for (int k = call.top_k; k < num_rows; ++k) add_pack<float>(rows + k * width, column, width, true, sum);
}

// A block has every gridDim.x-th token, a thread a pack of its row. The rows of the tokens behind it are on
// their way while it is summed: in registers there is room for too few to keep memory busy.
template <class W>
__global__ void __launch_bounds__(kMaxNormThreads, 1)
    combine_norm_streamed(const __grid_constant__ CombineNormCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(128) float rows[];
  __shared__ CombineMemory memory;
  const RmsNormCall& norm = call.norm;
  const int width = static_cast<int>(norm.residual.width), column = static_cast<int>(threadIdx.x) * N;
  const int live = static_cast<int>(live_count(norm.live_rows, norm.residual.outer));
  const bool brings = threadIdx.x < kWarpSize, has_pack = column < width;
  if (threadIdx.x == 0) {
    for (Barrier& full : memory.full) full.init(static_cast<uint32_t>(rows_of_a_token(call.combine)));
    publish_barriers();
  }
  prefetch_weight(static_cast<const W*>(norm.weight), width);
  RowBringer bringer(call, memory, shared_address(rows), live);
  __syncthreads();
  wait_for_previous_kernel();
  for (int stage = 0; brings && stage < kStages; ++stage) bringer.bring(stage);
  float weights[N] = {};
  if (has_pack) load_pack(static_cast<const W*>(norm.weight) + column, N, true, weights);
  RingPlace<kStages> place;
  for (int token = static_cast<int>(blockIdx.x); token < live; token += static_cast<int>(gridDim.x)) {
    memory.full[place.stage].wait(place.parity);
    float values[N] = {};
    if (has_pack) {
      sum_pack(call.combine, rows + place.stage * rows_of_a_token(call.combine) * width,
               memory.weights[place.stage], width, column, values);
      store_pack(values,
                 static_cast<float*>(norm.residual.data) + token * norm.residual.outer_stride + column, N,
                 true);
    }
    const float squares = block_sum(add_squares(values, 0.0f), memory.scratch);
    if (brings) bringer.bring(place.stage);
    place.advance();
    const float mean = __fdiv_rn(squares, static_cast<float>(width));
    const float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, norm.eps)));
    scale_pack(factor, weights, values);
    quantize_group_of_128(values, call.out, token, column, true);
  }
#endif
}

size_t shared_bytes(const CombineNormCall& call) {
  return kStages * rows_of_a_token(call.combine) * static_cast<size_t>(call.norm.residual.width) *
         sizeof(float);
}

bool streams(const CombineNormCall& call) {
  return call.norm.residual.width <= kMaxNormThreads * N && rows_of_a_token(call.combine) <= kMostRows &&
         shared_bytes(call) <= kMostBytes && has_whole_packs<float, N>(call.combine.x) &&
         has_whole_packs<float, N>(call.combine.addend) && has_whole_packs<float, N>(call.norm.residual) &&
         is_aligned(call.norm.weight, sizeof(float) * N) && is_aligned(call.out.q, N);
}

}  // namespace

bool launch_combine_norm_fp8_sm90(const MoeCombineCall& combine, const RmsNormCall& norm,
                                  const Fp8RowsOut& out, gpuStream_t stream) {
  const CombineNormCall call = {combine, norm, out};
  if (!streams(call)) return false;
  const auto packs = static_cast<unsigned>(norm.residual.width / N);
  const dim3 block((packs + kWarpSize - 1) / kWarpSize * kWarpSize);
  const auto blocks = static_cast<unsigned>(std::min<int64_t>(norm.residual.outer, num_multiprocessors()));
  with_float_type(norm.weight_dtype, [&](auto* weight) {
    using W = std::remove_pointer_t<decltype(weight)>;
    launch_kernel_with_shared(combine_norm_streamed<W>, dim3(blocks), block, shared_bytes(call), stream,
                              call);
  });
  return true;
}

}  // namespace musaic
