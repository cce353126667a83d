#include "ops/mla_attention/mla_expanded_sm90.h"

#include "gpu_launch.cuh"
#include "ops/mla_attention/mla_attend_sm90.cuh"
#include "ops/mla_attention/mla_expand_sm90.cuh"

namespace musaic {

bool launch_expanded_sm90(const MlaAttentionCall& call, const Fp8RowsOut& fp8, int max_tiles,
                          gpuStream_t stream) {
  constexpr int64_t kFewTokens = 1024;  // blocks of 64 rows keep the multiprocessors busy
  if (call.tokens == 0) return true;
  if (!launch_expand(call, max_tiles, stream)) return false;
  if (call.tokens <= kFewTokens) return launch_attend<1>(call, fp8, max_tiles, stream);
  return launch_attend<2>(call, fp8, max_tiles, stream);
}

}  // namespace musaic
