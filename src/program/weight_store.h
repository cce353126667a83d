#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "device/backend.h"
#include "program/plan.h"
#include "tensor/row_maker.h"

namespace musaic {

// Where weights come from; the runner wires it to the model's files.
struct WeightReader {
  std::function<WeightRows(const GraphValue& weight)> read;
  // How the weight's rows are made where they lie nowhere and `read` has no data of them; an empty one: they
  // are read. REQUIRES: no kernel packs a weight that is made.
  std::function<RowMaker(const GraphValue& weight)> maker = {};
  // Has the device make the weight at `destination`, in the layout of a file; false: it has to be read. Where
  // it is missing, all are read.
  std::function<bool(const GraphValue& weight, void* destination)> make = {};
  // All copies of it are made: its mapped pages may go, and come back where it is read in place. Called once
  // a weight, by one thread at a time.
  std::function<void(const GraphValue& weight)> release;
};

// Called by one thread at a time; the last call has done = total.
using LoadProgress = std::function<void(size_t done_bytes, size_t total_bytes)>;

// Weights on the device, each in the layouts that the planned kernels ask for; packed in parallel. Where the
// device reads host memory and the kernel the file's layout, only small ones are copied; where it does not,
// every thread has an uploader, and besides its pieces the host keeps only weights that a kernel has packed.
class WeightStore {
 public:
  explicit WeightStore(Backend& backend) : backend_(backend) {}

  // Notes what the plan's kernels will read.
  void request(const Graph& graph, const Plan& plan);
  // Loads everything requested. Throws LoadError.
  void load(const WeightReader& reader, int num_threads, const LoadProgress& progress);

  // Bytes that load() will take of a device that does not read host memory.
  size_t planned_bytes() const;

  // REQUIRES: loaded.
  const void* address(const GraphValue& weight, const Kernel& kernel, int input) const;
  size_t bytes() const { return bytes_; }                // on the device
  size_t mapped_bytes() const { return mapped_bytes_; }  // read in place

 private:
  struct Entry {
    GraphValue weight;
    const WeightPacking* packing = nullptr;  // nullptr: as in the file
    const void* address = nullptr;
    std::unique_ptr<DeviceMemory> memory;
  };
  using Key = std::pair<std::string, std::string>;  // weight, layout

  bool make_on_device(Entry& entry, const WeightReader& reader);
  static Key key(const GraphValue& weight, const Kernel& kernel, int input);
  static size_t packed_bytes(const Entry& entry);

  Backend& backend_;
  std::map<Key, Entry> entries_;
  size_t bytes_ = 0;
  size_t mapped_bytes_ = 0;
};

}  // namespace musaic
