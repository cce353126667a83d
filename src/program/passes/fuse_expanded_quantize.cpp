#include <fmt/format.h>

#include <map>

#include "program/passes/fp8_quantization.h"
#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kAttention = "musaic::mla_expanded_attention";
constexpr const char* kFused = "musaic::mla_expanded_attention_fp8";

// Quantizations that alone read what attention gives, by attention's index.
std::map<int, int> find_quantizations(const Graph& graph) {
  const Uses uses(graph);
  std::map<int, int> quantizations;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (!is_plain_fp8_quantization(graph, graph.nodes[i])) continue;
    const int attention = uses.sole_maker(graph.nodes[i].inputs[0], kAttention, i);
    if (attention >= 0) quantizations.emplace(attention, i);
  }
  return quantizations;
}

}  // namespace

// The fused node stands where attention was, since later writes to the cache are not its business. The rows
// that the quantization filled lose their readers; remove_dead_code takes them away.
Graph fuse_expanded_quantize(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kFused)) return graph;
  const std::map<int, int> quantizations = find_quantizations(graph);
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
    std::vector<Value> inputs;
    for (ValueId id : attention.inputs) inputs.push_back(rewriter.map(id));
    if (!supports(target, kFused, inputs, attention.attributes)) {
      report.leave(i, missing_op(target, kFused) + " for these sizes");
      rewriter.copy(attention);
      continue;
    }
    const auto results = rewriter.builder().call(kFused, inputs, attention.attributes);
    const Node& quantization = graph.nodes[found->second];
    for (size_t k = 0; k < quantization.mutations.size(); ++k)
      rewriter.replace(quantization.mutations[k].version, results[k]);
    is_fused[found->second] = true;
    report.did(i, fmt::format("{} + {} → {}", kAttention, quantization.op, kFused));
  }
  return rewriter.finish();
}

}  // namespace musaic
