#pragma once

#include <string>
#include <vector>

#include "cli/graph_request.h"
#include "formats/json.h"
#include "runner/graph_runner.h"

namespace musaic {

// What the device, the model and other flags allow.
struct GraphFacts {
  std::string device = "cpu";
  bool whole_extend = true;  // attention can be recorded inside a piece
  bool whole_decode = true;
  int context_length = 2048;
  int max_step_tokens = 512;     // prompt tokens in one step: the chunk
  int default_graph_tokens = 0;  // of the largest captured prefill step where no flag says; 0: the step's
  int max_running_requests = 64;
  bool quantizes_activations = true;       // a pass does
  int executable_budget = 0;               // live executables of graphs in force; 0: each graph keeps its own
  bool memory_limits_executables = false;  // to so many, by --graph-memory-budget
};

// One line of the table: what was asked by which flag, what is in force, and why.
struct GraphSetting {
  std::string name;   // "prefill mode"
  std::string asked;  // empty: nothing
  std::string flag;
  std::string in_force;
  std::string why;
};

struct PhaseGraphs {
  GraphMode mode = GraphMode::kPiecewise;
  std::vector<int> sizes;  // captured; empty: none
  int max_size = 0;
};

struct ResolvedGraphs {
  PhaseGraphs decode, prefill;
  bool pad_decode = true;
  CaptureTime capture = CaptureTime::kLazy;
  size_t memory_budget = SIZE_MAX;
  double verify_share = 0.0;
  std::vector<GraphSetting> table;
};

// The one place where all graph flags are resolved. What is asked is kept as far as the facts allow it; no
// flag changes a fact.
ResolvedGraphs resolve_graphs(const GraphRequest& request, const GraphFacts& facts);

// The table as lines of equal columns, a heading first.
std::vector<std::string> table_lines(const std::vector<GraphSetting>& table);
Json to_json(const std::vector<GraphSetting>& table);
// Under SGLang's names.
Json graph_config_json(const ResolvedGraphs& graphs);
// Writes what the table says into the runner's options.
void apply(const ResolvedGraphs& graphs, GraphRunnerOptions& options);

}  // namespace musaic
