#pragma once

#include "ops/attention/attention_matrix_gpu.h"
#include "ops/linear/linear_tile_gpu.h"

namespace musaic {

// What decides whether attention and its output projection fit into one launch.
struct AttentionOutSize {
  int64_t num_heads = 0;
  int64_t kv_heads = 0;
  int64_t hidden = 0;
};

// Whether the launch below takes it.
bool has_attention_out_sm90(const AttentionOutSize& size);

// One call of musaic::attention_out_.
struct AttentionOutCall {
  AttentionCall attention;  // `out`: rows for what is attended to, where a launch of its own finds them
  NewRows rows;
  LinearTileCall linear;  // of these rows onto the residual
};

// Attention and the linear in one launch, a cluster of blocks a sequence. A row's bits are not those of two
// launches, but depend on no other row. False: nothing was launched, since the call's sizes do not fit or
// its rows are many. REQUIRES: compute capability 9.0, and what the two launches require.
bool launch_attention_out_sm90(const AttentionOutCall& call, gpuStream_t stream);

}  // namespace musaic
