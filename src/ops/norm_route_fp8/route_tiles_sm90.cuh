#pragma once

#include "gpu_launch.cuh"
#include "hopper.cuh"
#include "ops/linear/linear_tile.cuh"
#include "ops/moe_gate/choose_gpu.cuh"
#include "ops/norm_route_fp8/norm_route_fp8_sm90.h"
#include "ops/per_token_group_quant/f8_gpu.cuh"
#include "ops/rms_norm/norm_row_gpu.cuh"

// Residual, norm, FP8 values, logits and choices of tiles of tokens, by clusters. A block has a slice of k:
// of the router, which it reads before the tokens are there, and of its cluster's tokens, which it reads once
// and keeps in registers. The blocks tell one another their parts of the sums of squares and, while those are
// on their way, multiply the router by the rows as they are before the norm's factor. Each block then gets
// all that the slices add to the logits of a few tokens, adds it up in their order, and chooses. A cluster's
// tiles take turns, whose exchanges have two places by turns: a block that sends those of the next turn but
// one has heard of the next from all threads that read these.
namespace musaic {

inline constexpr int kRouteGroup = 128;  // columns that have a scale, and a chain of the router's products

// A warp has eight tokens and one group of the slice. What a group adds to squares and logits is added up
// within the warp, and groups in one order: so all shapes give the same bits.
template <int kTokens_, int kBlocksAtOnce_>
struct RouteTileShape {
  static constexpr int kTokens = kTokens_;              // of a tile
  static constexpr int kBlocksAtOnce = kBlocksAtOnce_;  // of a multiprocessor, at least
  static constexpr int kBlocks = 8;
  static constexpr int kGroups = 2;  // of a slice, at most
  static constexpr int kOctets = kTokens / kOctet;
  static constexpr int kWarps = kOctets * kGroups;
  static constexpr int kThreads = kWarps * kWarpSize;
  static constexpr int kOwnTokens = kTokens / kBlocks;  // that a block chooses for
  static constexpr int kMaxExperts = 64;
  static constexpr int kSquares = kMaxExperts / kSquare;
  static constexpr int kGroupChunks = kRouteGroup / kChunk;
  static constexpr int kWidth = kGroups * kRouteGroup;  // of a slice, at most
  static constexpr int kMaxWidth = kBlocks * kWidth;
  // A warp reads eight neighbouring pieces of eight values of four of a square's rows and of those eight
  // below.
  static constexpr int kUnitPieces = 8, kUnitRows = 4;
  static constexpr int kColumnUnits = kWidth / 8 / kUnitPieces,
                       kSquareUnits = kOctet / kUnitRows * kColumnUnits;
  static constexpr int kWarpUnits = (kSquareUnits * kSquares + kWarps - 1) / kWarps;
  static constexpr int kThreadPieces = 2 * kWarpUnits;
  static_assert(kTokens % kOctet == 0 && kTokens % kBlocks == 0, "whole octets, and as many for each block");
};

// What blocks send one another of a tile.
template <class Shape>
struct RouteExchange {
  static constexpr int kSquareParts = Shape::kBlocks * Shape::kGroups;
  static constexpr uint32_t kSquareBytes = Shape::kTokens * kSquareParts * sizeof(float);
  static constexpr uint32_t kPartBytes =
      Shape::kBlocks * Shape::kOwnTokens * Shape::kMaxExperts * sizeof(float);

  float squares[Shape::kTokens][kSquareParts];                         // by group of k
  float parts[Shape::kBlocks][Shape::kOwnTokens][Shape::kMaxExperts];  // of the own tokens', by slice
};

// What none uses before the router's slice is where products read it: other blocks begin the second turn when
// they have heard of this one's first.
template <class Shape>
struct RouteTurns {
  float slots[2][Shape::kGroups][Shape::kTokens][Shape::kMaxExperts + 4];  // of the slice's logits, by turns
  RouteExchange<Shape> odd;
};

template <class Shape>
struct RouteTileMemory {
  // Of each square, chunk and half of it what a lane needs for a product.
  uint4 router[Shape::kSquares][Shape::kWidth / kChunk][2][kWarpSize];
  float norm_weight[Shape::kWidth];
  RouteExchange<Shape> even;
  union {
    RouteTurns<Shape> turns;
    uint4 pieces[Shape::kThreadPieces][Shape::kThreads];  // of the router, as threads read them, before turns
  };
  Barrier has_squares[2];
  Barrier has_parts[2];

