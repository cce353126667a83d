#include "program/weight_store.h"

#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/status.h"

namespace musaic {
namespace {

constexpr int64_t kRowsPerTask =
    256;  // small enough to balance two threads, a multiple of every row alignment

// Rows [begin, end) of one weight to be written into `destination`.
struct PackTask {
  size_t weight;  // index into the packed weights
  int64_t begin;
  int64_t end;
};

struct PackedWeight {
  WeightRows rows;
  const WeightPacking* packing;
  std::byte* destination;
  const GraphValue* value;
  std::atomic<int> tasks_left{0};
};

void copy_rows(const WeightRows& rows, int64_t begin, int64_t end, std::byte* destination) {
  const size_t row_bytes = rows.row_bytes();
  for (int64_t row = begin; row < end; ++row)
    std::memcpy(destination + row * row_bytes, rows.row(row), row_bytes);
}

void run_task(const PackTask& task, PackedWeight& weight) {
  if (weight.packing != nullptr) {
    weight.packing->pack(weight.rows, task.begin, task.end, weight.destination);
  } else {
    copy_rows(weight.rows, task.begin, task.end, weight.destination);
  }
}

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

void WeightStore::load(const WeightReader& reader, int num_threads, const LoadProgress& progress) {
  std::vector<std::unique_ptr<PackedWeight>> weights;
  std::vector<PackTask> tasks;
  std::map<std::string, int> readers_of_file;  // entries that still need a weight's mapped pages
  size_t total = 0;
  for (auto& [key, entry] : entries_) {
    WeightRows rows = reader.read(entry.weight);
    const size_t file_bytes = rows.row_bytes() * static_cast<size_t>(rows.rows);
    const bool in_place = entry.packing == nullptr && rows.parts.size() == 1 && backend_.reads_host_memory();
    if (in_place) {
      entry.address = rows.parts[0].data;
      mapped_bytes_ += file_bytes;
      ++readers_of_file[entry.weight.name];
      continue;
    }
    const size_t bytes = entry.packing ? entry.packing->bytes(rows.rows, rows.columns) : file_bytes;
    entry.memory = backend_.allocate(bytes, entry.weight.name);
    entry.address = entry.memory->data();
    bytes_ += bytes;
    total += file_bytes;
    auto weight = std::make_unique<PackedWeight>();
    weight->rows = std::move(rows);
    weight->packing = entry.packing;
    weight->destination = static_cast<std::byte*>(entry.memory->data());
    weight->value = &entry.weight;
    for (int64_t begin = 0; begin < weight->rows.rows; begin += kRowsPerTask) {
      tasks.push_back({weights.size(), begin, std::min(begin + kRowsPerTask, weight->rows.rows)});
      ++weight->tasks_left;
    }
    weights.push_back(std::move(weight));
  }

  std::atomic<size_t> next{0};
  std::atomic<size_t> done{0};
  std::mutex report;
  const auto work = [&] {
    for (size_t i = next++; i < tasks.size(); i = next++) {
      PackedWeight& weight = *weights[tasks[i].weight];
      run_task(tasks[i], weight);
      const size_t bytes = weight.rows.row_bytes() * static_cast<size_t>(tasks[i].end - tasks[i].begin);
      const size_t so_far = done += bytes;
      if (--weight.tasks_left > 0) continue;
      if (readers_of_file.find(weight.value->name) == readers_of_file.end()) reader.release(*weight.value);
      const std::lock_guard lock(report);
      if (progress) progress(so_far, total);
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 1; i < num_threads; ++i) threads.emplace_back(work);
  work();
}

const void* WeightStore::address(const GraphValue& weight, const Kernel& kernel, int input) const {
  const auto found = entries_.find(key(weight, kernel, input));
  CHECK(found != entries_.end() && found->second.address != nullptr, "{} is not loaded", weight.name);
  return found->second.address;
}

}  // namespace musaic
