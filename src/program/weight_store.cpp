#include "program/weight_store.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/status.h"

namespace musaic {
namespace {

constexpr size_t kLeastMappedBytes = 64 << 10;  // what the system maps around one read: less is copied
constexpr int64_t kRowsPerTask =
    256;  // small enough to balance two threads, a multiple of every row alignment

struct PackedWeight {
  WeightRows rows;
  const WeightPacking* packing;  // nullptr: copied as it is
  DeviceMemory* destination;
  const GraphValue* value;
  std::atomic<int> tasks_left{0};
  // Where the host cannot write the device's memory: the packed weight, until it is copied.
  std::vector<std::byte> staging;
  std::once_flag staging_allocated;
};

// Rows [begin, end) of one weight to be written into its destination.
struct PackTask {
  PackedWeight* weight;
  int64_t begin;
  int64_t end;

  size_t bytes() const { return weight->rows.row_bytes() * static_cast<size_t>(end - begin); }
};

void copy_rows(const WeightRows& rows, int64_t begin, int64_t end, std::byte* destination) {
  const size_t row_bytes = rows.row_bytes();
  for (int64_t row = begin; row < end; ++row)
    std::memcpy(destination + row * row_bytes, rows.row(row), row_bytes);
}

// Packs weights on several threads and gives back their mapped pages: who also reads one in place brings back
// what it reads. A device that does not share the host's memory gets each weight by a copy once it is packed.
class Packer {
 public:
  Packer(Backend& backend, const WeightReader& reader, const LoadProgress& progress)
      : backend_(backend), reader_(reader), progress_(progress) {}

  void add(const GraphValue& value, WeightRows rows, const WeightPacking* packing,
           DeviceMemory& destination) {
    CHECK(packing == nullptr || kRowsPerTask % packing->row_alignment == 0, "layout {} packs {} rows at once",
          packing->layout, packing->row_alignment);
    auto& weight = *weights_.emplace_back(std::make_unique<PackedWeight>());
    weight.rows = std::move(rows);
    weight.packing = packing;
    weight.destination = &destination;
    weight.value = &value;
    for (int64_t begin = 0; begin < weight.rows.rows; begin += kRowsPerTask) {
      tasks_.push_back({&weight, begin, std::min(begin + kRowsPerTask, weight.rows.rows)});
      total_bytes_ += tasks_.back().bytes();
      ++weight.tasks_left;
    }
    ++readers_[value.name];
  }
  void run(int num_threads) {
    std::vector<std::jthread> threads;
    for (int i = 1; i < num_threads; ++i) threads.emplace_back([this] { work(); });
    work();
  }

 private:
  void work() {
    for (size_t i = next_++; i < tasks_.size(); i = next_++) {
      run_task(tasks_[i]);
      done_bytes_ += tasks_[i].bytes();
      if (--tasks_[i].weight->tasks_left == 0) finish(*tasks_[i].weight);
    }
  }

  bool is_staged() const { return !backend_.reads_host_memory(); }

  std::byte* packed(PackedWeight& weight) const {
    if (!is_staged()) return static_cast<std::byte*>(weight.destination->data());
    std::call_once(weight.staging_allocated, [&] { weight.staging.resize(weight.destination->bytes()); });
    return weight.staging.data();
  }

  void run_task(const PackTask& task) const {
    PackedWeight& weight = *task.weight;
    if (weight.packing != nullptr) {
      weight.packing->pack(weight.rows, task.begin, task.end, packed(weight));
    } else {
      copy_rows(weight.rows, task.begin, task.end, packed(weight));
    }
  }

  void finish(PackedWeight& weight) {
    const std::lock_guard lock(mutex_);
    if (is_staged()) copy_to_device(weight);
    if (--readers_[weight.value->name] == 0) reader_.release(*weight.value);
    if (progress_) progress_(done_bytes_, total_bytes_);
  }

