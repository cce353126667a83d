#include "ops/mla_attention/mla_expanded_sm90.h"

#include "gpu_launch.cuh"
#include "ops/mla_attention/mla_attend_sm90.cuh"
#include "ops/mla_attention/mla_expand_sm90.cuh"

namespace musaic {

bool launch_expanded_sm90(const MlaAttentionCall& call, const Fp8RowsOut& fp8, int max_tiles,
                          gpuStream_t stream) {
  constexpr int64_t kFewTokens = 768;  // blocks of 64 rows keep the multiprocessors busy
  if (call.tokens == 0) return true;
  TensorMap kv_b;
  if (!map_byte_rows(kv_b, call.kv_b.data, 1, int64_t{call.heads} * kHeadColumns, kMlaMatrixRank,
                     kWeightRows))
    return false;
  launch_expand({kv_b, call, max_tiles}, stream);
  const AttendWork attention = {kv_b, call, fp8, max_tiles};
  if (call.tokens <= kFewTokens) {
    launch_attend<1>(attention, stream);
  } else {
    launch_attend<2>(attention, stream);
  }
  return true;
}

}  // namespace musaic