  __device__ RouteExchange<Shape>& exchange(int turn) { return turn % 2 == 0 ? even : turns.odd; }
  __device__ void init_barriers() {
    for (int i = 0; i < 2; ++i) has_squares[i].init(1), has_parts[i].init(1);
    publish_barriers();
  }
  // By one thread, when all have done with the turn that had the place before.
  __device__ void expect(int turn) {
    has_squares[turn % 2].arrive_and_expect(RouteExchange<Shape>::kSquareBytes);
    has_parts[turn % 2].arrive_and_expect(RouteExchange<Shape>::kPartBytes);
  }
};

// The groups of columns that a block has.
struct RouteSlice {
  int first;  // column
  int groups;

  __device__ RouteSlice(int64_t width, int block, int blocks) {
    const int all = static_cast<int>(width) / kRouteGroup, each = (all + blocks - 1) / blocks;
    const int left = all - block * each;
    first = block * each * kRouteGroup;
    groups = left < each ? (left > 0 ? left : 0) : each;
  }
  __device__ int column(int group) const { return first + group * kRouteGroup; }
};

// Eight values of two of the router's rows, which a lane brings in a warp's unit number i, and where lanes
// that store at once meet different banks.
template <class Shape>
struct RouterPiece {
  int square;
  int row;     // of it, and the one eight below
  int number;  // in a row of the slice

  __device__ RouterPiece(int warp, int lane, int i) {
    const int unit = i * Shape::kWarps + warp;
    square = unit / Shape::kSquareUnits;
    row = unit / Shape::kColumnUnits % (kOctet / Shape::kUnitRows) * Shape::kUnitRows +
          lane / 2 % Shape::kUnitRows;
    number = unit % Shape::kColumnUnits * Shape::kUnitPieces + lane / 8 * 2 + lane % 2;
  }
  __device__ bool is_there() const { return square < Shape::kSquares; }
  // That has its first four values in products; the next lane has the others.
  __device__ int lane() const { return row * 4 + number % 2 * 2; }
};

// Lane 4 · g + t has of its row, row g, and of each chunk of 32 columns the values 4t .. 4t + 3 and
// 16 + 4t .. 16 + 4t + 3, so that the lanes of a row read and write whole sectors; of the router's rows too.
template <class Shape, class W, bool kInPacks>
class RouteTile {
 public:
  __device__ RouteTile(const NormRouteCall& call, RouteTileMemory<Shape>& memory)
      : call_(call),
        memory_(memory),
        slice_(call.norm.x.width, static_cast<int>(block_of_cluster()), Shape::kBlocks),
        warp_(static_cast<int>(threadIdx.x) / kWarpSize),
        lane_(static_cast<int>(threadIdx.x) % kWarpSize) {}

  // Keeps the compiler from holding what follows from the thread's place in registers over all turns.
  __device__ void begin_turn() { asm volatile("" : "+r"(warp_), "+r"(lane_)); }

  // Starts to read the slice of the router and of the norm's weights.
  __device__ void start_weights() {
#pragma unroll
    for (int i = 0; i < Shape::kThreadPieces; ++i) start_piece(i);
#pragma unroll
    for (int i = 0; i < kThreadColumns; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * Shape::kThreads;
      norm_weights_[i] = from_float<W>(0.0f);
      if (at < slice_.groups * kRouteGroup)
        norm_weights_[i] = static_cast<const W*>(call_.norm.weight)[slice_.first + at];
    }
  }

  // Puts them where products and norm find them.
  __device__ void keep_weights() {
    wait_for_copies();
#pragma unroll
    for (int i = 0; i < Shape::kThreadPieces; i += 2) {
      const RouterPiece<Shape> piece(warp_, lane_, i / 2);
      if (!piece.is_there()) continue;
      const uint4 upper = memory_.pieces[i][threadIdx.x], lower = memory_.pieces[i + 1][threadIdx.x];
      uint4* to = &memory_.router[piece.square][piece.number / 4][piece.number / 2 % 2][piece.lane()];
      to[0] = make_uint4(upper.x, lower.x, upper.y, lower.y);
      to[1] = make_uint4(upper.z, lower.z, upper.w, lower.w);
    }
#pragma unroll
    for (int i = 0; i < kThreadColumns; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * Shape::kThreads;
      if (at < Shape::kWidth) memory_.norm_weight[at] = to_float(norm_weights_[i]);
    }
  }

  // Starts to read a tile's rows of x.
  __device__ void start_x(int first_token, int live) {
    const int token = first_token + row();
    const auto* x = static_cast<const float*>(call_.norm.x.data);
    load_group(x + token * call_.norm.x.outer_stride, token < live, addends_);
  }

