#include "runner/capture_schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "program/buckets.h"

namespace musaic {

std::string_view name(BucketState state) {
  switch (state) {
    case BucketState::kWaiting:
      return "waiting";
    case BucketState::kCaptured:
      return "captured";
    case BucketState::kOverBudget:
      return "over_memory_budget";
    case BucketState::kQuarantined:
      return "quarantined";
  }
  return "";
}

void CaptureSchedule::add(Program& program, std::span<const int> sizes) {
  for (int size : capture_order(sizes)) entries_.push_back({&program, size});
}

const CaptureSchedule::Entry* CaptureSchedule::find(const Program& program, int bucket) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.program == &program && entry.size == bucket;
  });
  return found == entries_.end() ? nullptr : &*found;
}

CaptureSchedule::Entry* CaptureSchedule::find(const Program& program, int bucket) {
  return const_cast<Entry*>(std::as_const(*this).find(program, bucket));
}

bool CaptureSchedule::capture_next() {
  for (Entry& entry : entries_) {
    if (entry.state != BucketState::kWaiting) continue;
    capture(entry);
    if (entry.state == BucketState::kCaptured) return true;
  }
  return false;
}

void CaptureSchedule::prepare(Program& program, int bucket) {
  Entry* entry = find(program, bucket);
  if (entry != nullptr && entry->state == BucketState::kWaiting) capture(*entry);
}

// Buckets of one program have the same launches, so the next one takes about what the largest so far took.
bool CaptureSchedule::has_room_for(const Program& program) const {
  size_t expected = 1;
  for (const Entry& entry : entries_) {
    if (entry.program == &program) expected = std::max(expected, entry.bytes);
  }
  return expected <= budget_bytes_ - bytes_;
}

void CaptureSchedule::capture(Entry& entry) {
  if (!has_room_for(*entry.program)) return set_state(entry, BucketState::kOverBudget, 0);
  const auto start = std::chrono::steady_clock::now();
  entry.program->capture(entry.size);
  const size_t bytes = entry.program->captured_bytes(entry.size);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  {
    const std::lock_guard lock(mutex_);
    seconds_ += seconds;
  }
  if (bytes <= budget_bytes_ - bytes_) return set_state(entry, BucketState::kCaptured, bytes);
  entry.program->release(entry.size);
  set_state(entry, BucketState::kOverBudget, 0);
}

void CaptureSchedule::quarantine(Program& program, int bucket) {
  Entry* entry = find(program, bucket);
  program.release(bucket);
  set_state(*entry, BucketState::kQuarantined, 0);
}

void CaptureSchedule::set_state(Entry& entry, BucketState state, size_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_ = bytes_ - entry.bytes + bytes;
  entry.state = state;
  entry.bytes = bytes;
}

StepChoice CaptureSchedule::choose(const Program& program, int bucket, bool may_pad) const {
  const Entry* entry = find(program, bucket);
  if (entry == nullptr) return {bucket, false, "not_captured"};
  if (entry->state == BucketState::kQuarantined) return {bucket, false, "quarantined"};
  if (entry->state != BucketState::kOverBudget) return {bucket, true, "bucket"};
  int larger = 0;
  for (const Entry& other : entries_) {
    const bool fits = other.program == &program && other.state == BucketState::kCaptured &&
                      other.size > bucket && other.size <= 2 * bucket;
    if (fits && (larger == 0 || other.size < larger)) larger = other.size;
  }
  if (larger == 0 || !may_pad) return {bucket, false, "over_memory_budget"};
  return {larger, true, "larger_bucket"};
}

std::vector<int> CaptureSchedule::nodes() const {
  std::vector<int> all;
  for (const Entry& entry : entries_)
    all.push_back(static_cast<int>(entry.program->plan(entry.size).nodes.size()));
  return all;
}

std::vector<int> CaptureSchedule::executables() const {
  std::vector<int> all;
  for (const Entry& entry : entries_) {
    const std::vector<int> nodes = entry.program->nodes_of_units(entry.size);
    all.insert(all.end(), nodes.begin(), nodes.end());
  }
  return all;
}

CaptureSchedule::Totals CaptureSchedule::totals() const {
  const std::lock_guard lock(mutex_);
  Totals totals{.buckets = static_cast<int>(entries_.size()), .bytes = bytes_, .seconds = seconds_};
  for (const Entry& entry : entries_) {
    totals.waiting += entry.state == BucketState::kWaiting;
    totals.captured += entry.state == BucketState::kCaptured;
  }
  return totals;
}

std::vector<BucketStatus> CaptureSchedule::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<BucketStatus> list;
  for (const Entry& entry : entries_)
    list.push_back({entry.program->graph().name, entry.size, entry.state, entry.bytes});
  return list;
}

std::string names_in_state(std::span<const BucketStatus> buckets, BucketState state) {
  std::map<std::string, std::vector<int>> sizes;
  for (const BucketStatus& bucket : buckets) {
    if (bucket.state == state) sizes[bucket.graph].push_back(bucket.size);
  }
  std::string text;
  for (auto& [graph, list] : sizes) {
    std::sort(list.begin(), list.end());
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", graph, fmt::join(list, " "));
  }
  return text;
}

}  // namespace musaic
