#pragma once

#include <atomic>
#include <list>

#include "backends/gpu/gpu_stream.h"
#include "device/graph_executables.h"
#include "gpu_runtime.h"

namespace musaic {

class GpuGraph;

// What one executable takes of the device. The driver gives memory to several at a time and keeps what was
// freed, so that the share of one cannot be read off: this is the mean of 1,332 on an H200 (driver 580).
inline constexpr size_t kExecutableBytes = 144 << 10;
// By its launches: 1,852 executables of about 6 took 236 MiB, 112 of 155 to 182 launches 46 MiB (H100, driver
// 580).
inline size_t bytes_of_executable(int launches) {
  return (size_t{126} << 10) + static_cast<size_t>(launches) * 1792;
}

// The driver's live executables, no more than a budget of them. A graph beyond it waits without one; its
// replay takes the one of a graph that was not used for long, of the same shape if there is one, so that the
// driver need only rewrite it; otherwise it is made anew. Engine thread only, but for totals and num_made.
class GpuExecutables {
 public:
  // `budget` 0: every graph has its own from its capture on.
  GpuExecutables(GpuStream& stream, int budget) : stream_(stream), budget_(budget) {}

  bool has_budget() const { return budget_ > 0; }
  // The graph's first executable, if the budget has room. Throws LoadError if the driver has none.
  void add(GpuGraph& graph);
  void remove(GpuGraph& graph);
  // Before each launch: the graph has an executable and is the one used last.
  void use(GpuGraph& graph);

  GraphExecutables totals() const;  // any thread
  uint64_t num_made() const { return num_made_; }

 private:
  gpuError_t make(GpuGraph& graph);
  GpuGraph& choose_giver(const GpuGraph& graph) const;
  void rotate(GpuGraph& graph);
  bool rewrite(GpuGraph& from, GpuGraph& to);
  void wait_for(const GpuGraph& graph);
  void end(GpuGraph& graph);
  bool is_full(gpuError_t error) const;
  void lower_budget();

  GpuStream& stream_;
  std::list<GpuGraph*> live_;  // used longest ago first
  std::atomic<int> budget_;    // lowered when the driver allows fewer
  std::atomic<int> num_graphs_{0};
  std::atomic<int> num_live_{0};
  std::atomic<uint64_t> num_made_{0};
  std::atomic<uint64_t> rotations_{0};
  std::atomic<double> rotation_seconds_{0.0};
};

}  // namespace musaic
