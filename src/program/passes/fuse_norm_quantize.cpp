#include <fmt/format.h>

#include <map>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kNorm = "aten::rms_norm";
constexpr const char* kAddNorm = "sgl_kernel::fused_add_rmsnorm";
constexpr const char* kFusedNorm = "musaic::rms_norm_quantize_q8";
constexpr const char* kFusedAddNorm = "musaic::add_rms_norm_quantize_q8";
constexpr int kExtraAddend = 3;  // of kAddNorm

// quantize_q8 of what a norm gives: by the norm's index, the quantize's.
std::map<int, int> find_matches(const Graph& graph, PassReport& report) {
  const Uses uses(graph);
  std::map<int, int> matches;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (graph.nodes[i].op != "musaic::quantize_q8") continue;
    const ValueId normed = graph.nodes[i].inputs[0];
    const int norm = graph.values[normed].node;
    if (norm < 0) continue;
    const Node& node = graph.nodes[norm];
    if (node.op != kNorm && (node.op != kAddNorm || node.mutations[0].version != normed)) continue;
    if (!uses.only_used_by(normed, i)) {
      report.leave(norm, "the normed rows are read in float too");
    } else if (node.op == kAddNorm && node.inputs[kExtraAddend] != kNoValue) {
      report.leave(norm, "a third addend has no fused op");
    } else {
      matches.emplace(norm, i);
    }
  }
  return matches;
}

}  // namespace

Graph fuse_norm_quantize(const Graph& graph, const Target& target, PassReport& report) {
  const auto matches = find_matches(graph, report);
  Rewriter rewriter(target.registry, graph);
  std::vector<bool> done(graph.nodes.size(), false);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (done[i]) continue;
    const Node& norm = graph.nodes[i];
    const auto match = matches.find(i);
    if (match == matches.end()) {
      rewriter.copy(norm);
      continue;
    }
    const bool adds = norm.op == kAddNorm;
    const char* fused = adds ? kFusedAddNorm : kFusedNorm;
    std::vector<Value> inputs;
    for (int input = 0; input < (adds ? kExtraAddend : 2); ++input)
      inputs.push_back(rewriter.map(norm.inputs[input]));
    if (!supports(target, fused, inputs, norm.attributes)) {
      report.leave(i, missing_op(target, fused));
      rewriter.copy(norm);
      continue;
    }
    const auto results = rewriter.builder().call(fused, inputs, norm.attributes);
    const Node& quantize = graph.nodes[match->second];
    for (size_t k = 0; k < quantize.outputs.size(); ++k) rewriter.replace(quantize.outputs[k], results[k]);
    if (adds) rewriter.replace(norm.mutations[1].version, results[quantize.outputs.size()]);
    done[match->second] = true;
    report.did(i, fmt::format("{} + {} → {}", norm.op, quantize.op, fused));
  }
  return rewriter.finish();
}

}  // namespace musaic
