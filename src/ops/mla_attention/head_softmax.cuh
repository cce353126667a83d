#pragma once

#include "ops/mla_attention/mla_rows.cuh"

namespace musaic {

// The softmax of sixteen heads over tiles of 64 positions, in base 2: sixteen neighbouring threads have a
// head, each four neighbouring positions of a tile.
struct HeadSoftmax {
  static constexpr int kThreadsOfHead = kMlaTile / 4;
  float maximum = kNoMaximum;
  float weight = 0.0f;  // the sum of the weights

  static __device__ int head() { return static_cast<int>(threadIdx.x) / kThreadsOfHead; }
  static __device__ int part() { return static_cast<int>(threadIdx.x) % kThreadsOfHead; }

  // The thread's scores in a tile, which are the sums of what kWarps warps left.
  template <int kWarps, int kStride>
  static __device__ void take(const float (&parts)[kWarps][kMlaHeadsAtOnce][kStride], float (&scores)[4]) {
#pragma unroll
    for (float& score : scores) score = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float4 four = *reinterpret_cast<const float4*>(&parts[w][head()][4 * part()]);
      scores[0] += four.x, scores[1] += four.y, scores[2] += four.z, scores[3] += four.w;
    }
  }

  // Scores of the tile's first `count` positions become weights relative to the new maximum, others 0.
  // Returns what earlier sums are multiplied with.
  template <class Exp2>
  __device__ float weigh(float (&scores)[4], int count, const Exp2& exp2) {
    float largest = maximum;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (4 * part() + i >= count) scores[i] = kNoMaximum;
      largest = fmaxf(largest, scores[i]);
    }
    for (int distance = kThreadsOfHead / 2; distance > 0; distance /= 2)
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, distance));
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[i] = exp2(scores[i] - largest);
      sum += scores[i];
    }
    for (int distance = kThreadsOfHead / 2; distance > 0; distance /= 2)
      sum += __shfl_xor_sync(kAllLanes, sum, distance);
    const float keep = exp2(maximum - largest);
    weight = fmaf(weight, keep, sum);
    maximum = largest;
    return keep;
  }
};

}  // namespace musaic
