#pragma once

#include <string>
#include <utility>
#include <vector>

#include "device/capabilities.h"

namespace musaic {

// What this machine's processor can do at most, measured: what a kernel's speed is compared with.
struct MachineLimits {
  int num_threads = 0;
  double read_bytes_per_second = 0.0;  // streaming reads of memory far larger than the caches
  double float_ops_per_second = 0.0;   // float32 multiply-adds, two operations each
  // int8 multiply-adds, two operations each, by how they are done: "avx2" (16-bit products), "avx512",
  // "avx512_vnni"; slowest instruction set first.
  std::vector<std::pair<std::string, double>> int8_ops_per_second;

  double best_int8_ops_per_second() const;
};

struct MachineLimitOptions {
  int num_threads = 1;
  double seconds_a_measurement = 0.05;
  int repetitions = 5;  // the median counts
  size_t read_bytes = size_t{512} << 20;
};

// Measures with the instruction sets among `capabilities`. REQUIRES: it has "avx2"; nothing else runs.
MachineLimits measure_machine_limits(const Capabilities& capabilities, const MachineLimitOptions& options);

}  // namespace musaic
