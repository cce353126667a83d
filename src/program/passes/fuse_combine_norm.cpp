#include <fmt/format.h>

#include <map>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kCombine = "musaic::moe_combine";
constexpr const char* kNorm = "musaic::add_rms_norm_quant_fp8";
constexpr const char* kFused = "musaic::moe_combine_norm_quant_fp8";

enum Norm { kX, kResidual, kWeight };

// By the norm's index, the combine that it alone reads, unless the normed rows are read in float too.
std::map<int, int> find_matches(const Graph& graph, PassReport& report) {
  const Uses uses(graph);
  std::map<int, int> matches;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& norm = graph.nodes[i];
    if (norm.op != kNorm) continue;
    const ValueId combined = norm.inputs[kX];
    const int combine = graph.values[combined].node;
    if (combine < 0 || graph.nodes[combine].op != kCombine) continue;
    if (!uses.of(norm.mutations[kX].version).empty()) {
      report.leave(i, "the normed rows are read in float too");
    } else if (uses.only_used_by(combined, i)) {
      matches.emplace(i, combine);
    }
  }
  return matches;
}

// The combine's four arguments, of which the last may be absent, and the norm's.
std::vector<ValueId> fused_inputs(const Node& combine, const Node& norm) {
  std::vector<ValueId> inputs = combine.inputs;
  inputs.resize(4, kNoValue);
  inputs.push_back(norm.inputs[kResidual]);
  inputs.push_back(norm.inputs[kWeight]);
  return inputs;
}

bool is_supported(const Graph& graph, const Target& target, const std::vector<ValueId>& inputs,
                  const Attributes& attributes) {
  std::vector<const Meta*> metas;
  for (ValueId id : inputs) metas.push_back(id == kNoValue ? nullptr : &graph.values[id].meta);
  return supports(target, kFused, metas, attributes);
}

}  // namespace

// The combine loses its last reader; remove_dead_code takes it away.
Graph fuse_combine_norm(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kFused)) return graph;
  const auto matches = find_matches(graph, report);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& norm = graph.nodes[i];
    const auto match = matches.find(i);
    const auto inputs =
        match == matches.end() ? std::vector<ValueId>() : fused_inputs(graph.nodes[match->second], norm);
    if (inputs.empty() || !is_supported(graph, target, inputs, norm.attributes)) {
      if (!inputs.empty()) report.leave(i, missing_op(target, kFused) + " for these types");
      rewriter.copy(norm);
      continue;
    }
    std::vector<Value> values;
    for (ValueId id : inputs) values.push_back(rewriter.map(id));
    const auto results = rewriter.builder().call(kFused, values, norm.attributes);
    rewriter.replace(norm.outputs[0], results[0]);
    rewriter.replace(norm.outputs[1], results[1]);
    rewriter.replace(norm.mutations[kResidual].version, results[2]);
    report.did(i, fmt::format("{} + {} → {}", kCombine, kNorm, kFused));
  }
  return rewriter.finish();
}

}  // namespace musaic
