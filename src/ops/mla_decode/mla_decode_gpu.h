#pragma once

#include "ops/latent_write/latent_write_gpu.h"
#include "ops/mla_attention/mla_attention_gpu.h"

namespace musaic {

// One call of musaic::mla_decode_attention_fp8.
struct MlaDecodeCall {
  LatentWriteCall write;  // into `cache`; row s of the query is sequence s
  LatentNorm norm;
  MlaCacheGpu cache;
  KvBGpu kv_b;
  float scale = 0;  // includes log2(e)
  Fp8RowsOut out;
  void* workspace = nullptr;     // kMlaDecodeWorkspaceBytes
  uint32_t* counters = nullptr;  // kMlaDecodeCounters, each 0 before and after the launch
};

// What clusters of a sequence leave for one another, of sixteen heads and as many clusters as there are.
inline constexpr int kMlaClusterSumsBytes = 2064;
inline constexpr int kMlaMostClusters = 16;
inline constexpr int kMlaDecodeCounters = kMlaMostClusters * kMlaHeadsAtOnce / 2;  // two clusters a sequence
inline constexpr int64_t kMlaDecodeWorkspaceBytes =
    int64_t{kMlaMostClusters} * kMlaHeadsAtOnce * kMlaClusterSumsBytes;

// Whether the current device runs clusters of sixteen blocks as large as the launch below wants them.
bool can_run_mla_decode_sm90();

// All of it in one launch, a cluster of sixteen blocks for up to four sequences. A row's bits are not those
// of the launches apart, and depend on how many rows the step has, but on no other row. REQUIRES:
// can_run_mla_decode_sm90(), sixteen heads, DeepSeek's sizes, a bf16 cache, and rows and weights at multiples
// of 16 bytes.
void launch_mla_decode_sm90(const MlaDecodeCall& call, gpuStream_t stream);

}  // namespace musaic
