#pragma once

#include "hopper_counters.cuh"
#include "ops/mla_decode/mla_decode_factors.cuh"
#include "ops/mla_decode/mla_decode_shape.cuh"

namespace musaic::mla_decode_sm90 {

// Four sums of a head, of positions whose largest score is `maximum`.
struct SumPack {
  float maximum;
  float weight;
  float4 values;

  __device__ void add(const float2& state, const float4& more) {
    const float take = exp2_near(state.x - maximum);
    weight = fmaf(state.y, take, weight);
    values.x = fmaf(more.x, take, values.x), values.y = fmaf(more.y, take, values.y);
    values.z = fmaf(more.z, take, values.z), values.w = fmaf(more.w, take, values.w);
  }
};

// The shares of the cluster's blocks, every kParts-th from `part` on, which neighbouring threads have.
template <class Size, int kParts>
__device__ SumPack add_shares(const float4 (*first)[kSharePacks], int shares, int part, int pack) {
  constexpr int kShares = Size::kSplits / kParts;
  float2 states[kShares];
  float4 sums[kShares];
  float largest = kNoMaximum;
#pragma unroll
  for (int s = 0; s < kShares; ++s) {
    const int share = part + s * kParts;
    states[s] = make_float2(kNoMaximum, 0.0f);
    sums[s] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (share < shares) {
      states[s] = *reinterpret_cast<const float2*>(&first[share][kSharePacks - 1]);
      sums[s] = first[share][pack];
    }
    largest = fmaxf(largest, states[s].x);
  }
  if (kParts == 2) largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
  SumPack total = {largest, 0.0f, make_float4(0.0f, 0.0f, 0.0f, 0.0f)};
#pragma unroll
  for (int s = 0; s < kShares; ++s) total.add(states[s], sums[s]);
  if (kParts == 2) {
    total.weight += __shfl_xor_sync(kAllLanes, total.weight, 1);
    for (float* value : {&total.values.x, &total.values.y, &total.values.z, &total.values.w})
      *value += __shfl_xor_sync(kAllLanes, *value, 1);
  }
  return total;
}

// What clusters of one sequence leave for the last one, of each head.
struct ClusterSums {
  float4 values[kRank / 4];
  float2 state;

  __device__ static ClusterSums& of(const MlaDecodeCall& call, int cluster) {
    const int64_t row = static_cast<int64_t>(blockIdx.y) * gridDim.z + cluster;
    return reinterpret_cast<ClusterSums*>(call.workspace)[row * kHeads + blockIdx.x];
  }
};

// Makes `total` the sum of all clusters, in their order. False in all but the last one that comes here: no
// cluster waits for another, so that they need not all run at once. REQUIRES: called by all threads that
// compute; `is_mine` in one for each pack.
template <class Size>
__device__ bool add_clusters(const MlaDecodeCall& call, int clusters, int pack, bool is_mine, SumPack& total,
                             Memory<Size>& memory) {
  ClusterSums& own = ClusterSums::of(call, static_cast<int>(blockIdx.z));
  if (is_mine) own.values[pack] = total.values;
  if (threadIdx.x == 0) own.state = make_float2(total.maximum, total.weight);
  meet<kComputeThreads>(1);
  if (threadIdx.x == 0) {
    const auto last = static_cast<uint32_t>(clusters - 1);
    memory.is_last = take_turn(call.counters + blockIdx.y * kHeads + blockIdx.x, last) == last;
  }
  meet<kComputeThreads>(1);
  if (!memory.is_last) return false;
  if (!is_mine) return true;
  float largest = kNoMaximum;
  for (int c = 0; c < clusters; ++c) largest = fmaxf(largest, __ldcg(&ClusterSums::of(call, c).state).x);
  total = {largest, 0.0f, make_float4(0.0f, 0.0f, 0.0f, 0.0f)};
  for (int c = 0; c < clusters; ++c) {
    const ClusterSums& sums = ClusterSums::of(call, c);
    total.add(__ldcg(&sums.state), __ldcg(&sums.values[pack]));
  }
  return true;
}

// What the head attended to as two factors.
template <class Size>
__device__ void put_attended(const SumPack& total, int of_cluster, int pack, Memory<Size>& memory) {
  const float share = total.weight > 0.0f ? 1.0f / total.weight : 0.0f;
  uint32_t near[kFactorParts], far[kFactorParts];
  split_as_f16(total.values.x * share, total.values.y * share, near);
  split_as_f16(total.values.z * share, total.values.w * share, far);
  const int word = pack / 4 * 8 + pack % 4;
#pragma unroll
  for (int p = 0; p < kFactorParts; ++p) {
    uint32_t* to = reinterpret_cast<uint32_t*>(memory.attended[of_cluster][p]);
    to[word] = near[p];
    to[word + 4] = far[p];
  }
}

// The shares of all sequences. False where another cluster goes on.
template <class Size>
__device__ bool merge_shares(const MlaDecodeCall& call, const Sequences<Size>& sequences,
                             Memory<Size>& memory) {
  constexpr int kPacks = kRank / 4, kParts = Size::kSequences == 1 ? 2 : 1;
  const int thread = static_cast<int>(threadIdx.x);
  if constexpr (Size::kSequences == 1) {
    const int part = thread % kParts, pack = thread / kParts % kPacks;
    SumPack total = add_shares<Size, kParts>(memory.shares, sequences.num_shares(0), part, pack);
    const bool is_mine = part == 0 && thread < kPacks * kParts;
    if (sequences.clusters > 1 && !add_clusters(call, sequences.clusters, pack, is_mine, total, memory))
      return false;
    if (is_mine) put_attended(total, 0, pack, memory);
  } else {
    for (int i = thread; i < Size::kSequences * kPacks; i += kComputeThreads) {
      const int of_cluster = i / kPacks, pack = i % kPacks;
      const SumPack total = add_shares<Size, kParts>(&memory.shares[of_cluster * Size::kSplits],
                                                     sequences.num_shares(of_cluster), 0, pack);
      put_attended(total, of_cluster, pack, memory);
    }
  }
  return true;
}

}  // namespace musaic::mla_decode_sm90
