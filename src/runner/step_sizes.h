#pragma once

#include "tensor/dim.h"

namespace musaic {

// The limits that a model's programs are planned for, as dimensions of its graphs.
struct StepSizes {
  int max_tokens_per_step = 512;
  int max_sequences = 64;
  int max_context = 2048;
  int page_size = 16;
  int num_pages = 0;
};

DimBindings extend_bindings(const StepSizes& sizes, int tokens);
DimBindings decode_bindings(const StepSizes& sizes, int sequences);
DimBindings head_bindings(const StepSizes& sizes, int rows);  // of head and logprobs

}  // namespace musaic
