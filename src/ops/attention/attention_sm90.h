#pragma once

#include "ops/attention/attention_gpu.h"

namespace musaic {

// musaic::paged_attention over a bf16 cache of heads of 64 or 128 by Hopper's matrix units: a scaled query
// and a weight are rounded to bf16. A row's bits depend on its sequence alone, but are not those of the other
// kernels. False: nothing was launched, since few rows may have a long context, which other kernels cut, or
// the cache lies at an odd address. REQUIRES: compute capability 9.0; rows of the query at multiples of 8
// bytes.
bool launch_attention_sm90(const AttentionCall& call, gpuStream_t stream);

class OpRegistry;
void add_attention_sm90(OpRegistry& registry);

}  // namespace musaic
