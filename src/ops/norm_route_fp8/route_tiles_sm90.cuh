#pragma once

#include "gpu_launch.cuh"
#include "hopper.cuh"
#include "ops/linear/linear_gpu.h"
#include "ops/linear/linear_tile.cuh"
#include "ops/moe_gate/choose_gpu.cuh"

// Logits and choices of tiles of tokens, by clusters. A block has a slice of k of its cluster's tokens, and
// of the router, which it reads before the tokens are there. Each then gets all that the slices add to the
// logits of a few tokens, adds it up in their order, and chooses.
namespace musaic {

// A slice's logits are added up in four segments: in a segment the products, then the segments in order.
// Every shape does so, so that all give the same bits.
template <int kTokens_, int kBlocksAtOnce_>
struct RouteTileShape {
  static constexpr int kTokens = kTokens_;  // of a cluster
  static constexpr int kBlocks = 8;
  static constexpr int kBlocksAtOnce = kBlocksAtOnce_;  // of a multiprocessor, at least
  static constexpr int kWarps = 8;
  static constexpr int kThreads = kWarps * kWarpSize;
  static constexpr int kOctets = kTokens / kOctet;  // a warp has one of tokens
  static constexpr int kSegments = 4;
  static constexpr int kWarpSegments = kSegments * kOctets / kWarps;
  // Segments' sums meet in shared memory, or where a warp has all of them in its registers.
  static constexpr int kSlots = kWarpSegments == kSegments ? 1 : kSegments;
  static constexpr int kOwnTokens = kTokens / kBlocks;  // that a block chooses for
  static constexpr int kMaxExperts = 64;
  static constexpr int kSquares = kMaxExperts / kSquare;
  static constexpr int kSliceChunks = 8;  // at most
  static constexpr int kSegmentChunks = kSliceChunks / kSegments;
  static constexpr int kMaxWidth = kBlocks * kSliceChunks * kChunk;
  static_assert(kOwnTokens <= kWarps, "a warp chooses for one token");
};

template <class Shape>
struct RouteTileMemory {
  // Rows begin where lanes that read at once meet different banks.
  static constexpr int kRowBytes = Shape::kSliceChunks * kChunk * 2 + 64;
  static constexpr int kStride = Shape::kMaxExperts + 4;
  static constexpr uint32_t kPartBytes =
      Shape::kBlocks * Shape::kOwnTokens * Shape::kMaxExperts * sizeof(float);

  uint8_t router[Shape::kMaxExperts][kRowBytes];
  float slots[Shape::kSlots][Shape::kTokens][kStride];                 // of the slice's logits
  float parts[Shape::kBlocks][Shape::kOwnTokens][Shape::kMaxExperts];  // of the own tokens', by slice
  Barrier full;                                                        // of the parts
};

// The chunks of k that a block has.
struct RouteSlice {
  int first;  // column
  int chunks;

  __device__ RouteSlice(int64_t width, int blocks) {
    const int all = static_cast<int>(width) / kChunk, each = (all + blocks - 1) / blocks;
    const int begin = static_cast<int>(block_of_cluster()) * each, left = all - begin;
    first = begin * kChunk;
    chunks = left < each ? (left > 0 ? left : 0) : each;
  }
};

template <class Shape>
class RouteTile {
 public:
  __device__ RouteTile(const LinearCall& router, RouteTileMemory<Shape>& memory)
      : call_(router),
        memory_(memory),
        slice_(router.x.width, Shape::kBlocks),
        warp_(static_cast<int>(threadIdx.x) / kWarpSize),
        lane_(static_cast<int>(threadIdx.x) % kWarpSize) {}

  // The slice of the router; zeros where there is none.
  __device__ void load_router() {
    constexpr int kRows = Shape::kMaxExperts / Shape::kWarps, kPieceValues = 8;
    const auto* weight = reinterpret_cast<const gpuBfloat16*>(call_.weight);
    uint4 pieces[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int expert = warp_ + i * Shape::kWarps, column = lane_ * kPieceValues;
      pieces[i] = make_uint4(0, 0, 0, 0);
      if (expert < call_.y.width && column < slice_.chunks * kChunk)
        pieces[i] = *reinterpret_cast<const uint4*>(weight + expert * call_.x.width + slice_.first + column);
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i)
      *reinterpret_cast<uint4*>(memory_.router[warp_ + i * Shape::kWarps] + lane_ * 16) = pieces[i];
  }

  // Leaves what the warp's segments of the slice add to the logits of its eight tokens.
  __device__ void multiply(int64_t first_token, int64_t live) {
    constexpr int kChunks = Shape::kWarpSegments * Shape::kSegmentChunks;
    const int octet = warp_ % Shape::kOctets, first_segment = warp_ / Shape::kOctets * Shape::kWarpSegments;
    const int first_chunk = first_segment * Shape::kSegmentChunks, g = lane_ / 4, t = lane_ % 4;
    const int64_t token = first_token + octet * kOctet + g;
    const float* row = static_cast<const float*>(call_.x.data) + token * call_.x.outer_stride;
    float x[kChunks][8];
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const int chunk = first_chunk + c;
      load_x(row + slice_.first + chunk * kChunk + 8 * t, token < live && chunk < slice_.chunks, true, x[c]);
    }
    float sums[Shape::kSquares][4] = {};
#pragma unroll
    for (int s = 0; s < Shape::kWarpSegments; ++s) {
      add_segment(first_chunk + s * Shape::kSegmentChunks, &x[s * Shape::kSegmentChunks], sums);
      if (Shape::kSlots == 1 && s + 1 < Shape::kWarpSegments) continue;
      leave(Shape::kSlots == 1 ? 0 : first_segment + s, octet, sums);
    }
  }

