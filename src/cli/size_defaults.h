#pragma once

#include "tensor/dtype.h"
#include "weights/model_config.h"

namespace musaic {

// Sizes where no flag says otherwise; docs/OPERATIONS.md has them.
struct SizeDefaults {
  int max_running_requests = 64;
  int max_queued_requests = 1024;
  int chunked_prefill_size = 512;  // tokens of prompts in one step
  int page_size = 16;              // tokens
  DType kv_dtype = DType::kF16;
  int max_graph_tokens = 0;  // of the largest captured prefill step; 0: the largest step
};

// `on_gpu`: the device has memory of its own.
SizeDefaults size_defaults(const ModelConfig& config, bool on_gpu);

}  // namespace musaic
