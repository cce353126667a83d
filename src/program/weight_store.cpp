#include "program/weight_store.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "base/status.h"
#include "device/bulk_memory.h"

namespace musaic {
namespace {

constexpr size_t kLeastMappedBytes = 64 << 10;  // what the system maps around one read: less is copied
constexpr int64_t kRowsPerTask =
    256;  // that are packed: small enough to balance two threads, a multiple of every row alignment
constexpr size_t kBytesPerTask = size_t{4} << 20;  // that are copied: a piece on its way to a device
// A task's rows are a multiple: those that are made need their block of a weight.
constexpr int64_t kMadeRows = 128;
// More threads share the way to a device's memory, and do not widen it.
constexpr size_t kMostUploaders = 16;
// Less does not repay what it takes to page-lock the memory of one more.
constexpr size_t kBytesPerUploader = size_t{32} << 20;

// Rows [begin, end) one after the other.
void copy_rows(const WeightRows& rows, int64_t begin, int64_t end, std::byte* to) {
  int64_t first = 0;  // of the part
  for (const WeightRows::Part& part : rows.parts) {
    const int64_t from = std::max(begin - first, int64_t{0});
    const int64_t behind = std::min(end - first, part.rows);
    first += part.rows;
    if (from >= behind) continue;
    const size_t bytes = static_cast<size_t>(behind - from) * rows.row_bytes();
    std::memcpy(to, part.data + static_cast<size_t>(from) * rows.row_bytes(), bytes);
    to += bytes;
  }
}

struct PackedWeight {
  WeightRows rows;
  RowMaker make;                 // empty: `rows` have data
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

// Packs weights on several threads and gives back their mapped pages: who also reads one in place brings back
// what it reads. To a device that does not share the host's memory they go piece by piece: of one that is
// packed, the pieces of the whole.
class Packer {
 public:
  Packer(Backend& backend, const WeightReader& reader, const LoadProgress& progress)
      : backend_(backend), bulk_(bulk_memory(backend)), reader_(reader), progress_(progress) {}

