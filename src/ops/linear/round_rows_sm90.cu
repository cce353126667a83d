#include "ops/linear/round_rows_sm90.h"

#include "gpu_launch.cuh"
#include "ops/linear/bf16_tile_shape_sm90.cuh"

namespace musaic {
namespace {

constexpr int kRoundingThreads = 256;

// A block rounds a row, four values a thread at a time.
__global__ void __launch_bounds__(kRoundingThreads)
    round_rows(const __grid_constant__ LinearTileCall call, RoundedRows rounded) {
  constexpr int kAtOnce = 4;
  const int row = static_cast<int>(blockIdx.x), quads = static_cast<int>(call.linear.x.width / 4);
  const int64_t rows = live_count(call.linear.live_rows, call.linear.x.outer);
  wait_for_previous_kernel();
  if (row >= rows) return;
  const auto* x = reinterpret_cast<const float4*>(static_cast<const float*>(call.linear.x.data) +
                                                  row * call.linear.x.outer_stride);
  auto* to = reinterpret_cast<uint2*>(rounded.pairs) + static_cast<int64_t>(row) * quads;
  for (int first = static_cast<int>(threadIdx.x); first < quads; first += kAtOnce * kRoundingThreads) {
    float4 values[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int quad = first + i * kRoundingThreads;
      if (quad < quads) values[i] = x[quad];
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int quad = first + i * kRoundingThreads;
      if (quad < quads)
        to[quad] = make_uint2(bf16_pair(values[i].x, values[i].y), bf16_pair(values[i].z, values[i].w));
    }
  }
}

// A warp rounds a normed row, whose norm has weights of this type. Of its squares a lane sums those that one
// lane of a warpgroup of Bf16Consumer sums in one of its four sums: half of the warp has the even steps, the
// other half the odd ones.
template <class Weight>
class NormedRow {
 public:
  __device__ NormedRow(const LinearTileCall& call, int row)
      : call_(call),
        weights_(static_cast<const Weight*>(call.norm_weight)),
        x_(static_cast<const float*>(call.linear.x.data) + row * call.linear.x.outer_stride),
        lane_(static_cast<int>(threadIdx.x) % kWarpSize),
        num_steps_(num_steps_of(call)) {}

  __device__ void round(uint32_t* pairs, float* factor) {
    for (int step = lane_ / kHalfWarp; step < num_steps_; step += 2 * kSteps) round_steps(step, pairs);
    squares_ += __shfl_xor_sync(0xffffffffu, squares_, 4);
    squares_ += __shfl_xor_sync(0xffffffffu, squares_, 8);
    squares_ = sum_over_quad(squares_);
    squares_ += __shfl_xor_sync(0xffffffffu, squares_, kHalfWarp);
    if (lane_ == 0)
      *factor = norm_factor(squares_, 1.0f / static_cast<float>(call_.linear.x.width), call_.eps);
  }

 private:
  static constexpr int kHalfWarp = kWarpSize / 2;
  static constexpr int kSteps = 8;  // of a lane, at once
  static constexpr int kPairs = 2;  // of a lane in a step

  // The lane's `pair` in its step number `i` from `step` on.
  __device__ int column(int step, int i, int pair) const {
    const int sum = lane_ / 4 % 4;
    return (step + 2 * i) * kStepValues + (sum / 2 + 2 * pair) * 16 + sum % 2 * 8 + lane_ % 4 * 2;
  }
  __device__ void round_steps(int step, uint32_t* pairs) {
    float2 values[kSteps][kPairs], weights[kSteps][kPairs];
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
#pragma unroll
      for (int p = 0; p < kPairs; ++p) {
        const int at = column(step, i, p);
        values[i][p] = weights[i][p] = make_float2(0, 0);
        if (at >= call_.linear.x.width) continue;
        values[i][p] = *reinterpret_cast<const float2*>(x_ + at);
        weights[i][p] = make_float2(to_float(weights_[at]), to_float(weights_[at + 1]));
      }
    }
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
#pragma unroll
      for (int p = 0; p < kPairs; ++p) {
        const int at = column(step, i, p);
        const float2 x = values[i][p], weight = weights[i][p];
        squares_ = fmaf(x.x, x.x, squares_);
        squares_ = fmaf(x.y, x.y, squares_);
        if (at < call_.linear.x.width)
          pairs[at / 2] = bf16_pair(__fmul_rn(x.x, weight.x), __fmul_rn(x.y, weight.y));
      }
    }
  }

  const LinearTileCall& call_;
  const Weight* weights_;
  const float* x_;
  const int lane_;
  const int num_steps_;
  float squares_ = 0;
};

template <class Weight>
__global__ void __launch_bounds__(kRoundingThreads)
    round_normed_rows(const __grid_constant__ LinearTileCall call, RoundedRows rounded) {
  const int row = static_cast<int>(blockIdx.x * kRoundingThreads + threadIdx.x) / kWarpSize;
  const int64_t rows = live_count(call.linear.live_rows, call.linear.x.outer);
  wait_for_previous_kernel();
  if (row < rows)
    NormedRow<Weight>(call, row).round(rounded.pairs + row * call.linear.x.width / 2, rounded.factors + row);
}

template <class Weight>
void launch_normed(const LinearTileCall& call, const RoundedRows& rounded, gpuStream_t stream) {
  constexpr int kRowsOfBlock = kRoundingThreads / kWarpSize;
  const auto rows = static_cast<unsigned>(call.linear.x.outer);
  launch_kernel(round_normed_rows<Weight>, dim3((rows + kRowsOfBlock - 1) / kRowsOfBlock),
                dim3(kRoundingThreads), stream, call, rounded);
}

}  // namespace

void launch_rounding(const LinearTileCall& call, const RoundedRows& rounded, gpuStream_t stream) {
  if (rounded.factors == nullptr)
    launch_kernel(round_rows, dim3(static_cast<unsigned>(call.linear.x.outer)), dim3(kRoundingThreads),
                  stream, call, rounded);
  else if (call.norm_dtype == DType::kBF16)
    launch_normed<gpuBfloat16>(call, rounded, stream);
  else if (call.norm_dtype == DType::kF16)
    launch_normed<__half>(call, rounded, stream);
  else
    launch_normed<float>(call, rounded, stream);
}

}  // namespace musaic
