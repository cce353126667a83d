#include <fmt/format.h>

#include <map>

#include "program/passes/fp8_quantization.h"
#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kAddNorm = "sgl_kernel::fused_add_rmsnorm";
constexpr const char* kFused = "musaic::add_rms_norm_quant_fp8";
constexpr int kExtraAddend = 3;  // of kAddNorm

// By the norm's index, the quantization of its rows.
std::map<int, int> find_matches(const Graph& graph, PassReport& report) {
  std::map<int, int> matches;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    if (!is_plain_fp8_quantization(graph, node)) continue;
    const ValueId normed = node.inputs[0];
    const int norm = graph.values[normed].node;
    if (norm < 0 || graph.nodes[norm].op != kAddNorm || graph.nodes[norm].mutations[0].version != normed)
      continue;
    if (graph.nodes[norm].inputs[kExtraAddend] != kNoValue) {
      report.leave(norm, "a third addend has no fused op");
    } else {
      matches.emplace(norm, i);
    }
  }
  return matches;
}

}  // namespace

// The rows that were to be written lose their writer; remove_dead_code takes them away.
Graph fuse_norm_quant_fp8(const Graph& graph, const Target& target, PassReport& report) {
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
    std::vector<Value> inputs;
    for (int input = 0; input < kExtraAddend; ++input) inputs.push_back(rewriter.map(norm.inputs[input]));
    if (!supports(target, kFused, inputs, norm.attributes)) {
      report.leave(i, missing_op(target, kFused));
      rewriter.copy(norm);
      continue;
    }
    const auto results = rewriter.builder().call(kFused, inputs, norm.attributes);
    const Node& quantization = graph.nodes[match->second];
    size_t next = 0;
    for (const Node* node : {&quantization, &norm}) {
      for (const Mutation& mutation : node->mutations) rewriter.replace(mutation.version, results[next++]);
    }
    done[match->second] = true;
    report.did(i, fmt::format("{} + {} → {}", norm.op, quantization.op, kFused));
  }
  return rewriter.finish();
}

}  // namespace musaic
