#include "backends/simulated/live_memory.h"

namespace musaic {

uint64_t LiveMemory::add(const void* address, size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto start = reinterpret_cast<uintptr_t>(address);
  by_address_[start] = {++last_id_, bytes};
  address_of_[last_id_] = start;
  return last_id_;
}

void LiveMemory::remove(uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = address_of_.find(id);
  by_address_.erase(found->second);
  address_of_.erase(found);
}

uint64_t LiveMemory::find(const void* address, size_t bytes) const {
  const std::lock_guard lock(mutex_);
  const auto start = reinterpret_cast<uintptr_t>(address);
  auto after = by_address_.upper_bound(start);
  if (after == by_address_.begin()) return kNone;
  const auto& [base, allocation] = *--after;
  const size_t offset = start - base;
  return offset <= allocation.bytes && bytes <= allocation.bytes - offset ? allocation.id : kNone;
}

bool LiveMemory::is_live(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  return address_of_.contains(id);
}

}  // namespace musaic