  void add(const GraphValue& value, WeightRows rows, RowMaker make, const WeightPacking* packing,
           DeviceMemory& destination) {
    CHECK(packing == nullptr || !make, "{} is made and packed", value.name);
    auto& weight = *weights_.emplace_back(std::make_unique<PackedWeight>());
    weight.rows = std::move(rows);
    weight.make = std::move(make);
    weight.packing = packing;
    weight.destination = &destination;
    weight.value = &value;
    if (packing != nullptr) {
      CHECK(kRowsPerTask % packing->row_alignment == 0, "layout {} packs {} rows at once", packing->layout,
            packing->row_alignment);
      add_tasks(weight, 0, weight.rows.rows, kRowsPerTask);
    } else {
      add_copies(weight);
    }
    ++readers_[value.name];
  }
  // Throws what a thread threw.
  void run(int num_threads) {
    if (is_staged()) {
      const size_t worth = std::min(total_bytes_ / kBytesPerUploader + 1, kMostUploaders);
      num_threads = std::min(num_threads, static_cast<int>(worth));
    }
    {
      std::vector<std::jthread> threads;
      for (int i = 1; i < num_threads; ++i) threads.emplace_back([this] { work(); });
      work();
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void add_tasks(PackedWeight& weight, int64_t first, int64_t last, int64_t rows_of_task) {
    for (int64_t begin = first; begin < last; begin += rows_of_task) {
      tasks_.push_back({&weight, begin, std::min(begin + rows_of_task, last)});
      total_bytes_ += tasks_.back().bytes();
      piece_bytes_ = std::max(piece_bytes_, tasks_.back().bytes());
      ++weight.tasks_left;
    }
  }

  void add_copies(PackedWeight& weight) {
    const auto fit = static_cast<int64_t>(kBytesPerTask / weight.rows.row_bytes());
    int64_t first = 0;
    for (const WeightRows::Part& part : weight.rows.parts) {
      add_tasks(weight, first, first + part.rows, std::max(fit / kMadeRows, int64_t{1}) * kMadeRows);
      first += part.rows;
    }
  }

  void work() {
    try {
      std::unique_ptr<Uploader> uploader;
      if (is_staged() && next_ < tasks_.size()) uploader = bulk_->make_uploader(piece_bytes_);
      for (size_t i = next_++; i < tasks_.size(); i = next_++) {
        run_task(tasks_[i], uploader.get());
        done_bytes_ += tasks_[i].bytes();
        if (--tasks_[i].weight->tasks_left == 0) finish(*tasks_[i].weight, uploader.get());
      }
      if (uploader) uploader->finish();
    } catch (...) {
      next_ = tasks_.size();
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

  bool is_staged() const { return !backend_.reads_host_memory(); }

  std::byte* packed(PackedWeight& weight) const {
    if (!is_staged()) return static_cast<std::byte*>(weight.destination->data());
    std::call_once(weight.staging_allocated, [&] { weight.staging.resize(weight.destination->bytes()); });
    return weight.staging.data();
  }

  void run_task(const PackTask& task, Uploader* uploader) const {
    PackedWeight& weight = *task.weight;
    if (weight.packing != nullptr)
      return weight.packing->pack(weight.rows, task.begin, task.end, packed(weight));
    std::byte* destination = static_cast<std::byte*>(weight.destination->data()) +
                             static_cast<size_t>(task.begin) * weight.rows.row_bytes();
    std::byte* to = uploader ? uploader->room() : destination;
    if (weight.make) {
      weight.make(task.begin, task.end, to);
    } else {
      copy_rows(weight.rows, task.begin, task.end, to);
    }
    if (uploader) uploader->upload(destination, task.bytes());
  }

  void finish(PackedWeight& weight, Uploader* uploader) {
    if (!weight.staging.empty()) upload(weight, *uploader);
    const std::lock_guard lock(mutex_);
    if (--readers_[weight.value->name] == 0) reader_.release(*weight.value);
    if (progress_) progress_(done_bytes_, total_bytes_);
  }

  void upload(PackedWeight& weight, Uploader& uploader) const {
    auto* destination = static_cast<std::byte*>(weight.destination->data());
    for (size_t done = 0; done < weight.staging.size(); done += piece_bytes_) {
      const size_t bytes = std::min(piece_bytes_, weight.staging.size() - done);
      std::memcpy(uploader.room(), weight.staging.data() + done, bytes);
      uploader.upload(destination + done, bytes);
    }
    std::vector<std::byte>().swap(weight.staging);
  }

  Backend& backend_;
  const std::shared_ptr<BulkMemory> bulk_;
  const WeightReader& reader_;
  const LoadProgress& progress_;
  std::vector<std::unique_ptr<PackedWeight>> weights_;
  std::vector<PackTask> tasks_;
  size_t total_bytes_ = 0;
  size_t piece_bytes_ = 0;  // of the largest task
  std::atomic<size_t> next_{0};
  std::atomic<size_t> done_bytes_{0};
  std::mutex mutex_;                    // guards what follows, and the calls of release and progress
  std::map<std::string, int> readers_;  // by weight: layouts still to be packed
  std::exception_ptr error_;
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
    RowMaker make = reader.maker ? reader.maker(entry.weight) : RowMaker();
    if (entry.packing == nullptr && rows.parts.size() == 1 && may_stay && !make) {
      entry.address = rows.parts[0].data;
      mapped_bytes_ += file_bytes;
      continue;
    }
    const size_t bytes = packed_bytes(entry);
    entry.memory = backend_.allocate(bytes, "weights " + entry.weight.name);
    entry.address = entry.memory->data();
    bytes_ += bytes;
    packer.add(entry.weight, std::move(rows), std::move(make), entry.packing, *entry.memory);
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
