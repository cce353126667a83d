#pragma once

#include "ops/attention/attention_matrix.cuh"
#include "ops/rope/rotate_gpu.cuh"

// Query, key and value rows as a stripe's lanes hold them, rotated on the way.
namespace musaic {

__device__ inline void load_eight(const float* from, float (&to)[8]) {
  load_pack<float, 4>(from, 4, true, reinterpret_cast<float(&)[4]>(to[0]));
  load_pack<float, 4>(from + 4, 4, true, reinterpret_cast<float(&)[4]>(to[4]));
}

// The lane's dimensions of a head, all chunks.
struct LaneHead {
  float values[kMatrixChunks][8];

  __device__ void load(const float* head, int t) {
#pragma unroll
    for (int chunk = 0; chunk < kMatrixChunks; ++chunk) load_eight(head + 32 * chunk + 8 * t, values[chunk]);
  }
  __device__ void clear() {
#pragma unroll
    for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
#pragma unroll
      for (int i = 0; i < 8; ++i) values[chunk][i] = 0.0f;
    }
  }
};

// Cosines and sines of the lane's pairs. Pair p is (p, p + half), whose lanes have both, or (2p, 2p + 1).
struct LaneRotation {
  static constexpr int kHalf = kMatrixDim / 2;
  float cosines[8];
  float sines[8];
  bool interleaved;

  __device__ void load(const float* cos_sin, int t, bool is_interleaved) {
    interleaved = is_interleaved;
    if (!interleaved) {
      load_eight(cos_sin + 8 * t, cosines);
      load_eight(cos_sin + kHalf + 8 * t, sines);
      return;
    }
    // Four pairs of each chunk.
#pragma unroll
    for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
      const float* from = cos_sin + 16 * chunk + 4 * t;
      load_pack<float, 4>(from, 4, true, reinterpret_cast<float(&)[4]>(cosines[4 * chunk]));
      load_pack<float, 4>(from + kHalf, 4, true, reinterpret_cast<float(&)[4]>(sines[4 * chunk]));
    }
  }
  static __device__ void rotate_pair(float& a, float& b, float cosine, float sine) {
    const float old = a;
    a = fmaf(old, cosine, -__fmul_rn(b, sine));
    b = fmaf(b, cosine, __fmul_rn(old, sine));
  }
  __device__ void rotate(LaneHead& head) const {
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (!interleaved) {
        rotate_pair(head.values[0][j], head.values[1][j], cosines[j], sines[j]);
      } else {
        float(&chunk)[8] = head.values[j / 4];
        rotate_pair(chunk[j % 4 * 2], chunk[j % 4 * 2 + 1], cosines[j], sines[j]);
      }
    }
  }
};

template <class Factor>
__device__ uint4 pack_eight(const float (&values)[8]) {
  return make_uint4(Factor::pack(values[0], values[1]), Factor::pack(values[2], values[3]),
                    Factor::pack(values[4], values[5]), Factor::pack(values[6], values[7]));
}

// The step's own key and value of a sequence, as the cache keeps them.
template <class Factor>
struct NewWords {
  uint4 key[kMatrixChunks];
  uint4 value;

  __device__ void load(const NewRows& rows, int token, int kv_head, const LaneRotation& rotation) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    LaneHead head;
    head.load(rows.key + token * rows.key_stride + kv_head * kMatrixDim, lane % 4);
    float values[8];
    load_eight(rows.value + token * rows.value_stride + kv_head * kMatrixDim + 8 * (lane / 4), values);
    rotation.rotate(head);
#pragma unroll
    for (int chunk = 0; chunk < kMatrixChunks; ++chunk) key[chunk] = pack_eight<Factor>(head.values[chunk]);
    value = pack_eight<Factor>(values);
  }
  // Into the cache's row, by one warp.
  __device__ void store(const AttentionCall& call, int slot, int kv_head) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int64_t row =
        (static_cast<int64_t>(slot / call.page_size) * call.kv_heads + kv_head) * call.page_size +
        slot % call.page_size;
    uint4* keys = reinterpret_cast<uint4*>(const_cast<uint8_t*>(call.key_cache) + row * kMatrixDim * 2);
    uint4* values = reinterpret_cast<uint4*>(const_cast<uint8_t*>(call.value_cache) + row * kMatrixDim * 2);
    if (lane / 4 == 0) {
#pragma unroll
      for (int chunk = 0; chunk < kMatrixChunks; ++chunk) keys[chunk * 4 + lane % 4] = key[chunk];
    }
    if (lane % 4 == 0) values[lane / 4] = value;
  }
  // In the place of position `offset` of a block.
  __device__ void put(int offset, KvWords& words) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int group = 0; group < kMatrixGroups; ++group) {
      if (offset == group * 8 + lane / 4) {
#pragma unroll
        for (int chunk = 0; chunk < kMatrixChunks; ++chunk) words.keys[group][chunk] = key[chunk];
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        if (offset == group * 8 + lane % 4 * 2 + i) words.values[group][i] = value;
      }
    }
  }
};

}  // namespace musaic
