#include "gpu_matrix.cuh"
#include "ops/linear/stripes_gpu.cuh"

// y = x · weightᵀ of bf16 weights by matrix units. x is the sum of two bf16 values, which differs from it by
// 2^-18 of its size at most. A sum over k is eight stripes, one a warp: stripe s has the steps of 16 values
// whose number is s modulo 8. Every shape of tile keeps to it, so that a row's bits do not depend on the
// other rows.
namespace musaic {
namespace {

constexpr int kThreads = 32 * kStripes;
constexpr int kParts = 2;

// A block's tile of y in squares of 16 × 16; kBatch steps of k are under way at once.
template <int kRowSquares_, int kColumnSquares_, int kBatch_>
struct MmaShape {
  static constexpr int kRowSquares = kRowSquares_;
  static constexpr int kColumnSquares = kColumnSquares_;
  static constexpr int kBatch = kBatch_;
  static constexpr int kTileRows = kMatrixSize * kRowSquares;
  static constexpr int kTileColumns = kMatrixSize * kColumnSquares;
};

// Sixteen rows of sixteen values, times the parts.
struct SplitSquare {
  gpuBfloat16 parts[kParts][kMatrixSize][kMatrixSize];
};

template <class Shape>
union MmaMemory {
  SplitSquare x[kStripes][Shape::kBatch][Shape::kRowSquares];
  float sums[kStripes][kMatrixSize][Shape::kTileColumns];
};

// What one warp brings of its next kBatch steps. A lane has half a row of each square of x.
template <class Shape>
struct WarpInput {
  float x[Shape::kBatch][Shape::kRowSquares][kPacket];
  RightMatrix weight[Shape::kBatch][Shape::kColumnSquares];

  __device__ void load_weight(const LinearCall& call, int64_t first_column, int first_step, int num_steps) {
    const gpuBfloat16* from = reinterpret_cast<const gpuBfloat16*>(call.weight);
#pragma unroll
    for (int b = 0; b < Shape::kBatch; ++b) {
      const int64_t step = first_step + b * kStripes;
      if (step >= num_steps) break;
#pragma unroll
      for (int c = 0; c < Shape::kColumnSquares; ++c) {
        const int64_t column = first_column + c * kMatrixSize;
        if (column < call.y.width)
          load(weight[b][c], from + column * call.x.width + step * kMatrixSize,
               static_cast<unsigned>(call.x.width));
      }
    }
  }
  // Rows from `rows` on are 0.
  __device__ void load_x(const LinearCall& call, bool is_aligned, int64_t first_row, int64_t rows,
                         int first_step, int num_steps) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int b = 0; b < Shape::kBatch; ++b) {
      const int64_t step = first_step + b * kStripes;
#pragma unroll
      for (int r = 0; r < Shape::kRowSquares; ++r) {
        const int64_t row = first_row + r * kMatrixSize + lane / 2;
        const float* from = static_cast<const float*>(call.x.data) + row * call.x.outer_stride +
                            step * kMatrixSize + lane % 2 * kPacket;
        load_half_row(from, step < num_steps && row < rows, is_aligned, x[b][r]);
      }
    }
  }
  // As bf16 parts into the warp's memory: the larger one first.
  __device__ void split(SplitSquare (&to)[Shape::kBatch][Shape::kRowSquares]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int b = 0; b < Shape::kBatch; ++b) {
#pragma unroll
      for (int r = 0; r < Shape::kRowSquares; ++r) {
        uint32_t words[kParts][kPacket / 2];
#pragma unroll
        for (int i = 0; i < kPacket; i += 2) {
          split_pair(x[b][r][i], x[b][r][i + 1], words[0][i / 2], words[1][i / 2]);
        }
#pragma unroll
        for (int part = 0; part < kParts; ++part) {
          gpuBfloat16* half_row = &to[b][r].parts[part][lane / 2][lane % 2 * kPacket];
          *reinterpret_cast<uint4*>(half_row) =
              make_uint4(words[part][0], words[part][1], words[part][2], words[part][3]);
        }
      }
    }
  }

 private:
  static __device__ void load_half_row(const float* from, bool is_there, bool is_aligned,
                                       float (&out)[kPacket]) {
    float4 low = make_float4(0, 0, 0, 0), high = low;
    if (is_there && is_aligned) {
      low = reinterpret_cast<const float4*>(from)[0];
      high = reinterpret_cast<const float4*>(from)[1];
    } else if (is_there) {
      low = make_float4(from[0], from[1], from[2], from[3]);
      high = make_float4(from[4], from[5], from[6], from[7]);
    }
    out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
    out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
  }
  static __device__ void split_pair(float a, float b, uint32_t& large, uint32_t& small) {
    const uint32_t large_a = bf16_bits(a), large_b = bf16_bits(b);
    large = large_a | large_b << 16;
    small = bf16_bits(a - __uint_as_float(large_a << 16)) | bf16_bits(b - __uint_as_float(large_b << 16))
                                                                << 16;
  }
  static __device__ uint32_t bf16_bits(float value) {
    return __bfloat16_as_ushort(__float2bfloat16_rn(value));
  }
};

