#include <fmt/format.h>

#include <map>

#include "program/passes/fp8_quantization.h"
#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kAttention = "musaic::mla_absorbed_attention";
constexpr const char* kExpand = "musaic::mla_expand_values";
constexpr const char* kFused = "musaic::mla_absorbed_values_fp8";

struct Match {
  int attention;
  int expand;
};

// By the quantization's index.
std::map<int, Match> find_matches(const Graph& graph) {
  const Uses uses(graph);
  std::map<int, Match> matches;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& quantization = graph.nodes[i];
    if (!is_plain_fp8_quantization(graph, quantization)) continue;
    const int expand = uses.sole_maker(quantization.inputs[0], kExpand, i);
    if (expand < 0) continue;
    const int attention = uses.sole_maker(graph.nodes[expand].inputs[0], kAttention, expand);
    if (attention >= 0) matches.emplace(i, Match{attention, expand});
  }
  return matches;
}

std::vector<ValueId> fused_inputs(const Node& attention, const Node& expand) {
  std::vector<ValueId> inputs = attention.inputs;
  inputs.insert(inputs.end(), expand.inputs.begin() + 1, expand.inputs.end());
  return inputs;
}

}  // namespace

// The fused node stands where attention was, since later writes to the cache are not its business. What it
// replaces loses its readers; remove_dead_code takes it away.
Graph fuse_absorbed_values(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kFused)) return graph;
  std::map<int, int> quantizations;  // by attention's index
  const auto matches = find_matches(graph);
  for (const auto& [quantization, match] : matches) quantizations.emplace(match.attention, quantization);
  std::vector<bool> is_fused(graph.nodes.size(), false);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (is_fused[i]) continue;
    const Node& attention = graph.nodes[i];
    const auto found = quantizations.find(i);
    if (found == quantizations.end()) {
      rewriter.copy(attention);
      continue;
    }
    const Match& match = matches.at(found->second);
    const Node& expand = graph.nodes[match.expand];
    Attributes attributes = attention.attributes;
    attributes.set("v_head_dim", expand.attributes.get_int("v_head_dim"));
    std::vector<Value> inputs;
    for (ValueId id : fused_inputs(attention, expand)) inputs.push_back(rewriter.map(id));
    if (!supports(target, kFused, inputs, attributes)) {
      report.leave(i, missing_op(target, kFused) + " for these sizes");
      rewriter.copy(attention);
      continue;
    }
    const auto results = rewriter.builder().call(kFused, inputs, attributes);
    const Node& quantization = graph.nodes[found->second];
    for (size_t k = 0; k < quantization.mutations.size(); ++k)
      rewriter.replace(quantization.mutations[k].version, results[k]);
    is_fused[match.expand] = is_fused[found->second] = true;
    report.did(i, fmt::format("{} + {} + {} → {}", kAttention, kExpand, quantization.op, kFused));
  }
  return rewriter.finish();
}

}  // namespace musaic
