#include "runner/io_buffers.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "base/check.h"

namespace musaic {
namespace {

constexpr size_t kInputAlignment = 64;  // a cache line

}  // namespace

void IoBuffers::add(const Graph& graph, const DimBindings& largest, const std::string& prefix) {
  for (const GraphValue& value : graph.values) {
    if (value.kind == ValueKind::kNode || value.kind == ValueKind::kWeight) continue;
    const bool is_input = value.kind == ValueKind::kInput;
    const std::string name = is_input ? prefix + value.name : value.name;
    add_value(name, value, largest);
    if (is_input) input_places_.try_emplace(name, InputPlace{num_graphs_});
    if (value.kind == ValueKind::kConstant) constants_[value.name] = value.constant;
  }
  for (const auto& [name, id] : graph.outputs) {
    add_value(name, graph.values[graph.values[id].storage], largest);
    outputs_.insert(name);
  }
  ++num_graphs_;
}

void IoBuffers::add_value(const std::string& name, const GraphValue& value, const DimBindings& largest) {
  size_t& size = sizes_[name];
  size = std::max(size, byte_size(value.meta.dtype, elements(value.meta.shape).evaluate(largest)));
}

// What one step writes lies together: by graph, and small ones first, so that a device that takes neighbours
// together copies little else.
void IoBuffers::place_inputs() {
  for (const std::string& output : outputs_) input_places_.erase(output);
  std::vector<std::string> names;
  for (const auto& [name, place] : input_places_) names.push_back(name);
  std::ranges::sort(names, {}, [&](const std::string& name) {
    return std::tuple(input_places_.at(name).graph, sizes_.at(name), name);
  });
  size_t end = 0;
  for (const std::string& name : names) {
    input_places_.at(name).offset = end;
    end += (sizes_.at(name) + kInputAlignment - 1) / kInputAlignment * kInputAlignment;
  }
  staged_inputs_.resize(end);
  inputs_ = backend_.allocate(end, "inputs");
  backend_.zero(inputs_->data(), end, backend_.stream());
  for (const auto& [name, place] : input_places_)
    addresses_[name] = static_cast<std::byte*>(inputs_->data()) + place.offset;
}

void IoBuffers::write_bytes(std::string_view name, const void* values, size_t bytes, size_t offset) {
  if (bytes == 0) return;
  const auto found = input_places_.find(name);
  CHECK(found != input_places_.end(), "{} is no input", name);
  CHECK(offset + bytes <= sizes_.find(name)->second, "{}: {} bytes at {}", name, bytes, offset);
  const size_t begin = found->second.offset + offset;
  std::memcpy(staged_inputs_.data() + begin, values, bytes);
  written_.push_back({begin, bytes});
}

void IoBuffers::upload(std::span<const DeviceCopy> parts) {
  if (written_.empty()) return;
  musaic::upload(backend_, inputs_->data(), staged_inputs_.data(), written_, parts);
  written_.clear();
}

void IoBuffers::allocate() {
  place_inputs();
  for (const auto& [name, size] : sizes_) {
    if (input_places_.contains(name)) continue;
    auto memory = backend_.allocate(size, name);
    addresses_[name] = memory->data();
    memory_[name] = std::move(memory);
  }
  for (const auto& [name, bytes] : constants_) {
    backend_.copy_to_device(addresses_[name], bytes->data(), bytes->size(), backend_.stream());
  }
}

AddressBook IoBuffers::addresses(const std::string& prefix) const {
  AddressBook book = addresses_;
  if (prefix.empty()) return book;
  for (const auto& [name, address] : addresses_) {
    if (name.starts_with(prefix)) book[name.substr(prefix.size())] = address;
  }
  return book;
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