  // The same of the residual, which is the lane's tile from then on.
  __device__ void start_residual(int first_token, int live) {
    token_ = first_token + row();
    has_values_ = has_group() && token_ < live;
    load_group(residual_row(), token_ < live, values_);
  }

  // Keeps x + residual as the new residual.
  __device__ void keep_residual() {
#pragma unroll
    for (int c = 0; c < Shape::kGroupChunks; ++c) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float four[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float& value = values_[c][half * 4 + i];
          four[i] = value = __fadd_rn(value, addends_[c][half * 4 + i]);
        }
        if (has_values_)
          store_pack(four, residual_row() + slice_.first + first_column() + offset(c, half), 4, kInPacks);
      }
    }
  }

  // Tells every block of the cluster the sums of squares of the warp's group.
  __device__ void send_squares(int turn) {
    float squares = 0.0f;
#pragma unroll
    for (int c = 0; c < Shape::kGroupChunks; ++c) squares = add_squares(values_[c], squares);
    squares = sum_over_quad(squares);
    const int part = static_cast<int>(block_of_cluster()) * Shape::kGroups + group();
    const uint32_t to = shared_address(&memory_.exchange(turn).squares[row()][part]);
    const uint32_t barrier = shared_address(&memory_.has_squares[turn % 2]);
#pragma unroll
    for (int i = 0; i < Shape::kBlocks / 4; ++i) {
      const auto block = static_cast<uint32_t>(lane_ % 4 + 4 * i);
      store_in_block(address_in_block(to, block), squares, address_in_block(barrier, block));
    }
  }

  // Leaves what the warp's group adds to the logits of its tokens, before the norm's factor.
  __device__ void multiply(int turn) {
    Sums sums;
#pragma unroll
    for (auto& square : sums) square.clear();
#pragma unroll
    for (int c = 0; c < Shape::kGroupChunks; ++c) add_chunk(c, sums);
    const int g = lane_ / 4, token = warp_ % Shape::kOctets * kOctet + 2 * (lane_ % 4);
    auto& slots = memory_.turns.slots[turn % 2][group()];
#pragma unroll
    for (int s = 0; s < Shape::kSquares; ++s) {
#pragma unroll
      for (int i = 0; i < 4; ++i) slots[token + i % 2][s * kSquare + g + i / 2 * kOctet] = sums[s].sum(i);
    }
  }

  // Gives each block of the cluster what the slice adds to its tokens' logits.
  __device__ void send_logits(int turn) {
    constexpr int kQuads = Shape::kMaxExperts / 4;
    const auto from = block_of_cluster();
    auto& slots = memory_.turns.slots[turn % 2];
#pragma unroll
    for (int i = 0; i < Shape::kTokens * kQuads / Shape::kThreads; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * Shape::kThreads, token = at / kQuads;
      const int expert = at % kQuads * 4;
      float4 sum = *reinterpret_cast<const float4*>(&slots[0][token][expert]);
#pragma unroll
      for (int s = 1; s < Shape::kGroups; ++s)
        sum = sum_of(sum, *reinterpret_cast<const float4*>(&slots[s][token][expert]));
      const auto block = static_cast<uint32_t>(token / Shape::kOwnTokens);
      const float* to = &memory_.exchange(turn).parts[from][token % Shape::kOwnTokens][expert];
      store_in_block(address_in_block(shared_address(to), block), sum,
                     address_in_block(shared_address(&memory_.has_parts[turn % 2]), block));
    }
  }

  // The warp's group of its normed rows, in FP8.
  __device__ void quantize(int turn) {
    memory_.has_squares[turn % 2].wait(turn / 2 % 2);
    const float factor = norm_factor_of(turn, row());
    float largest = 0.0f;
#pragma unroll
    for (int c = 0; c < Shape::kGroupChunks; ++c) {
      float weights[8];
      load_weights(c, weights);
      scale_pack(factor, weights, values_[c]);
#pragma unroll
      for (int i = 0; i < 8; ++i) largest = fmaxf(largest, fabsf(values_[c][i]));
    }
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
    if (has_values_) store_group(largest);
  }

  // By the warps of the block's own tokens.
  __device__ void choose(int turn, int first_token, int live) {
    if (warp_ >= Shape::kOwnTokens) return;
    memory_.has_parts[turn % 2].wait(turn / 2 % 2);
    const int own = static_cast<int>(block_of_cluster()) * Shape::kOwnTokens + warp_;
    if (first_token + own >= live) return;
    const float factor = norm_factor_of(turn, own);
    const auto& parts = memory_.exchange(turn).parts;
    float logits[Shape::kMaxExperts / kWarpSize] = {};
#pragma unroll
    for (int b = 0; b < Shape::kBlocks; ++b) {
#pragma unroll
      for (int j = 0; j < Shape::kMaxExperts / kWarpSize; ++j)
        logits[j] += parts[b][warp_][lane_ + j * kWarpSize];
    }
#pragma unroll
    for (float& logit : logits) logit *= factor;
    choose_by_logits(call_.gate, first_token + own, logits);
  }

 private:
  using Chunks = float[Shape::kGroupChunks][8];
  using Sums = ChainSums<kExactParts>[Shape::kSquares];

  // Of the warp, in the slice.
  __device__ int group() const {
    return warp_ / Shape::kOctets;
  }
  __device__ bool has_group() const {
    return group() < slice_.groups;
  }
  // Of the lane, in a tile.
  __device__ int row() const {
    return warp_ % Shape::kOctets * kOctet + lane_ / 4;
  }
  static constexpr int kThreadColumns = (Shape::kWidth + Shape::kThreads - 1) / Shape::kThreads;

  // Starts to bring a piece of the router; zeros where it has no such row or the slice no such column.
  __device__ void start_piece(int i) const {
    const RouterPiece<Shape> piece(warp_, lane_, i / 2);
    const LinearCall& router = call_.router;
    const int expert = piece.square * kSquare + i % 2 * kOctet + piece.row, column = piece.number * 8;
    const bool is_there = expert < router.y.width && column < slice_.groups * kRouteGroup;
    const auto* weight = reinterpret_cast<const gpuBfloat16*>(router.weight);
    const auto* from = is_there ? weight + expert * router.x.width + slice_.first + column : weight;
    copy_16_bytes(shared_address(&memory_.pieces[i][threadIdx.x]), from, is_there);
  }

  // Of the lane's first or last four values of a chunk, from its first values of all.
  static __device__ int offset(int chunk, int half) {
    return chunk * kChunk + half * (kChunk / 2);
  }
  // Of these, in the slice.
  __device__ int first_column() const {
    return group() * kRouteGroup + lane_ % 4 * 4;
  }

  __device__ float* residual_row() const {
    return static_cast<float*>(call_.norm.residual.data) + token_ * call_.norm.residual.outer_stride;
  }

  // Zeros where there is no such row, or the slice has no such group.
  __device__ void load_group(const float* row, bool is_there, Chunks& values) const {
    const float* from = row + slice_.first + first_column();
#pragma unroll
    for (int c = 0; c < Shape::kGroupChunks; ++c) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float four[4] = {};
        if (is_there && has_group()) load_pack(from + offset(c, half), 4, kInPacks, four);
#pragma unroll
        for (int i = 0; i < 4; ++i) values[c][half * 4 + i] = four[i];
      }
    }
  }

  __device__ void load_weights(int chunk, float (&weights)[8]) const {
    const auto* from =
        reinterpret_cast<const float4*>(memory_.norm_weight + first_column() + offset(chunk, 0));
    const float4 low = from[0], high = from[kChunk / 2 / 4];
    weights[0] = low.x, weights[1] = low.y, weights[2] = low.z, weights[3] = low.w;
    weights[4] = high.x, weights[5] = high.y, weights[6] = high.z, weights[7] = high.w;
  }

  // Adds a chunk's products to the lane's sums.
  __device__ void add_chunk(int chunk, Sums& sums) const {
    float weighted[8];
    load_weights(chunk, weighted);
#pragma unroll
    for (int i = 0; i < 8; ++i) weighted[i] *= values_[chunk][i];
    const XChunk<kExactParts> x = split_values<kExactParts>(weighted);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint4 router[Shape::kSquares];
#pragma unroll
      for (int s = 0; s < Shape::kSquares; ++s)
        router[s] = memory_.router[s][group() * Shape::kGroupChunks + chunk][half][lane_];
#pragma unroll
      for (int part = 0; part < kExactParts; ++part) {
        uint32_t right[2];
        x.right(part, half, right);
#pragma unroll
        for (int s = 0; s < Shape::kSquares; ++s)
          Bf16Product::add(sums[s].parts[part], {router[s].x, router[s].y, router[s].z, router[s].w}, right);
      }
    }
  }

  // The norm's factor of a row of the tile, whose squares are there; each lane of four adds a quarter.
  __device__ float norm_factor_of(int turn, int row) const {
    static_assert(RouteExchange<Shape>::kSquareParts == 16, "four values a lane");
    const float4 four = reinterpret_cast<const float4*>(memory_.exchange(turn).squares[row])[lane_ % 4];
    const float squares = sum_over_quad(__fadd_rn(__fadd_rn(four.x, four.y), __fadd_rn(four.z, four.w)));
    return norm_factor(squares, __frcp_rn(static_cast<float>(call_.norm.x.width)), call_.norm.eps);
  }

  // The lane's normed values, of a group whose largest one is known.
  __device__ void store_group(float largest) const {
    constexpr float kLeast = 1e-10f, kLargest = 448.0f;
    const float scale = __fdiv_rn(fmaxf(largest, kLeast), kLargest), inverse = __frcp_rn(scale);
    const int64_t first = token_ * call_.out.width + slice_.first + first_column();
    if (lane_ % 4 == 0) call_.out.scale[first / kRouteGroup] = scale;
    const auto pair = [&](float low, float high) -> uint32_t {
      return f8e4m3_pair(quotient(low, scale, inverse), quotient(high, scale, inverse));
    };
#pragma unroll
    for (int c = 0; c < Shape::kGroupChunks; ++c) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float* four = values_[c] + half * 4;
        *reinterpret_cast<uint32_t*>(call_.out.q + first + offset(c, half)) =
            pair(four[0], four[1]) | pair(four[2], four[3]) << 16;
      }
    }
  }

  const NormRouteCall& call_;
  RouteTileMemory<Shape>& memory_;
  const RouteSlice slice_;
  int warp_;
  int lane_;
  int token_ = 0;  // of the lane
  bool has_values_ = false;
  W norm_weights_[kThreadColumns];
  Chunks values_;   // of the residual, then of the sum, then normed
  Chunks addends_;  // of x
};

