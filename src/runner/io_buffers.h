#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "device/backend.h"
#include "program/program.h"
#include "tensor/tensor.h"

namespace musaic {

// The inputs, outputs and states of the programs, outside the arena at addresses that never change. A name
// that several graphs use is one buffer, as large as the largest of them.
class IoBuffers {
 public:
  explicit IoBuffers(Backend& backend) : backend_(backend) {}

  // Notes the buffers of a graph; sizes follow from the bindings of its largest bucket.
  void add(const Graph& graph, const DimBindings& largest);
  void allocate();

  // REQUIRES: allocated.
  const AddressBook& addresses() const { return addresses_; }
  template <class T>
  T* get(std::string_view name) const {
    return static_cast<T*>(addresses_.find(name)->second);
  }
  size_t bytes(std::string_view name) const { return sizes_.find(name)->second; }
  // Bytes of the states whose name ends so ("_cache"), or of everything else.
  size_t bytes_of_states(std::string_view suffix) const;
  size_t total_bytes() const;

 private:
  void add_value(const std::string& name, const GraphValue& value, const DimBindings& largest);

  Backend& backend_;
  std::map<std::string, size_t, std::less<>> sizes_;
  std::map<std::string, std::shared_ptr<const std::vector<std::byte>>, std::less<>> constants_;
  std::map<std::string, std::unique_ptr<DeviceMemory>, std::less<>> memory_;
  AddressBook addresses_;
};

}  // namespace musaic
