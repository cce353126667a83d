#pragma once

#include <cstdint>

#include "gpu_vendor.h"

namespace musaic {

// One call of musaic::sample: arguments as sample.h names them.
struct SampleCall {
  const float* logits = nullptr;
  int64_t logits_stride = 0;
  int64_t rows = 0;
  int64_t vocab = 0;
  const int32_t* live_rows = nullptr;
  const float* temperature = nullptr;
  const int32_t* top_k = nullptr;
  const float* top_p = nullptr;
  const float* min_p = nullptr;
  const int64_t* seed = nullptr;
  const int32_t* draw = nullptr;
  const float* frequency_penalty = nullptr;
  const float* presence_penalty = nullptr;
  const float* repetition_penalty = nullptr;
  const int32_t* count_slot = nullptr;
  const int32_t* bias_count = nullptr;
  int64_t max_bias = 0;
  const int32_t* bias_ids = nullptr;
  int64_t bias_ids_stride = 0;
  const float* bias_values = nullptr;
  int64_t bias_values_stride = 0;
  int32_t* token_counts = nullptr;  // [num_slots, vocab]
  int64_t num_slots = 0;
  int32_t* token = nullptr;
  void* workspace = nullptr;  // rows · sample_workspace_bytes, 16-byte aligned
};

int64_t sample_workspace_bytes(int64_t vocab);

void launch_sample(const SampleCall& call, gpuStream_t stream);

}  // namespace musaic
