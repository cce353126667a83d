#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "device/launch_ahead.h"
#include "program/program.h"
#include "tensor/tensor.h"

namespace musaic {

// The inputs, outputs and states of the programs, outside the arena at addresses that never change. A name
// that several graphs use is one buffer, as large as the largest of them. The inputs that the host
// writes are one block on the device and on the host: a step brings what it wrote over in one launch.
class IoBuffers {
 public:
  explicit IoBuffers(Backend& backend) : backend_(backend) {}

  // Notes the buffers of a graph; sizes follow from the bindings of its largest bucket. With a prefix
  // ("decode.") its inputs are its own: they are written under prefixed names, and lie apart.
  void add(const Graph& graph, const DimBindings& largest, const std::string& prefix = "");
  void allocate();

  // Sets values of an input that is no graph's output, on the host until the next upload().
  template <class T>
  void write(std::string_view name, std::span<const T> values, size_t first = 0) {
    write_bytes(name, values.data(), values.size_bytes(), first * sizeof(T));
  }
  // Brings the inputs written since the last upload to the device, with these parts of them from there.
  void upload(std::span<const DeviceCopy> parts = {});

  // Of a graph that was added with this prefix. REQUIRES: allocated.
  AddressBook addresses(const std::string& prefix = "") const;
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
  void write_bytes(std::string_view name, const void* values, size_t bytes, size_t offset);
  void place_inputs();

  Backend& backend_;
  std::map<std::string, size_t, std::less<>> sizes_;
  std::map<std::string, std::shared_ptr<const std::vector<std::byte>>, std::less<>> constants_;
  std::map<std::string, std::unique_ptr<DeviceMemory>, std::less<>> memory_;
  AddressBook addresses_;

  struct InputPlace {
    int graph;          // the first that uses it, counted by add()
    size_t offset = 0;  // in the block
  };
  std::map<std::string, InputPlace, std::less<>> input_places_;  // of inputs that the host writes
  std::set<std::string> outputs_;                                // which other graphs may read as inputs
  int num_graphs_ = 0;
  std::vector<std::byte> staged_inputs_;
  std::unique_ptr<DeviceMemory> inputs_;
  std::vector<UploadRange> written_;  // of the block, since the last upload
};

}  // namespace musaic
