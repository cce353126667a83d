#pragma once

namespace musaic {

struct GpuOptions {
  int index = 0;
  // Live executables of captured graphs; 0: as many as there are graphs, -1: the vendor's limit.
  int executable_budget = -1;
};

}  // namespace musaic
