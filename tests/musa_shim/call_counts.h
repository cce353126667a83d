#pragma once

#include <atomic>
#include <cstdint>

namespace musa_shim {

// Counts the calls of one function of the runtime; made once a function, never destroyed before the process
// ends.
class CallCount {
 public:
  explicit CallCount(const char* name);

  void add() { count_.fetch_add(1, std::memory_order_relaxed); }
  static uint64_t of(const char* name);

 private:
  const char* name_;
  std::atomic<uint64_t> count_{0};
  CallCount* next_;
};

}  // namespace musa_shim

// The first line of every function of the runtime.
#define MUSA_SHIM_COUNT_CALL()                         \
  static musa_shim::CallCount call_count_of(__func__); \
  call_count_of.add()
