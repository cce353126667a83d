#include <fmt/format.h>

#include <map>
#include <set>

#include "ops/experts_fp8/experts_fp8.h"
#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

using namespace experts_down;

constexpr const char* kGateUp = "musaic::experts_gate_up_fp8";
constexpr const char* kDown = "musaic::experts_down_fp8";
constexpr const char* kBoth = "musaic::experts_fp8";

// The gate and up of whose rows, all four, the down is made and nothing else; -1: there is none.
int gate_up_of(const Graph& graph, const Uses& uses, int down) {
  const std::vector<ValueId>& inputs = graph.nodes[down].inputs;
  const int gate_up = uses.sole_maker(inputs[kQ], kGateUp, down);
  if (gate_up < 0) return -1;
  const std::vector<ValueId> rows = {inputs[kQ], inputs[kScale], inputs[kSharedQ], inputs[kSharedRowScale]};
  if (graph.nodes[gate_up].outputs != rows) return -1;
  for (ValueId id : rows) {
    if (!uses.only_used_by(id, down)) return -1;
  }
  return gate_up;
}

// Those of gate and up, and down's weights.
std::vector<ValueId> joined_inputs(const Node& gate_up, const Node& down) {
  std::vector<ValueId> inputs = gate_up.inputs;
  for (int input : {kWeight, kWeightScale, kShared, kSharedScale}) inputs.push_back(down.inputs[input]);
  return inputs;
}

bool is_supported(const Graph& graph, const Target& target, const std::vector<ValueId>& inputs) {
  std::vector<const Meta*> metas;
  for (ValueId id : inputs) metas.push_back(&graph.values[id].meta);
  return supports(target, kBoth, metas, {});
}

// By down's index.
std::map<int, int> find_pairs(const Graph& graph, const Target& target, PassReport& report) {
  const Uses uses(graph);
  std::map<int, int> pairs;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (graph.nodes[i].op != kDown) continue;
    const int gate_up = gate_up_of(graph, uses, i);
    if (gate_up < 0) {
      report.leave(i, "its rows are not made, or not read, by one node");
    } else if (!is_supported(graph, target, joined_inputs(graph.nodes[gate_up], graph.nodes[i]))) {
      report.leave(i, missing_op(target, kBoth) + " for these sizes");
    } else {
      pairs.emplace(i, gate_up);
    }
  }
  return pairs;
}

}  // namespace

Graph join_experts(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kBoth)) return graph;
  const std::map<int, int> pairs = find_pairs(graph, target, report);
  std::set<int> gate_ups;
  for (const auto& [down, gate_up] : pairs) gate_ups.insert(gate_up);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    const auto pair = pairs.find(i);
    if (pair == pairs.end()) {
      if (!gate_ups.contains(i)) rewriter.copy(node);
      continue;
    }
    std::vector<Value> values;
    for (ValueId id : joined_inputs(graph.nodes[pair->second], node)) values.push_back(rewriter.map(id));
    const auto results = rewriter.builder().call(kBoth, values);
    for (size_t output = 0; output < results.size(); ++output)
      rewriter.replace(node.outputs[output], results[output]);
    report.did(i, fmt::format("{} + {} → {}", kGateUp, kDown, kBoth));
  }
  return rewriter.finish();
}

}  // namespace musaic
