#include "runner/step_sizes.h"

#include <algorithm>

namespace musaic {
namespace {

DimBindings fixed_bindings(const StepSizes& sizes) {
  return {{"pages", sizes.num_pages},
          {"max_pages", (sizes.max_context + sizes.page_size - 1) / sizes.page_size},
          {"hidden_rows", std::max(sizes.max_tokens_per_step, sizes.max_sequences)},
          {"slots", sizes.max_sequences}};
}

}  // namespace

DimBindings extend_bindings(const StepSizes& sizes, int tokens) {
  DimBindings bindings = fixed_bindings(sizes);
  bindings["tokens"] = tokens;
  bindings["sequences"] = sizes.max_sequences;
  return bindings;
}

DimBindings decode_bindings(const StepSizes& sizes, int sequences) {
  DimBindings bindings = fixed_bindings(sizes);
  bindings["tokens"] = sequences;
  bindings["sequences"] = sequences;
  return bindings;
}

DimBindings head_bindings(const StepSizes& sizes, int rows) {
  DimBindings bindings = fixed_bindings(sizes);
  bindings["rows"] = rows;
  return bindings;
}

}  // namespace musaic
