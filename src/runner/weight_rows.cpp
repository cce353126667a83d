#include "runner/weight_rows.h"

#include "base/check.h"

namespace musaic {

WeightRows read_weight_rows(const WeightSource& source, const GraphValue& weight) {
  const int64_t columns = weight.meta.rank() == 1 ? 1 : weight.meta.dim(-1).constant();
  WeightRows rows{.dtype = weight.meta.dtype, .rows = 0, .columns = columns, .parts = {}};
  for (const std::string& part : weight.weight_parts) {
    const WeightTensor* tensor = source.find(part);
    CHECK(tensor != nullptr, "{} was there when traced", part);
    rows.parts.push_back({tensor->shape[0], tensor->data});
    rows.rows += tensor->shape[0];
  }
  return rows;
}

}  // namespace musaic
