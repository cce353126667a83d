#pragma once

#include "ops/mla_decode/mla_decode_shape.cuh"
#include "ops/rms_norm/norm_row_gpu.cuh"
#include "ops/rope/rotate_gpu.cuh"

namespace musaic::mla_decode_sm90 {

// Values 8 · unit .. of what rotates, [kRope].
__device__ inline void rotated_eight(const float* row, const float* cos_sin, int unit, bool interleaved,
                                     float (&values)[8]) {
  constexpr int kHalf = kRope / 2;
  if (interleaved) {
    Pairs<4> pairs = load_pairs<float, 4>(row, 4 * unit, kHalf, true);
    rotate(pairs, cos_sin, 4 * unit, kHalf);
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] = i % 2 == 0 ? pairs.a[i / 2] : pairs.b[i / 2];
    return;
  }
  const int first = 8 * unit % kHalf;
  Pairs<8> pairs = load_pairs<float, 8>(row, first, kHalf, false);
  rotate(pairs, cos_sin, first, kHalf);
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] = 8 * unit < kHalf ? pairs.a[i] : pairs.b[i];
}

// The row that a sequence adds to the cache, by one warp, with the bits of musaic::norm_latent_write.
class NewestRow {
 public:
  // What is known before the previous kernel has ended.
  __device__ void load_ahead(const MlaDecodeCall& call, int sequence) {
    slot_ = call.write.slots[sequence];
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      if (call.norm.dtype == DType::kF32) load_weight<float>(call.norm, p);
      if (call.norm.dtype == DType::kF16) load_weight<__half>(call.norm, p);
      if (call.norm.dtype == DType::kBF16) load_weight<gpuBfloat16>(call.norm, p);
    }
  }
  __device__ void load(const MlaDecodeCall& call, int sequence) {
    const float* latent = row_of<const float>(call.write.latent, sequence);
#pragma unroll
    for (int p = 0; p < kParts; ++p) load_pack<float>(latent + column(p), 4, true, latents_[p]);
    rotated_eight(row_of<const float>(call.write.rope_key, sequence),
                  row_of<const float>(call.write.cos_sin, sequence),
                  static_cast<int>(threadIdx.x) % kKeyUnits, call.write.interleaved, key_);
  }
  __device__ void write(const MlaDecodeCall& call, uint4* newest) {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    gpuBfloat16* cached = static_cast<gpuBfloat16*>(call.write.cache) + static_cast<int64_t>(slot_) * kWidth;
    gpuBfloat16* kept = reinterpret_cast<gpuBfloat16*>(newest);
    const float factor = norm_factor(call.norm.eps);
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      scale_pack(factor, weights_[p], latents_[p]);
      store_pack(latents_[p], cached + column(p), 4, true);
      store_pack(latents_[p], kept + column(p), 4, true);
    }
    if (lane < kKeyUnits) {
      store_pack(key_, cached + kRank + 8 * lane, 8, true);
      store_pack(key_, kept + kRank + 8 * lane, 8, true);
    }
    __syncwarp();
  }

 private:
  static constexpr int kParts = kRank / (4 * kWarpSize);  // of a warp each where a block norms
  static constexpr int kKeyUnits = kRope / 8;

  __device__ static int column(int part) {
    return 4 * (part * kWarpSize + static_cast<int>(threadIdx.x) % kWarpSize);
  }
  template <class W>
  __device__ void load_weight(const LatentNorm& norm, int part) {
    load_pack(static_cast<const W*>(norm.weight) + column(part), 4, true, weights_[part]);
  }
  __device__ float norm_factor(float eps) const {
    float squares[kParts];
#pragma unroll
    for (int p = 0; p < kParts; ++p) squares[p] = add_squares(latents_[p], 0.0f);
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
#pragma unroll
      for (int p = 0; p < kParts; ++p) squares[p] += __shfl_xor_sync(kAllLanes, squares[p], distance);
    }
    float sum = 0.0f;
#pragma unroll
    for (int p = 0; p < kParts; ++p) sum += squares[p];
    const float mean = __fdiv_rn(sum, static_cast<float>(kRank));
    return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, eps)));
  }

  int slot_;
  float latents_[kParts][4];
  float weights_[kParts][4];
  float key_[8];
};

// The newest row into its tile, by one warp.
template <class Size>
__device__ void put_newest(uint8_t* row, const Memory<Size>& memory) {
  for (int unit = static_cast<int>(threadIdx.x) % kWarpSize; unit < kUnits; unit += kWarpSize)
    reinterpret_cast<uint4*>(row)[unit] = memory.newest[unit];
}

}  // namespace musaic::mla_decode_sm90
