#pragma once

#include <chrono>
#include <thread>

namespace musaic {

// Waits up to five seconds for the condition.
template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace musaic