  // Gives each block of the cluster what the slice adds to its tokens' logits.
  __device__ void send() {
    constexpr int kQuads = Shape::kMaxExperts / 4;
    const auto from = block_of_cluster();
#pragma unroll
    for (int i = 0; i < Shape::kTokens * kQuads / Shape::kThreads; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * Shape::kThreads, token = at / kQuads;
      const int expert = at % kQuads * 4;
      float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll
      for (int s = 0; s < Shape::kSlots; ++s) {
        const float4 part = *reinterpret_cast<const float4*>(&memory_.slots[s][token][expert]);
        sum = make_float4(sum.x + part.x, sum.y + part.y, sum.z + part.z, sum.w + part.w);
      }
      const auto block = static_cast<uint32_t>(token / Shape::kOwnTokens);
      const float* to = &memory_.parts[from][token % Shape::kOwnTokens][expert];
      store_in_block(address_in_block(shared_address(to), block), sum,
                     address_in_block(shared_address(&memory_.full), block));
    }
  }

  // By the warps of the block's own tokens.
  __device__ void choose(const MoeGateCall& gate, int64_t first_token, int64_t live) {
    if (warp_ >= Shape::kOwnTokens) return;
    memory_.full.wait(0);
    const int64_t token = first_token + block_of_cluster() * Shape::kOwnTokens + warp_;
    if (token >= live) return;
    float logits[Shape::kMaxExperts / kWarpSize] = {};
#pragma unroll
    for (int b = 0; b < Shape::kBlocks; ++b) {
#pragma unroll
      for (int j = 0; j < Shape::kMaxExperts / kWarpSize; ++j)
        logits[j] += memory_.parts[b][warp_][lane_ + j * kWarpSize];
    }
    choose_by_logits(gate, token, logits);
  }

 private:
  // Adds a segment's products to the lane's sums.
  __device__ void add_segment(int first_chunk, const float (*x)[8], float (&sums)[Shape::kSquares][4]) const {
    const int g = lane_ / 4, t = lane_ % 4;
    ChainSums<kExactParts> added[Shape::kSquares][1];
#pragma unroll
    for (auto& square : added) square[0].clear();
#pragma unroll
    for (int c = 0; c < Shape::kSegmentChunks; ++c) {
      WeightChunk weights[Shape::kSquares];
      const XChunk<kExactParts> parts[1] = {split_values<kExactParts>(x[c])};
#pragma unroll
      for (int s = 0; s < Shape::kSquares; ++s) {
        const uint8_t* from = memory_.router[s * kSquare + g] + (first_chunk + c) * (2 * kChunk) + t * 16;
        constexpr int kLower = kOctet * RouteTileMemory<Shape>::kRowBytes;
        weights[s] = {*reinterpret_cast<const uint4*>(from), *reinterpret_cast<const uint4*>(from + kLower)};
      }
      add_products(weights, parts, added);
    }
#pragma unroll
    for (int s = 0; s < Shape::kSquares; ++s) {
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[s][i] += added[s][0].sum(i);
    }
  }

  // Puts the lane's sums where send() finds them, and clears them.
  __device__ void leave(int slot, int octet, float (&sums)[Shape::kSquares][4]) {
    const int g = lane_ / 4, token = octet * kOctet + 2 * (lane_ % 4);
#pragma unroll
    for (int s = 0; s < Shape::kSquares; ++s) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        memory_.slots[slot][token + i % 2][s * kSquare + g + i / 2 * kOctet] = sums[s][i];
        sums[s][i] = 0.0f;
      }
    }
  }

  const LinearCall& call_;
  RouteTileMemory<Shape>& memory_;
  const RouteSlice slice_;
  const int warp_;
  const int lane_;
};

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocksAtOnce)
    choose_in_tiles(LinearCall router, MoeGateCall gate) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(16) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<RouteTileMemory<Shape>*>(shared_bytes);
  if (threadIdx.x == 0) {
    memory.full.init(1);
    publish_barriers();
  }
  arrive_at_cluster();
  RouteTile<Shape> tile(router, memory);
  tile.load_router();
  const int64_t live = live_count(router.live_rows, router.x.outer);
  const int64_t first_token = int64_t{blockIdx.x} / Shape::kBlocks * Shape::kTokens;
  __syncthreads();
  if (threadIdx.x == 0) memory.full.arrive_and_expect(RouteTileMemory<Shape>::kPartBytes);
  wait_for_cluster();
  wait_for_previous_kernel();
  if (first_token >= live) return;  // whole clusters
  tile.multiply(first_token, live);
  __syncthreads();
  tile.send();
  tile.choose(gate, first_token, live);
#endif
}

// Stores the weights and experts of the gate's call; its logits are not written. REQUIRES: compute capability
// 9.0; rows of x of multiples of 128 values, up to Shape::kMaxWidth, and up to Shape::kMaxExperts bf16 rows
// of the router, all at multiples of 16 bytes.
template <class Shape>
void launch_choose_in_tiles(const LinearCall& router, const MoeGateCall& gate, gpuStream_t stream) {
  const ClusterLaunch launch = {Shape::kBlocks, Shape::kThreads, sizeof(RouteTileMemory<Shape>), stream};
  const auto clusters = static_cast<unsigned>((router.x.outer + Shape::kTokens - 1) / Shape::kTokens);
  launch.run(choose_in_tiles<Shape>, clusters, router, gate);
}

}  // namespace musaic
