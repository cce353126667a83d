#pragma once

#include <cstdint>

#include "gpu_vendor.h"

namespace musaic {

// One call of musaic::logprobs: arguments as logprobs.h names them.
struct LogprobsCall {
  const float* logits = nullptr;
  int64_t logits_stride = 0;
  int64_t rows = 0;
  int64_t vocab = 0;
  const int32_t* live_rows = nullptr;
  const int32_t* target = nullptr;
  const int32_t* top_n = nullptr;
  const int32_t* probe_count = nullptr;
  const int32_t* probe_ids = nullptr;
  int64_t probe_stride = 0;
  int64_t max_probes = 0;
  int64_t max_top_n = 0;
  float* target_logprob = nullptr;
  int32_t* top_ids = nullptr;
  float* top_logprobs = nullptr;
  float* probe_logprobs = nullptr;
};

int64_t logprobs_max_top_n();

// REQUIRES: max_top_n <= logprobs_max_top_n().
void launch_logprobs(const LogprobsCall& call, gpuStream_t stream);

}  // namespace musaic
