#include "gpu_launch.cuh"
#include "hopper.cuh"
#include "ops/linear/linear_tall_sm90.h"
#include "ops/linear/linear_tile.cuh"
#include "ops/linear/ring_place.cuh"

// A norm and few of its rows times a weight of many, as in a head: nothing counts but to read it. One thread
// has sixteen whole rows of the weight at a time, one copy, brought into a ring of stages; for swiglu eight
// of either half. A warp has a segment of k, as in linear_few_tile, and the bits are the same. What was read
// is the first to leave the L2 cache, in which a step's keys and values stay.
namespace musaic {
namespace {

constexpr int64_t kTallWeight = 8192;  // rows
constexpr int kMostStages = 8;
constexpr int kHalfSquare = kSquare / 2;

template <int kOctets_, int kLength_, int kWarps_, int kBlocksAtOnce_>
struct TallShape {
  static constexpr int kOctets = kOctets_;              // of rows of x
  static constexpr int kLength = kLength_;              // chunks of a segment, at most
  static constexpr int kWarps = kWarps_;                // segments, at most
  static constexpr int kBlocksAtOnce = kBlocksAtOnce_;  // on a multiprocessor
  static constexpr int kRows = kOctet * kOctets;
  static constexpr int kThreads = kWarpSize * (kWarps + 1);  // at most: one warp brings the weight
  static constexpr size_t kSharedBytes = (kBlocksAtOnce == 1 ? 226 : 112) << 10;
};

// Behind the stages in dynamic shared memory.
template <class Shape>
struct TallMemory {
  static constexpr int kStride = kSquare + 4;  // lanes that write at once meet different banks
  float sums[Shape::kWarps][Shape::kRows][kStride];
  float squares[Shape::kWarps][Shape::kRows];
  float factors[Shape::kRows];
  Barrier full[kMostStages];
  Barrier empty[kMostStages];
};

template <class Shape>
int num_stages_of(const LinearTileCall& call) {
  const size_t stage_bytes = kSquare * static_cast<size_t>(call.linear.weight_row_bytes);
  const size_t stages = (Shape::kSharedBytes - sizeof(TallMemory<Shape>)) / stage_bytes;
  return static_cast<int>(stages < kMostStages ? stages : kMostStages);
}

struct TallTiles {
  int count;
  int num_stages;
  uint32_t row_bytes;

  __device__ uint32_t stage_bytes() const { return kSquare * row_bytes; }
  static __host__ __device__ int columns(const LinearTileCall& call) {  // of y, a tile
    return call.swiglu ? kHalfSquare : kSquare;
  }
};

// The thread that has tiles copied. It does not wait for the kernel ahead.
template <class Shape>
__device__ void bring_tiles(const LinearTileCall& call, const TallTiles& tiles, uint8_t* stages,
                            TallMemory<Shape>& memory) {
  const int parts = call.swiglu ? 2 : 1;
  const uint32_t part_bytes = tiles.stage_bytes() / parts;
  const int64_t half_bytes = call.linear.y.width * static_cast<int64_t>(tiles.row_bytes);
  StagePlace place = {0, 1};
  for (int tile = static_cast<int>(blockIdx.x); tile < tiles.count; tile += static_cast<int>(gridDim.x)) {
    Barrier& full = memory.full[place.stage];
    memory.empty[place.stage].wait(place.parity);
    full.arrive_and_expect(tiles.stage_bytes());
    for (int part = 0; part < parts; ++part)
      copy_bytes_once(shared_address(stages + place.stage * tiles.stage_bytes() + part * part_bytes),
                      call.linear.weight + tile * static_cast<int64_t>(part_bytes) + part * half_bytes,
                      part_bytes, full);
    place.advance(tiles.num_stages);
  }
}

// A lane's values of x of its warp's segment, rounded, and the squares of what it has read.
template <class Shape>
struct TallX {
  XChunk<1> chunks[Shape::kLength][Shape::kOctets];
  float norm_weights[Shape::kLength][8];
  float squares[Shape::kOctets];

