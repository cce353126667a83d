#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace musaic {

// Progress on standard error: a bar on a terminal, otherwise nothing but what the log says. Thread-safe only
// as its caller makes it.
class LoadBar {
 public:
  LoadBar(std::string what, bool enabled);

  void show(size_t done, size_t total);
  // Clears the bar.
  void finish();

 private:
  std::string what_;
  bool enabled_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
  bool shown_ = false;
};

}  // namespace musaic
