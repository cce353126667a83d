#include "runner/weight_rows.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "ir/registry.h"
#include "tensor/random_values.h"

namespace musaic {
namespace {

constexpr const char* kRandomValues = "musaic::random_values";

// Fills device memory with a tensor's values; false: the target has no kernel for it.
bool make_tensor(const WeightTensor& tensor, const RandomValues& values, const Target& target,
                 Backend& backend, std::byte* destination) {
  DimShape shape;
  for (int axis = 0; axis < tensor.shape.rank(); ++axis) shape.push_back(tensor.shape[axis]);
  const Meta meta = Meta::contiguous(tensor.dtype, shape, target.device);
  const Meta* const inputs[] = {&meta};
  const Attributes attributes = {{"seed", static_cast<int64_t>(values.seed)},
                                 {"mean", double{values.mean}},
                                 {"deviation", double{values.deviation}}};
  const Kernel* kernel = target.registry.find_kernel(target.registry.get(kRandomValues), target.device.type,
                                                     {inputs, {}, attributes, target.capabilities});
  if (kernel == nullptr) return false;
  const Tensor written[] = {Tensor::contiguous(destination, tensor.dtype, tensor.shape)};
  backend.name_next(kRandomValues);
  kernel->run({.inputs = written,
               .outputs = {},
               .workspace = {},
               .attributes = attributes,
               .stream = backend.stream()});
  return true;
}

bool make_weight(const WeightSource& source, const Target& target, Backend& backend, const GraphValue& weight,
                 void* destination) {
  auto* next = static_cast<std::byte*>(destination);
  for (const std::string& part : weight.weight_parts) {
    const WeightTensor* tensor = source.find(part);
    CHECK(tensor != nullptr, "{} was there when traced", part);
    const RandomValues* values = source.recipe(*tensor);
    if (values == nullptr || !make_tensor(*tensor, *values, target, backend, next)) return false;
    next += tensor->bytes;
  }
  return true;
}

}  // namespace

WeightRows read_weight_rows(const WeightSource& source, const GraphValue& weight) {
  const int64_t columns = weight.meta.rank() == 1 ? 1 : weight.meta.dim(-1).constant();
  WeightRows rows{.dtype = weight.meta.dtype, .rows = 0, .columns = columns, .parts = {}};
  source.make_values();
  for (const std::string& part : weight.weight_parts) {
    const WeightTensor* tensor = source.find(part);
    CHECK(tensor != nullptr, "{} was there when traced", part);
    rows.parts.push_back({tensor->shape[0], tensor->data});
    rows.rows += tensor->shape[0];
  }
  return rows;
}

RowMaker weight_row_maker(const WeightSource& source, const GraphValue& weight) {
  struct Part {
    int64_t rows;
    RowMaker make;
  };
  std::vector<Part> parts;
  for (const std::string& part : weight.weight_parts) {
    const WeightTensor& tensor = *source.find(part);
    RowMaker make = source.row_maker(tensor);
    if (make) parts.push_back({tensor.shape[0], std::move(make)});
  }
  if (parts.empty()) return {};
  CHECK(parts.size() == weight.weight_parts.size(), "{}: some of its parts are made, some read", weight.name);
  const size_t row_bytes = byte_size(weight.meta.dtype, weight.meta.dim(-1).constant());
  return [parts = std::move(parts), row_bytes](int64_t begin, int64_t end, std::byte* to) {
    int64_t first = 0;
    for (const Part& part : parts) {
      const int64_t from = std::max(begin - first, int64_t{0});
      const int64_t behind = std::min(end - first, part.rows);
      first += part.rows;
      if (from >= behind) continue;
      part.make(from, behind, to);
      to += static_cast<size_t>(behind - from) * row_bytes;
    }
  };
}

WeightReader read_weights(const WeightSource& source, const Target& target, Backend& backend) {
  return {
      .read = [&](const GraphValue& weight) { return read_weight_rows(source, weight); },
      .maker = [&](const GraphValue& weight) { return weight_row_maker(source, weight); },
      .make = [&](const GraphValue& weight,
                  void* destination) { return make_weight(source, target, backend, weight, destination); },
      .release =
          [&](const GraphValue& weight) {
            for (const std::string& part : weight.weight_parts) source.drop_pages(*source.find(part));
          }};
}

}  // namespace musaic
