#include "call_counts.h"

#include <cstring>

#include "musa_shim.h"

namespace musa_shim {
namespace {

std::atomic<CallCount*>& first_count() {
  static std::atomic<CallCount*> first{nullptr};
  return first;
}

}  // namespace

CallCount::CallCount(const char* name) : name_(name), next_(first_count().load()) {
  while (!first_count().compare_exchange_weak(next_, this)) {
  }
}

uint64_t CallCount::of(const char* name) {
  for (const CallCount* count = first_count().load(); count != nullptr; count = count->next_) {
    if (std::strcmp(count->name_, name) == 0) return count->count_.load();
  }
  return 0;
}

uint64_t num_calls(const char* name) {
  return CallCount::of(name);
}

}  // namespace musa_shim
