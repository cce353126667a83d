#include "export/torch_weights.h"

#include <set>
#include <string>
#include <vector>

#include "base/check.h"
#include "formats/safetensors_writer.h"
#include "tensor/dequantize.h"

namespace musaic {
namespace {

std::set<std::string> parts_of(std::span<const Graph* const> graphs) {
  std::set<std::string> parts;
  for (const Graph* graph : graphs) {
    for (const GraphValue& value : graph->values)
      parts.insert(value.weight_parts.begin(), value.weight_parts.end());
  }
  return parts;
}

}  // namespace

void write_torch_weights(const std::filesystem::path& path, std::span<const Graph* const> graphs,
                         const WeightSource& source) {
  std::vector<FloatTensor> tensors;
  for (const std::string& part : parts_of(graphs)) {
    const WeightTensor* tensor = source.find(part);
    CHECK(tensor != nullptr, "{} was there when traced", part);
    const int64_t width = tensor->shape.rank() == 0 ? 1 : tensor->shape[-1];
    tensors.push_back({part, tensor->shape, [tensor, width](int64_t row, float* out) {
                         const size_t row_bytes = byte_size(tensor->dtype, width);
                         dequantize_row(tensor->dtype, tensor->data + static_cast<size_t>(row) * row_bytes,
                                        out, width);
                       }});
  }
  write_safetensors(path, tensors);
}

}  // namespace musaic