  void copy_to_device(PackedWeight& weight) {
    Stream& stream = backend_.stream();
    backend_.copy_to_device(weight.destination->data(), weight.staging.data(), weight.staging.size(), stream);
    stream.synchronize();
    std::vector<std::byte>().swap(weight.staging);
  }

  Backend& backend_;
  const WeightReader& reader_;
  const LoadProgress& progress_;
  std::vector<std::unique_ptr<PackedWeight>> weights_;
  std::vector<PackTask> tasks_;
  size_t total_bytes_ = 0;
  std::atomic<size_t> next_{0};
  std::atomic<size_t> done_bytes_{0};
  std::mutex mutex_;  // guards what follows, and the calls of release, progress and the backend
  std::map<std::string, int> readers_;  // by weight: layouts still to be packed
};

}  // namespace

WeightStore::Key WeightStore::key(const GraphValue& weight, const Kernel& kernel, int input) {
  const bool packed = kernel.packing && kernel.packing->input == input;
  return {weight.name, packed ? kernel.packing->layout : ""};
}

void WeightStore::request(const Graph& graph, const Plan& plan) {
  for (const PlannedNode& planned : plan.nodes) {
    const Node& node = graph.nodes[planned.node];
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      const GraphValue& value = graph.values[node.inputs[i]];
      if (value.kind != ValueKind::kWeight) continue;
      Entry& entry = entries_[key(value, *planned.kernel, static_cast<int>(i))];
      entry.weight = value;
      const auto& packing = planned.kernel->packing;
      if (packing && packing->input == static_cast<int>(i)) entry.packing = &*packing;
    }
  }
}

// A vector counts as a column.
size_t WeightStore::packed_bytes(const Entry& entry) {
  const Meta& meta = entry.weight.meta;
  const int64_t count = elements(meta.shape).constant();
  if (entry.packing == nullptr) return byte_size(meta.dtype, count);
  const int64_t columns = meta.rank() == 1 ? 1 : meta.dim(-1).constant();
  return entry.packing->bytes(count / columns, columns);
}

size_t WeightStore::planned_bytes() const {
  size_t sum = 0;
  for (const auto& [key, entry] : entries_) sum += packed_bytes(entry);
  return sum;
}

bool WeightStore::make_on_device(Entry& entry, const WeightReader& reader) {
  if (!reader.make || entry.packing != nullptr || backend_.reads_host_memory()) return false;
  auto memory = backend_.allocate(packed_bytes(entry), "weights " + entry.weight.name);
  if (!reader.make(entry.weight, memory->data())) return false;
  entry.memory = std::move(memory);
  entry.address = entry.memory->data();
  bytes_ += entry.memory->bytes();
  return true;
}

void WeightStore::load(const WeightReader& reader, int num_threads, const LoadProgress& progress) {
  Packer packer(backend_, reader, progress);
  for (auto& [key, entry] : entries_) {
    if (make_on_device(entry, reader)) continue;
    WeightRows rows = reader.read(entry.weight);
    const size_t file_bytes = rows.row_bytes() * static_cast<size_t>(rows.rows);
    const bool may_stay = backend_.reads_host_memory() && file_bytes >= kLeastMappedBytes;
    if (entry.packing == nullptr && rows.parts.size() == 1 && may_stay) {
      entry.address = rows.parts[0].data;
      mapped_bytes_ += file_bytes;
      continue;
    }
    const size_t bytes = packed_bytes(entry);
    entry.memory = backend_.allocate(bytes, "weights " + entry.weight.name);
    entry.address = entry.memory->data();
    bytes_ += bytes;
    packer.add(entry.weight, std::move(rows), entry.packing, *entry.memory);
  }
  packer.run(num_threads);
  backend_.stream().synchronize();
}

const void* WeightStore::address(const GraphValue& weight, const Kernel& kernel, int input) const {
  const auto found = entries_.find(key(weight, kernel, input));
  CHECK(found != entries_.end() && found->second.address != nullptr, "{} is not loaded", weight.name);
  return found->second.address;
}

}  // namespace musaic
