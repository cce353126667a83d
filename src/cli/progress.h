#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace musaic {

enum class ProgressUnit { kItems, kBytes };

// "loading weights [#####    ]  50 %, 7.9 of 15.7 GB, 1.2 s left": what a bar shows after so many seconds.
std::string progress_line(const std::string& what, ProgressUnit unit, size_t done, size_t total,
                          double seconds);

// Progress on standard error: a bar on a terminal, otherwise nothing but what the log says. Thread-safe only
// as its caller makes it.
class LoadBar {
 public:
  LoadBar(std::string what, bool enabled, ProgressUnit unit = ProgressUnit::kItems);

  void show(size_t done, size_t total);
  // Clears the bar.
  void finish();

 private:
  std::string what_;
  bool enabled_;
  ProgressUnit unit_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
  bool shown_ = false;
};

}  // namespace musaic
