#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/cost.h"
#include "program/explain/fold.h"
#include "program/explain/roof.h"
#include "program/passes/pass.h"

namespace musaic {

// Bytes moved, operations, and the time that a roof allows for them. Calls run one after another, each from
// and to memory.
struct Work {
  double weight_bytes = 0.0;  // as the chosen kernel's layout has them
  double state_bytes = 0.0;   // of the KV cache and other states
  double other_bytes = 0.0;   // inputs, temporaries, outputs
  double float_ops = 0.0;
  double int8_ops = 0.0;
  double seconds = 0.0;

  double bytes() const { return weight_bytes + state_bytes + other_bytes; }
  double ops() const { return float_ops + int8_ops; }
  Work& operator+=(const Work& other);
};

struct ExplainedNode {
  std::string op;
  std::string kernel;  // empty: a view, or none on this device
  bool is_view = false;
  bool has_kernel = false;
  std::vector<std::string> arguments;  // "%27: f32[64, 576]", "@model.norm.weight: f32[576]", "None"
  std::vector<std::string> results;    // outputs and what mutated arguments become
  std::string shape;                   // of the first result: "f32[64, 576]"
  size_t workspace_bytes = 0;
  Work work;
  int structure = 0;  // equal numbers: op, attributes and types are equal

  bool is_launch() const { return !is_view; }
};

struct ExplainedSegment {
  bool is_break = false;
  std::string reason;  // of a break
  int begin = 0;       // nodes [begin, end)
  int end = 0;
  bool is_recorded = false;  // a break that the device records with the piece behind it, all the same
  int structure = 0;  // equal numbers: the same calls, types and data flow; numbered as they first occur
  int launches = 0;
  Work work;
};

// Where a temporary or a workspace lies in the arena, and from which node to which.
struct Placement {
  std::string name;  // "%27", "workspace"
  int node = 0;      // that makes it
  size_t offset = 0;
  size_t bytes = 0;
  int first = 0;
  int last = 0;  // included
  bool is_workspace = false;
  int shares_with = 0;  // others that use some of its bytes at other times
};

struct MemoryMap {
  std::vector<Placement> placements;  // by first node, then offset
  size_t arena_bytes = 0;
  size_t separate_bytes = 0;       // what they would take without sharing
  std::vector<size_t> live_bytes;  // by node
  int peak_node = 0;               // at which most is alive

  size_t peak_bytes() const { return live_bytes.empty() ? 0 : live_bytes[static_cast<size_t>(peak_node)]; }
};

// An op without a kernel on the device.
struct MissingKernels {
  std::string op;
  int nodes = 0;
  bool has_decomposition = false;
};

// What is known of a program that runs.
struct CaptureState {
  std::vector<int> captured_buckets;
  size_t graph_bytes = 0;
  double capture_seconds = 0.0;
};

// One graph with the plan of one bucket, made readable: from the graph, its segments, the plan and the target
// alone.
struct Explanation {
  // What it is about.
  std::string model;       // "SmolLM2-135M-Instruct.Q4_1.gguf"
  std::string model_type;  // "llama"
  std::string device;      // "cpu"
  std::vector<std::string> features;
  std::string graph;  // "extend"
  std::string mode;   // "piecewise"
  int bucket = 0;
  std::string dimension;  // that the bucket binds: "tokens", "sequences", "rows"
  std::vector<int> buckets;
  StepExtent extent;
  Roof roof;

  // What it is made of.
  std::vector<ExplainedNode> nodes;
  std::vector<ExplainedSegment> segments;
  std::vector<Repeat> folded_segments;  // repeated stretches of segments, such as layers
  MemoryMap memory;
  size_t weight_bytes = 0;  // of all weights of the graph, each once, as the kernels' layouts have them
  std::vector<PassReport> passes;
  std::vector<MissingKernels> missing;
  std::optional<CaptureState> captured;
  int executable_budget = 0;  // live executables of captured pieces, of all programs; 0: no limit

  Work total() const;
  int num_pieces() const;
  int num_breaks() const;
  int num_piece_structures() const;
  int num_launches() const;        // of an eager step
  int launches_in_breaks() const;  // that are not recorded
  bool launches_together() const;  // the pieces of a step, with its breaks
  int executables() const;         // if all buckets are captured
  int submissions() const;         // of a replayed step
};

// Whether a break is captured, and why it is one.
std::string break_sentence(const ExplainedSegment& segment);

// A letter for the structure of a piece: A, B, ..., Z, AA.
std::string structure_letter(int structure);

}  // namespace musaic
