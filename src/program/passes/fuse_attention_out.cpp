#include <fmt/format.h>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kAttention = "musaic::rope_attention";
constexpr const char* kLinear = "musaic::linear_add_";
constexpr const char* kFused = "musaic::attention_out_";
enum LinearInput { kResidual, kX, kWeight, kBias };

// Right behind attention stands the linear that alone reads its rows.
bool is_pair(const Graph& graph, const Uses& uses, int first) {
  if (first + 1 >= static_cast<int>(graph.nodes.size())) return false;
  const Node& attention = graph.nodes[first];
  const Node& linear = graph.nodes[first + 1];
  return attention.op == kAttention && linear.op == kLinear && linear.inputs[kX] == attention.outputs[0] &&
         uses.only_used_by(attention.outputs[0], first + 1);
}

// The fused op has no bias, and rounds its rows.
bool is_plain(const Node& linear) {
  const bool has_bias = linear.inputs.size() > kBias && linear.inputs[kBias] != kNoValue;
  return !has_bias && linear.attributes.get_bool("rounds_x");
}

std::vector<ValueId> inputs_of(const Node& attention, const Node& linear) {
  std::vector<ValueId> inputs = {linear.inputs[kResidual]};
  inputs.insert(inputs.end(), attention.inputs.begin(), attention.inputs.end());
  inputs.push_back(linear.inputs[kWeight]);
  return inputs;
}

bool is_supported(const Graph& graph, const Target& target, const Node& attention, const Node& linear) {
  std::vector<const Meta*> metas;
  for (ValueId id : inputs_of(attention, linear)) metas.push_back(&graph.values[id].meta);
  return supports(target, kFused, metas, attention.attributes);
}

}  // namespace

Graph fuse_attention_out(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kFused)) return graph;
  const Uses uses(graph);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& attention = graph.nodes[i];
    if (!is_pair(graph, uses, i)) {
      rewriter.copy(attention);
      continue;
    }
    const Node& linear = graph.nodes[i + 1];
    const bool fits = is_supported(graph, target, attention, linear);
    if (!fits || !is_plain(linear)) {
      report.leave(i, fits ? "the linear has a bias, or its rows are not rounded"
                           : missing_op(target, kFused) + " for these sizes");
      rewriter.copy(attention);
      continue;
    }
    std::vector<Value> inputs;
    for (ValueId id : inputs_of(attention, linear)) inputs.push_back(rewriter.map(id));
    const auto results = rewriter.builder().call(kFused, inputs, attention.attributes);
    rewriter.replace(linear.mutations[0].version, results[0]);
    rewriter.replace(attention.mutations[0].version, results[1]);
    rewriter.replace(attention.mutations[1].version, results[2]);
    report.did(i, fmt::format("{} + {} → {}", kAttention, kLinear, kFused));
    ++i;
  }
  return rewriter.finish();
}

}  // namespace musaic
