#include "opcheck/sample_calls.h"

namespace musaic {

std::string dtype_of(const OpSample& sample) {
  std::optional<DType> first, other_float;
  for (const SampleInput& input : sample.inputs) {
    if (!input.tensor.defined()) continue;
    const DType dtype = input.tensor.meta().dtype;
    if (is_block_quantized(dtype)) return std::string(name(dtype));
    if (!first) first = dtype;
    if (!other_float && (dtype == DType::kF16 || dtype == DType::kBF16)) other_float = dtype;
  }
  if (!first) return "none";
  return std::string(name(other_float.value_or(*first)));
}

std::vector<std::optional<int32_t>> live_rows_of(const OpSample& sample) {
  if (sample.live_rows) return {sample.live_rows};
  std::vector<std::optional<int32_t>> counts = {std::nullopt};
  for (const SampleInput& input : sample.inputs) {
    if (!input.has_rows || !input.tensor.defined() || counts.size() > 1) continue;
    const auto rows = static_cast<int32_t>(input.tensor.tensor().shape[0]);
    if (rows > 0) counts.push_back(rows / 2);
  }
  return counts;
}

}  // namespace musaic
