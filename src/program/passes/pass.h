#pragma once

#include <span>
#include <string>
#include <vector>

#include "program/target.h"

namespace musaic {

// The same remark about one or more nodes.
struct PassNote {
  std::string text;
  int first_node;  // of the graph that the pass was given
  int count;
};

std::string to_string(const PassNote& note);  // "30 times, first at node 12: ..."

// What one pass did to one graph.
struct PassReport {
  std::string name;
  bool enabled = true;
  int rewrites = 0;
  double milliseconds = 0.0;         // rewriting
  double verify_milliseconds = 0.0;  // of the result; nothing to verify where nothing was rewritten
  std::vector<PassNote> done;        // what it did or found
  std::vector<PassNote> left;        // what it left alone and why

  void did(int node, const std::string& text);    // one rewrite
  void found(int node, const std::string& text);  // nothing was rewritten
  void leave(int node, const std::string& text);
};

struct Pass {
  const char* name;  // of --disable-pass
  Graph (*run)(const Graph& graph, const Target& target, PassReport& report);
};

// In the order in which they run. `quantize`: whether activations may be quantized for quantized weights, and
// rounded for bf16 ones.
std::vector<Pass> passes_for(bool quantize);
std::vector<std::string> pass_names();

// Runs the passes that are not disabled and verifies the graph after each; a broken graph is our bug (CHECK).
std::vector<PassReport> run_passes(Graph& graph, const Target& target, std::span<const Pass> passes,
                                   std::span<const std::string> disabled);

// Whether the device has any kernel of that op, for whatever types. A pass for ops that only some devices
// bring has nothing to say about the others.
bool has_kernels(const Target& target, std::string_view op);

// The passes, one file each.
Graph quantize_linear(const Graph& graph, const Target& target, PassReport& report);
Graph merge_projections(const Graph& graph, const Target& target, PassReport& report);
Graph fold_views(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_swiglu(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_moe(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_add_rms_norm(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_linear_add(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_norm_linear(const Graph& graph, const Target& target, PassReport& report);
Graph round_linear(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_norm_quantize(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_norm_quant_fp8(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_norm_route(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_combine_norm(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_swiglu_quantize(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_experts(const Graph& graph, const Target& target, PassReport& report);
Graph join_experts(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_experts_norm(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_absorbed_values(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_expanded_quantize(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_norm_latent_write(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_mla_decode(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_rope_kv_write(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_rope_attention(const Graph& graph, const Target& target, PassReport& report);
Graph fuse_attention_out(const Graph& graph, const Target& target, PassReport& report);
Graph remove_dead_code(const Graph& graph, const Target& target, PassReport& report);
Graph find_equal_pieces(const Graph& graph, const Target& target, PassReport& report);

}  // namespace musaic
