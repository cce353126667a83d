#include "runner/io_buffers.h"

#include <algorithm>

namespace musaic {

void IoBuffers::add(const Graph& graph, const DimBindings& largest) {
  for (const GraphValue& value : graph.values) {
    if (value.kind == ValueKind::kNode || value.kind == ValueKind::kWeight) continue;
    add_value(value.name, value, largest);
    if (value.kind == ValueKind::kConstant) constants_[value.name] = value.constant;
  }
  for (const auto& [name, id] : graph.outputs)
    add_value(name, graph.values[graph.values[id].storage], largest);
}

void IoBuffers::add_value(const std::string& name, const GraphValue& value, const DimBindings& largest) {
  size_t& size = sizes_[name];
  size = std::max(size, byte_size(value.meta.dtype, elements(value.meta.shape).evaluate(largest)));
}

void IoBuffers::allocate() {
  for (const auto& [name, size] : sizes_) {
    auto memory = backend_.allocate(size, name);
    addresses_[name] = memory->data();
    memory_[name] = std::move(memory);
  }
  for (const auto& [name, bytes] : constants_) {
    backend_.copy_to_device(addresses_[name], bytes->data(), bytes->size(), backend_.stream());
  }
}

size_t IoBuffers::bytes_of_states(std::string_view suffix) const {
  size_t sum = 0;
  for (const auto& [name, size] : sizes_) sum += name.ends_with(suffix) ? size : 0;
  return sum;
}

size_t IoBuffers::total_bytes() const {
  size_t sum = 0;
  for (const auto& [name, size] : sizes_) sum += size;
  return sum;
}

}  // namespace musaic