template <class Shape, class W, bool kInPacks>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocksAtOnce)
    norm_and_route_tiles(NormRouteCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(16) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<RouteTileMemory<Shape>*>(shared_bytes);
  if (threadIdx.x == 0) memory.init_barriers();
  announce_to_cluster();
  const int live = static_cast<int>(live_count(call.norm.live_rows, call.norm.x.outer));
  RouteTile<Shape, W, kInPacks> tile(call, memory);
  tile.start_weights();
  const int step = static_cast<int>(gridDim.x) / Shape::kBlocks * Shape::kTokens;
  int token = static_cast<int>(blockIdx.x) / Shape::kBlocks * Shape::kTokens;
  wait_for_previous_kernel();
  if (token >= live) {  // whole clusters
    wait_for_copies();
    return wait_for_cluster();
  }
  tile.start_x(token, live);
  tile.start_residual(token, live);
  tile.keep_weights();
  __syncthreads();
  if (threadIdx.x == 0) memory.expect(0);
  wait_for_cluster();
#pragma unroll 1
  for (int turn = 0; token < live; ++turn, token += step) {
    const bool is_last = token + step >= live;
    tile.begin_turn();
    tile.keep_residual();
    if (!is_last) tile.start_x(token + step, live);
    tile.send_squares(turn);
    tile.multiply(turn);
    __syncthreads();
    if (threadIdx.x == 0 && !is_last) memory.expect(turn + 1);
    tile.send_logits(turn);
    tile.quantize(turn);
    if (!is_last) tile.start_residual(token + step, live);
    tile.choose(turn, token, live);
  }
#endif
}

// All of the call but its grouping; the logits are not written. REQUIRES: compute capability 9.0; rows of x
// of multiples of 128 values, up to Shape::kMaxWidth, and up to Shape::kMaxExperts bf16 rows of the router,
// at a multiple of 16 bytes; with kInPacks rows of x and of the residual at such multiples too.
template <class Shape, class W, bool kInPacks>
void launch_norm_and_route_tiles(const NormRouteCall& call, gpuStream_t stream) {
  const ClusterLaunch launch = {Shape::kBlocks, Shape::kThreads, sizeof(RouteTileMemory<Shape>), stream};
  static const int most = launch.max_active(norm_and_route_tiles<Shape, W, kInPacks>);
  const auto tiles = static_cast<int>((call.norm.x.outer + Shape::kTokens - 1) / Shape::kTokens);
  const int turns = (tiles + most - 1) / most;  // of each cluster, as many for all
  if (turns == 0) return;
  launch.run(norm_and_route_tiles<Shape, W, kInPacks>, static_cast<unsigned>((tiles + turns - 1) / turns),
             call);
}

}  // namespace musaic