  __device__ void load_norm(const LinearTileCall& call, int begin, int length) {
    const int column = begin * kChunk + kOctet * (static_cast<int>(threadIdx.x) % 4);
#pragma unroll
    for (int d = 0; d < Shape::kLength; ++d) {
      if (d < length) load_norm_weight(call, column + d * kChunk, norm_weights[d]);
    }
  }
  // Rows from `rows` on are 0. An octet at a time, for which there are registers.
  __device__ void load(const LinearTileCall& call, int64_t rows, bool is_aligned, int begin, int length) {
    const int g = static_cast<int>(threadIdx.x) % kWarpSize / 4, t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int o = 0; o < Shape::kOctets; ++o) {
      const int64_t row = o * kOctet + g;
      const float* from = static_cast<const float*>(call.linear.x.data) + row * call.linear.x.outer_stride +
                          begin * kChunk + kOctet * t;
      float x[Shape::kLength][8];
#pragma unroll
      for (int d = 0; d < Shape::kLength; ++d)
        load_x(from + d * kChunk, d < length && row < rows, is_aligned, x[d]);
      squares[o] = 0.0f;
#pragma unroll
      for (int d = 0; d < Shape::kLength; ++d) {
        if (d < length) apply_norm_weight(norm_weights[d], x[d], squares[o]);
        chunks[d][o] = split_values<1>(x[d]);
      }
    }
  }
};

// What a warp multiplies: its segment of all tiles.
template <class Shape>
class TallWarps {
 public:
  __device__ TallWarps(const LinearTileCall& call, const Segments& segments, const TallTiles& tiles,
                       const uint8_t* stages, TallMemory<Shape>& memory)
      : call_(call),
        segments_(segments),
        tiles_(tiles),
        memory_(memory),
        warp_(static_cast<int>(threadIdx.x) / kWarpSize),
        g_(static_cast<int>(threadIdx.x) % kWarpSize / 4),
        t_(static_cast<int>(threadIdx.x) % 4),
        begin_(warp_ * segments.length),
        length_(min(segments.length, segments.chunks - begin_)),
        lane_stages_(stages + g_ * tiles.row_bytes + begin_ * (2 * kChunk) + t_ * 16) {}

  __device__ void run(bool is_aligned) {
    TallX<Shape> x;
    x.load_norm(call_, begin_, length_);
    const int64_t rows = live_count(call_.linear.live_rows, call_.linear.x.outer);
    wait_for_previous_kernel();
    x.load(call_, rows, is_aligned, begin_, length_);
    put_factors(x);
    StagePlace place;
    for (int tile = static_cast<int>(blockIdx.x); tile < tiles_.count; tile += static_cast<int>(gridDim.x)) {
      ChainSums<1> sums[1][Shape::kOctets];
      multiply(place, x, sums);
      place.advance(tiles_.num_stages);
      if (tile != static_cast<int>(blockIdx.x)) meet();  // the last tile's sums were read
      put_segment(sums[0]);
      meet();
      finish(tile, rows);
    }
  }

 private:
  // Of the warps that multiply.
  __device__ void meet() const {
    asm volatile("bar.sync 1, %0;" ::"r"(segments_.count * kWarpSize) : "memory");
  }

  __device__ void multiply(const StagePlace& place, const TallX<Shape>& x,
                           ChainSums<1> (&sums)[1][Shape::kOctets]) {
#pragma unroll
    for (int o = 0; o < Shape::kOctets; ++o) sums[0][o].clear();
    memory_.full[place.stage].wait(place.parity);
    const uint8_t* from = lane_stages_ + place.stage * tiles_.stage_bytes();
    WeightChunk chunks[Shape::kLength][1];
#pragma unroll
    for (int d = 0; d < Shape::kLength; ++d) {
      if (d >= length_) break;
      const uint8_t* at = from + d * (2 * kChunk);
      chunks[d][0] = {*reinterpret_cast<const uint4*>(at),
                      *reinterpret_cast<const uint4*>(at + kOctet * tiles_.row_bytes)};
    }
#pragma unroll
    for (int d = 0; d < Shape::kLength; ++d) {
      if (d >= length_) break;
      add_products(chunks[d], x.chunks[d], sums);
    }
    __syncwarp();
    if (threadIdx.x % kWarpSize == 0) memory_.empty[place.stage].arrive();
  }

  __device__ void put_segment(const ChainSums<1> (&sums)[Shape::kOctets]) {
#pragma unroll
    for (int o = 0; o < Shape::kOctets; ++o) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        memory_.sums[warp_][o * kOctet + 2 * t_ + i % 2][g_ + i / 2 * kOctet] = sums[o].sum(i);
    }
  }

  // Segments in their order; all of them are read at once.
  template <class Value>
  __device__ float sum_over_segments(Value value) const {
    float sum = 0.0f;
#pragma unroll
    for (int s = 0; s < Shape::kWarps; ++s) {
      if (s < segments_.count) sum += value(s);
    }
    return sum;
  }

  __device__ void put_factors(const TallX<Shape>& x) {
#pragma unroll
    for (int o = 0; o < Shape::kOctets; ++o) {
      const float sum = sum_over_quad(x.squares[o]);
      if (t_ == 0) memory_.squares[warp_][o * kOctet + g_] = sum;
    }
    meet();
    const int row = static_cast<int>(threadIdx.x);
    if (row >= Shape::kRows) return;
    const float sum = sum_over_segments([&](int s) { return memory_.squares[s][row]; });
    memory_.factors[row] = norm_factor(sum, segments_.inverse_k, call_.eps);
  }

