#include "ops/moe_combine/combine_norm_fp8_sm90.h"

#include <algorithm>

#include "gpu_launch.cuh"
#include "hopper.cuh"
#include "ops/linear/ring_place.cuh"
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

// A token's rows in shared memory: in T those of its experts and the addend, the residual behind them.
template <class T>
struct TokenRows {
  int num_rows;
  int width;

  __host__ __device__ explicit TokenRows(const CombineNormCall& call)
      : num_rows(rows_of_a_token(call.combine)), width(static_cast<int>(call.norm.residual.width)) {}

  __host__ __device__ uint32_t row_bytes(int row) const {
    return static_cast<uint32_t>(width * (row + 1 == num_rows ? sizeof(float) : sizeof(T)));
  }
  __host__ __device__ uint32_t offset(int row) const {
    return static_cast<uint32_t>(row * width * sizeof(T));
  }
  __host__ __device__ uint32_t bytes() const { return offset(num_rows - 1) + row_bytes(num_rows - 1); }
};

// Brings the rows of tokens, by a warp: each of its lanes one of a token.
template <class T>
class RowBringer {
 public:
  __device__ RowBringer(const CombineNormCall& call, CombineMemory& memory, uint32_t rows, int live)
      : call_(call),
        memory_(memory),
        rows_(rows),
        live_(live),
        lane_(static_cast<int>(threadIdx.x)),
        layout_(call),
        token_(static_cast<int>(blockIdx.x)) {
    find_choice();
  }

  // The next token's, into a stage that nobody reads.
  __device__ void bring(int stage) {
    if (token_ >= live_ || lane_ >= layout_.num_rows) return;
    if (lane_ < call_.combine.top_k) memory_.weights[stage][lane_] = weight_;
    const uint32_t bytes = layout_.row_bytes(lane_);
    memory_.full[stage].arrive_and_expect(bytes);
    copy_bytes(rows_ + stage * layout_.bytes() + layout_.offset(lane_), source(), bytes, memory_.full[stage]);
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
  __device__ const void* source() const {
    if (lane_ < call_.combine.top_k) return row_of<T>(call_.combine.x, row_);
    if (lane_ + 1 < layout_.num_rows) return row_of<T>(call_.combine.addend, token_);
    return row_of<float>(call_.norm.residual, token_);
  }

  const CombineNormCall& call_;
  CombineMemory& memory_;
  const uint32_t rows_;  // in shared memory
  const int live_;
  const int lane_;
  const TokenRows<T> layout_;
  int token_;
  int row_ = 0;  // the lane's choice of the next token
  float weight_ = 0.0f;
};

// The pack at `column` of the sum that combine_norm_rows makes, in its order.
template <class T>
__device__ void sum_pack(const MoeCombineCall& call, const TokenRows<T>& layout, const uint8_t* rows,
                         const float* weights, int column, float (&sum)[N]) {
  const auto row = [&](int k) { return reinterpret_cast<const T*>(rows + layout.offset(k)); };
#pragma unroll 8
  for (int k = 0; k < call.top_k; ++k) {
    float values[N];
    load_pack(row(k) + column, N, true, values);
#pragma unroll
    for (int i = 0; i < N; ++i) sum[i] = __fadd_rn(sum[i], __fmul_rn(weights[k], values[i]));
  }
  const int last = layout.num_rows - 1;
  if (last > call.top_k) add_pack(row(call.top_k), column, layout.width, true, sum);
  add_pack(reinterpret_cast<const float*>(row(last)), column, layout.width, true, sum);
}

// A block has every gridDim.x-th token, a thread a pack of its row. The rows of the tokens behind it are on
// their way while it is summed: in registers there is room for too few to keep memory busy.
template <class T, class W>
__global__ void __launch_bounds__(kMaxNormThreads, 1)
    combine_norm_streamed(const __grid_constant__ CombineNormCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(128) uint8_t rows[];
  __shared__ CombineMemory memory;
  const TokenRows<T> layout(call);
  const RmsNormCall& norm = call.norm;
  const int width = static_cast<int>(norm.residual.width), column = static_cast<int>(threadIdx.x) * N;
  const int live = static_cast<int>(live_count(norm.live_rows, norm.residual.outer));
  const bool brings = threadIdx.x < kWarpSize, has_pack = column < width;
  if (threadIdx.x == 0) {
    for (Barrier& full : memory.full) full.init(static_cast<uint32_t>(layout.num_rows));
    publish_barriers();
  }
  prefetch_weight(static_cast<const W*>(norm.weight), width);
  RowBringer<T> bringer(call, memory, shared_address(rows), live);
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
      sum_pack(call.combine, layout, rows + place.stage * layout.bytes(), memory.weights[place.stage], column,
               values);
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

template <class T>
bool streams(const CombineNormCall& call) {
  const TokenRows<T> layout(call);
  return call.norm.residual.width <= kMaxNormThreads * N && layout.num_rows <= kMostRows &&
         kStages * size_t{layout.bytes()} <= kMostBytes &&
         has_whole_packs<T, kPackWidth<T>>(call.combine.x) &&
         has_whole_packs<T, kPackWidth<T>>(call.combine.addend) &&
         has_whole_packs<float, N>(call.norm.residual) && is_aligned(call.norm.weight, sizeof(float) * N) &&
         is_aligned(call.out.q, N);
}

template <class T>
void launch(const CombineNormCall& call, gpuStream_t stream) {
  if (!streams<T>(call)) return launch_combine_norm_fp8(call.combine, call.norm, call.out, stream);
  const RmsNormCall& norm = call.norm;
  const auto packs = static_cast<unsigned>(norm.residual.width / N);
  const dim3 block((packs + kWarpSize - 1) / kWarpSize * kWarpSize);
  const auto blocks = static_cast<unsigned>(std::min<int64_t>(norm.residual.outer, num_multiprocessors()));
  with_float_type(norm.weight_dtype, [&](auto* weight) {
    using W = std::remove_pointer_t<decltype(weight)>;
    launch_kernel_with_shared(combine_norm_streamed<T, W>, dim3(blocks), block, kMostBytes, stream, call);
  });
}

}  // namespace

void launch_combine_norm_fp8_sm90(const MoeCombineCall& combine, const RmsNormCall& norm,
                                  const Fp8RowsOut& out, gpuStream_t stream) {
  const CombineNormCall call = {combine, norm, out};
  return combine.x.dtype == DType::kBF16 ? launch<gpuBfloat16>(call, stream) : launch<float>(call, stream);
}

}  // namespace musaic
