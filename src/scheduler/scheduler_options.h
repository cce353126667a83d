#pragma once

#include <vector>

#include "request/request.h"

namespace musaic {

enum class SchedulePolicy {
  kFcfs,  // in order of arrival
  kLpm,   // longest cached prefix first
};

// Names as the server's flags.
struct SchedulerOptions {
  int chunked_prefill_size =
      512;  // tokens a step with prompts; -1: a prompt is cut only where the runner's limit asks
  double itl_target_ms = 0.0;      // prompts leave a step with decode rows short enough for it; 0: no target
  int max_prefill_tokens = 16384;  // prompt tokens a step
  int max_running_requests = 64;
  SchedulePolicy schedule_policy = SchedulePolicy::kFcfs;
  double schedule_conservativeness = 1.0;  // scales the share of max_new_tokens that admission reserves
  bool disable_radix_cache = false;
  std::vector<TokenId> end_tokens;  // of the model
};

// What the steps may hold: the runner's limits.
struct StepLimits {
  int max_tokens_per_step = 0;
  int max_sequences = 0;
  int max_context = 0;
  int page_size = 0;
  int num_pages = 0;
};

}  // namespace musaic
