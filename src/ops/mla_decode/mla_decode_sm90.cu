#include <algorithm>

#include "gpu_launch.cuh"
#include "ops/mla_decode/mla_decode_attend.cuh"
#include "ops/mla_decode/mla_decode_merge.cuh"
#include "ops/mla_decode/mla_decode_query.cuh"
#include "ops/mla_decode/mla_decode_values.cuh"
#include "ops/per_token_group_quant/group_of_128_gpu.cuh"

// A cluster of sixteen blocks for one to four sequences. Block b folds kv_b's key rows into head b of every
// sequence's query and sends it to the blocks that attend for the sequence; each of these attends with all
// heads to its share of the positions, and sends head h's sums to block h, which adds up the shares,
// multiplies them with its value rows of kv_b and quantizes the result. Weights and cached latents are on
// their way before the previous kernel has ended.
namespace musaic {
namespace {

using namespace mla_decode_sm90;

// Barriers are told what will come: a whole query for a block that attends, and each share's sums.
template <class Size>
__device__ void init_barriers(const Sequences<Size>& sequences, bool attends, Memory<Size>& memory) {
  constexpr uint32_t kQueryBytes = kHeads * kFactorParts * kWidth * 2, kShareBytes = kSharePacks * 16;
  memory.has_query.init(1);
  memory.has_shares.init(1);
  uint32_t shares = 0;
#pragma unroll
  for (int i = 0; i < Size::kSequences; ++i) shares += static_cast<uint32_t>(sequences.num_shares(i));
  publish_barriers();
  if (attends) memory.has_query.arrive_and_expect(kQueryBytes);
  memory.has_shares.arrive_and_expect(shares * kShareBytes);
}

// What the warps that copy do. They come to the cluster's meetings where nothing that the block's other warps
// have yet to do is waited for before: an arrival or a wait may hold a warp until the block's other warps
// come to it too (under compute-sanitizer they do), and those wait for copies and give back stages. So to the
// first meeting's end with the stages full, and to the second meeting when all copies are under way.
template <class Size>
__device__ void copy_entries(EntryCopies<Size> copies) {
  const int count = copies.count();
  int entry = 0;
#pragma unroll 1
  for (; entry < min(count, kStages); ++entry) copies.start(entry);
  wait_for_cluster();
#pragma unroll 1
  for (; entry < count; ++entry) copies.start(entry);
  announce_to_cluster();
  wait_for_batches<0>();
}

template <class Size>
__global__ void __launch_bounds__(kThreads, 1) attend_and_expand(MlaDecodeCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(128) uint8_t shared_bytes[];
  Memory<Size>& memory = *reinterpret_cast<Memory<Size>*>(shared_bytes);
  const MatrixLane lane;
  const Place<Size> place;
  const Sequences<Size> sequences(call.cache);
  KeyRows keys;
  if (lane.warp < kProductWarps) keys.load(call.kv_b, place.head, lane);
  const bool is_pad = sequences.lengths[0] == 0;  // then the cluster's others are, too
  if (is_pad || static_cast<int>(blockIdx.z) >= sequences.clusters) return wait_for_previous_kernel();

  const Share<Size> share(sequences, place);
  const Entries<Size> entries = {memory};
  const bool attends = share.groups > 0;
  NewestRow newest;
  if (lane.warp == kSpareWarp) {
    if (threadIdx.x % kWarpSize == 0) {
      entries.init();
      init_barriers(sequences, attends, memory);
    }
    __syncwarp();
    if (share.has_newest) newest.load_ahead(call, place.sequence);
  }
  __syncthreads();
  announce_to_cluster();
  if (lane.warp >= kWarps) {
    copy_entries(EntryCopies<Size>(call, place, share, entries));
    return wait_for_previous_kernel();
  }
  float scales[kRank / kScaleBlock];
#pragma unroll
  for (int i = 0; i < kRank / kScaleBlock; ++i)
    scales[i] = call.kv_b.scale[(2 * place.head + 1) * call.kv_b.scale_columns + i];
  wait_for_previous_kernel();

  if (lane.warp < kProductWarps) {
    QueryColumns<Size> query;
    query.load(call.write, sequences, place.head, lane);
    absorb_query(call, sequences, keys, query, lane, memory);
  } else {
    if (share.has_newest) newest.load(call, place.sequence);
    rotate_query(call, sequences, place.head, memory);
    if (share.has_newest) newest.write(call, memory.newest);
  }
  if (attends) {
    attend(share, entries, lane, memory);
  } else {
    announce_to_cluster();
    wait_for_cluster();
  }
  ValueRows rows;
  entries.wait(share.tiles());
  if (lane.warp < kProductWarps) rows.convert_ahead(entries.stage(share.tiles()), lane);
  memory.has_shares.wait(0);
  if (!merge_shares(call, sequences, memory)) return;
  meet<kComputeThreads>(1);
  if (lane.warp < kProductWarps) multiply_values(rows, scales, lane, memory);
  meet<kComputeThreads>(1);
  if (lane.warp >= Size::kSequences || sequences.length(lane.warp) == 0) return;
  const int value = 4 * (static_cast<int>(threadIdx.x) % kWarpSize);
  float group[4];
  load_pack<float>(&memory.values[lane.warp][value], 4, true, group);
  quantize_group_of_128(group, call.out, sequences.first + lane.warp, place.head * kValues + value,
                        /*whole=*/true);
#endif
}

template <class Size>
ClusterLaunch cluster_launch(gpuStream_t stream) {
  return {kBlocks, kThreads, sizeof(Memory<Size>), stream};
}

// How many clusters the device runs at once; 0: it takes no such launch.
template <class Size>
unsigned active_clusters() {
  static const int count = [] {
    const ClusterLaunch launch = cluster_launch<Size>(nullptr);
    const auto kernel = attend_and_expand<Size>;
    return launch.can_run(kernel) ? std::min(launch.max_active(kernel), kMlaMostClusters) : 0;
  }();
  return static_cast<unsigned>(count);
}

template <class Size>
unsigned clusters_of(const MlaDecodeCall& call) {
  return static_cast<unsigned>((call.write.query.outer + Size::kSequences - 1) / Size::kSequences);
}

// Of one sequence as many clusters as run at once.
template <class Size>
void launch_clusters(const MlaDecodeCall& call, gpuStream_t stream) {
  const unsigned clusters = clusters_of<Size>(call);
  if (clusters == 0) return;
  const unsigned each = Size::kSequences > 1 ? 1 : std::max(1u, active_clusters<Size>() / clusters);
  cluster_launch<Size>(stream).run(attend_and_expand<Size>, dim3(kBlocks, clusters, each), call);
}

// So many clusters after one another, where the device has room for no more at once.
template <class Size>
unsigned rounds_of(const MlaDecodeCall& call) {
  return (clusters_of<Size>(call) + active_clusters<Size>() - 1) / active_clusters<Size>();
}

}  // namespace

static_assert(sizeof(ClusterSums) == kMlaClusterSumsBytes, "workspace");

bool can_run_mla_decode_sm90() {
  return active_clusters<ClusterShape<kMaxSequences>>() > 0;
}

// As few sequences a cluster as need no more rounds than the most.
void launch_mla_decode_sm90(const MlaDecodeCall& call, gpuStream_t stream) {
  const unsigned rounds = rounds_of<ClusterShape<kMaxSequences>>(call);
  if (rounds_of<ClusterShape<1>>(call) == rounds) return launch_clusters<ClusterShape<1>>(call, stream);
  if (rounds_of<ClusterShape<2>>(call) == rounds) return launch_clusters<ClusterShape<2>>(call, stream);
  if (rounds_of<ClusterShape<3>>(call) == rounds) return launch_clusters<ClusterShape<3>>(call, stream);
  launch_clusters<ClusterShape<kMaxSequences>>(call, stream);
}

}  // namespace musaic
