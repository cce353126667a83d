#pragma once

#include <cstddef>
#include <cstdint>

namespace musaic {

struct GpuOptions {
  int index = 0;
  // Live executables of captured graphs; 0: as many as there are graphs, -1: the vendor's limit.
  int executable_budget = -1;
  // Of the device's memory for live executables: fewer of them where it holds no more, but one at least.
  size_t graph_memory_budget = SIZE_MAX;
};

}  // namespace musaic
