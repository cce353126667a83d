#include <fmt/format.h>

#include <map>
#include <set>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kExperts = "musaic::experts_fp8";
constexpr const char* kCombine = "musaic::moe_combine_norm_quant_fp8";
constexpr const char* kFused = "musaic::experts_norm_quant_fp8";

enum Combine { kX, kTokenRow, kWeights, kAddend, kResidual, kNormWeight };

// The experts whose results, both, are what is combined and nothing else; -1: there are none.
int experts_of(const Graph& graph, const Uses& uses, int combine) {
  const std::vector<ValueId>& inputs = graph.nodes[combine].inputs;
  const int experts = uses.sole_maker(inputs[kX], kExperts, combine);
  if (experts < 0 || inputs[kAddend] == kNoValue) return -1;
  if (graph.nodes[experts].outputs != std::vector<ValueId>{inputs[kX], inputs[kAddend]}) return -1;
  return uses.only_used_by(inputs[kX], combine) && uses.only_used_by(inputs[kAddend], combine) ? experts : -1;
}

std::vector<ValueId> fused_inputs(const Node& experts, const Node& combine) {
  std::vector<ValueId> inputs = experts.inputs;
  for (int input : {kTokenRow, kWeights, kResidual, kNormWeight}) inputs.push_back(combine.inputs[input]);
  return inputs;
}

bool is_supported(const Graph& graph, const Target& target, const std::vector<ValueId>& inputs,
                  const Attributes& attributes) {
  std::vector<const Meta*> metas;
  for (ValueId id : inputs) metas.push_back(&graph.values[id].meta);
  return supports(target, kFused, metas, attributes);
}

// By the combine's index.
std::map<int, int> find_pairs(const Graph& graph, const Target& target, PassReport& report) {
  const Uses uses(graph);
  std::map<int, int> pairs;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op != kCombine) continue;
    const int experts = experts_of(graph, uses, i);
    if (experts < 0) {
      report.leave(i, "what it combines is not made by one node, or read by others");
    } else if (!is_supported(graph, target, fused_inputs(graph.nodes[experts], node), node.attributes)) {
      report.leave(i, missing_op(target, kFused) + " for these sizes");
    } else {
      pairs.emplace(i, experts);
    }
  }
  return pairs;
}

}  // namespace

Graph fuse_experts_norm(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kFused)) return graph;
  const std::map<int, int> pairs = find_pairs(graph, target, report);
  std::set<int> fused_experts;
  for (const auto& [combine, experts] : pairs) fused_experts.insert(experts);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    const auto pair = pairs.find(i);
    if (pair == pairs.end()) {
      if (!fused_experts.contains(i)) rewriter.copy(node);
      continue;
    }
    std::vector<Value> values;
    for (ValueId id : fused_inputs(graph.nodes[pair->second], node)) values.push_back(rewriter.map(id));
    const auto results = rewriter.builder().call(kFused, values, node.attributes);
    rewriter.replace(node.outputs[0], results[0]);
    rewriter.replace(node.outputs[1], results[1]);
    rewriter.replace(node.mutations[0].version, results[2]);
    report.did(i, fmt::format("{} + {} → {}", kExperts, kCombine, kFused));
  }
  return rewriter.finish();
}

}  // namespace musaic