// The sums of a square's row of the tile over the stripes, into y.
template <class Shape>
__device__ void write_rows(const LinearCall& call, const MmaMemory<Shape>& memory, int64_t first_row,
                           int64_t rows, int64_t first_column) {
  for (int i = threadIdx.x; i < kMatrixSize * Shape::kTileColumns; i += kThreads) {
    const int row = i / Shape::kTileColumns, column = i % Shape::kTileColumns;
    if (first_row + row >= rows || first_column + column >= call.y.width) continue;
    float stripes[kStripes];
#pragma unroll
    for (int s = 0; s < kStripes; ++s) stripes[s] = memory.sums[s][row][column];
    float sum = sum_of_stripes(stripes);
    if (call.bias != nullptr) sum += bias_value(call.bias, call.bias_dtype, first_column + column);
    static_cast<float*>(call.y.data)[(first_row + row) * call.y.outer_stride + first_column + column] = sum;
  }
}

// REQUIRES: k and n are multiples of 16.
template <class Shape>
__global__ void __launch_bounds__(kThreads) linear_mma(LinearCall call, bool is_aligned) {
  __shared__ __align__(32) MmaMemory<Shape> memory;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int num_steps = static_cast<int>(call.x.width / kMatrixSize);
  const int64_t first_column = static_cast<int64_t>(blockIdx.x) * Shape::kTileColumns;
  WarpInput<Shape> input;
  input.load_weight(call, first_column, warp, num_steps);
  wait_for_previous_kernel();
  const int64_t rows = live_count(call.live_rows, call.x.outer);
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * Shape::kTileRows;
  if (first_row >= rows) return;

  MatrixSum sums[Shape::kRowSquares][Shape::kColumnSquares];
#pragma unroll
  for (int r = 0; r < Shape::kRowSquares; ++r) {
#pragma unroll
    for (int c = 0; c < Shape::kColumnSquares; ++c) clear(sums[r][c]);
  }
  constexpr int kSpan = Shape::kBatch * kStripes;
  input.load_x(call, is_aligned, first_row, rows, warp, num_steps);
  for (int first = warp; first < num_steps; first += kSpan) {
    input.split(memory.x[warp]);
    RightMatrix weight[Shape::kBatch][Shape::kColumnSquares];
#pragma unroll
    for (int b = 0; b < Shape::kBatch; ++b) {
#pragma unroll
      for (int c = 0; c < Shape::kColumnSquares; ++c) weight[b][c] = input.weight[b][c];
    }
    input.load_weight(call, first_column, first + kSpan, num_steps);
    input.load_x(call, is_aligned, first_row, rows, first + kSpan, num_steps);
    __syncwarp();
#pragma unroll
    for (int b = 0; b < Shape::kBatch; ++b) {
      if (first + b * kStripes >= num_steps) break;
#pragma unroll
      for (int r = 0; r < Shape::kRowSquares; ++r) {
#pragma unroll
        for (int part = kParts - 1; part >= 0; --part) {
          LeftMatrix x;
          load(x, &memory.x[warp][b][r].parts[part][0][0], kMatrixSize);
#pragma unroll
          for (int c = 0; c < Shape::kColumnSquares; ++c) {
            if (first_column + c * kMatrixSize < call.y.width) add_product(sums[r][c], x, weight[b][c]);
          }
        }
      }
    }
    __syncwarp();
  }
#pragma unroll
  for (int r = 0; r < Shape::kRowSquares; ++r) {
    __syncthreads();
#pragma unroll
    for (int c = 0; c < Shape::kColumnSquares; ++c)
      store(&memory.sums[warp][0][c * kMatrixSize], Shape::kTileColumns, sums[r][c]);
    __syncthreads();
    write_rows<Shape>(call, memory, first_row + r * kMatrixSize, rows, first_column);
  }
}

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

template <class Shape>
int64_t num_blocks(const LinearCall& call) {
  return ceil_div(call.x.outer, Shape::kTileRows) * ceil_div(call.y.width, Shape::kTileColumns);
}

template <class Shape>
void launch_shape(const LinearCall& call, gpuStream_t stream) {
  const dim3 grid(static_cast<unsigned>(ceil_div(call.y.width, Shape::kTileColumns)),
                  static_cast<unsigned>(ceil_div(call.x.outer, Shape::kTileRows)));
  const bool is_aligned = reinterpret_cast<uintptr_t>(call.x.data) % 16 == 0 && call.x.outer_stride % 4 == 0;
  launch_kernel(linear_mma<Shape>, grid, kThreads, stream, call, is_aligned);
}

}  // namespace

// Large tiles read x and the weight less often, small ones spread a small product over the device.
void launch_linear_mma(const LinearCall& call, gpuStream_t stream) {
  using Small = MmaShape<1, 1, 6>;
  using Middle = MmaShape<2, 2, 2>;
  using Large = MmaShape<4, 4, 1>;
  constexpr int64_t kEnoughBlocks = 64;
  if (call.x.outer > Middle::kTileRows && num_blocks<Large>(call) >= kEnoughBlocks)
    return launch_shape<Large>(call, stream);
  if (call.x.outer > Small::kTileRows && num_blocks<Middle>(call) >= kEnoughBlocks)
    return launch_shape<Middle>(call, stream);
  launch_shape<Small>(call, stream);
}

}  // namespace musaic
