#pragma once

#include <span>
#include <string>
#include <vector>

#include "program/target.h"

namespace musaic {

// What one pass did to one graph.
struct PassReport {
  std::string name;
  bool enabled = true;
  int rewrites = 0;
  double milliseconds = 0.0;
  std::vector<std::string> notes;  // what it left alone and why
};

struct Pass {
  const char* name;  // of --disable-pass
  Graph (*run)(const Graph& graph, const Target& target, PassReport& report);
};

// In the order in which they run. `quantize`: whether activations may be quantized for quantized weights.
std::vector<Pass> passes_for(bool quantize);
std::vector<std::string> pass_names();

// Runs the passes that are not disabled and verifies the graph after each; a broken graph is our bug (CHECK).
std::vector<PassReport> run_passes(Graph& graph, const Target& target, std::span<const Pass> passes,
                                   std::span<const std::string> disabled);

// The passes, one file each.
Graph fuse_add_rms_norm(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_swiglu(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_rope_kv_write(const Graph& graph, const Target& target, PassReport& report);
Graph quantize_linear(const Graph& graph, const Target& target, PassReport& report);
Graph remove_dead_code(const Graph& graph, const Target& target, PassReport& report);

}  // namespace musaic
