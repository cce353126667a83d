#pragma once

#include <cstdint>

namespace musaic {

// Executables of captured graphs on a device whose driver allows only so many at a time.
struct GraphExecutables {
  int budget = 0;  // 0: each graph keeps its own
  int graphs = 0;  // that can be replayed
  int live = 0;
  uint64_t rotations = 0;  // replays that took the executable of another graph first
  double rotation_seconds = 0.0;
};

}  // namespace musaic