  __device__ void finish(int tile, int64_t rows) const {
    const int columns = TallTiles::columns(call_);
    for (int i = static_cast<int>(threadIdx.x); i < Shape::kRows * columns;
         i += segments_.count * kWarpSize) {
      const int n = i % columns, row = i / columns;
      const int64_t column = tile * static_cast<int64_t>(columns) + n;
      if (row >= rows || column >= call_.linear.y.width) continue;
      float value = value_of(row, n, column);
      if (call_.swiglu)
        value = swiglu_of(value, value_of(row, n + kHalfSquare, column + call_.linear.y.width));
      static_cast<float*>(call_.linear.y.data)[row * call_.linear.y.outer_stride + column] = value;
    }
  }
  __device__ float value_of(int row, int n, int64_t weight_row) const {
    const float sum = sum_over_segments([&](int s) { return memory_.sums[s][row][n]; });
    return finish_sum(sum, memory_.factors[row], bias_of(call_, weight_row));
  }

  const LinearTileCall& call_;
  const Segments& segments_;
  const TallTiles& tiles_;
  TallMemory<Shape>& memory_;
  const int warp_, g_, t_;
  const int begin_, length_;  // of the segment, in chunks
  const uint8_t* lane_stages_;
};

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocksAtOnce)
    linear_tall(LinearTileCall call, Segments segments, TallTiles tiles, bool is_aligned) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(128) uint8_t stages[];
  auto& memory = *reinterpret_cast<TallMemory<Shape>*>(stages + tiles.num_stages * tiles.stage_bytes());
  if (threadIdx.x == 0) {
    for (int s = 0; s < tiles.num_stages; ++s) {
      memory.full[s].init(1);
      memory.empty[s].init(static_cast<uint32_t>(segments.count));
    }
    publish_barriers();
  }
  __syncthreads();
  if (static_cast<int>(threadIdx.x) < segments.count * kWarpSize) {
    TallWarps<Shape>(call, segments, tiles, stages, memory).run(is_aligned);
  } else if (threadIdx.x % kWarpSize == 0) {
    bring_tiles(call, tiles, stages, memory);
  }
#endif
}

template <class Shape>
void launch_tall(const LinearTileCall& call, gpuStream_t stream) {
  static const int all_blocks = num_multiprocessors() * Shape::kBlocksAtOnce;
  const Segments segments = Segments::of(call.linear.x.width);
  const int columns = TallTiles::columns(call);
  const TallTiles tiles = {static_cast<int>((call.linear.y.width + columns - 1) / columns),
                           num_stages_of<Shape>(call), static_cast<uint32_t>(call.linear.weight_row_bytes)};
  const dim3 grid(static_cast<unsigned>(tiles.count < all_blocks ? tiles.count : all_blocks));
  const dim3 block(static_cast<unsigned>(kWarpSize * (segments.count + 1)));
  const bool has_aligned_x = is_aligned(call.linear.x.data, 16) && call.linear.x.outer_stride % 4 == 0;
  launch_kernel_with_shared(linear_tall<Shape>, grid, block, Shape::kSharedBytes, stream, call, segments,
                            tiles, has_aligned_x);
}

template <int kOctets>
using ShortRows = TallShape<kOctets, 2, 9, 2>;  // of up to 576 values
template <int kOctets>
using LongRows = TallShape<kOctets, 4, 16, 1>;  // of up to 2,048

template <class Shape>
bool takes(const LinearTileCall& call) {
  const Segments segments = Segments::of(call.linear.x.width);
  return call.linear.x.outer <= Shape::kRows && segments.length <= Shape::kLength &&
         segments.count <= Shape::kWarps;
}

// By the first of the shapes that takes the call. False: none does.
template <class... Shapes>
bool launch_first(const LinearTileCall& call, gpuStream_t stream) {
  return ((takes<Shapes>(call) && (launch_tall<Shapes>(call, stream), true)) || ...);
}

}  // namespace

bool launch_linear_tall_sm90(const LinearTileCall& call, gpuStream_t stream) {
  const bool is_tall =
      call.norm_weight != nullptr && call.rounds_x && !call.adds_to_y && weight_rows_of(call) >= kTallWeight;
  return is_tall &&
         launch_first<ShortRows<1>, ShortRows<2>, ShortRows<4>, LongRows<1>, LongRows<2>>(call, stream);
}

}  // namespace musaic
