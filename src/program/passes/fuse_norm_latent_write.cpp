#include <fmt/format.h>

#include <map>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kNorm = "aten::rms_norm";
constexpr const char* kWrite = "musaic::rope_latent_write";
constexpr const char* kFused = "musaic::norm_latent_write";
constexpr size_t kLatent = 1;

// By the write's index, the norm that it alone reads.
std::map<int, int> find_matches(const Graph& graph) {
  const Uses uses(graph);
  std::map<int, int> matches;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (graph.nodes[i].op != kWrite) continue;
    const ValueId normed = graph.nodes[i].inputs[kLatent];
    const int norm = uses.sole_maker(normed, kNorm, i);
    if (norm >= 0 && !is_written_between(graph, graph.nodes[norm].inputs[0], norm, i))
      matches.emplace(i, norm);
  }
  return matches;
}

}  // namespace

// The norm loses its last reader; remove_dead_code takes it away.
Graph fuse_norm_latent_write(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kFused)) return graph;
  const auto matches = find_matches(graph);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& write = graph.nodes[i];
    const auto match = matches.find(i);
    if (match == matches.end()) {
      rewriter.copy(write);
      continue;
    }
    const Node& norm = graph.nodes[match->second];
    std::vector<Value> inputs;
    for (ValueId id : write.inputs) inputs.push_back(rewriter.map(id));
    inputs[kLatent] = rewriter.map(norm.inputs[0]);
    inputs.push_back(rewriter.map(norm.inputs[1]));
    Attributes attributes = write.attributes;
    attributes.set("eps", norm.attributes.get_float("eps"));
    if (!supports(target, kFused, inputs, attributes)) {
      report.leave(i, missing_op(target, kFused) + " for these types");
      rewriter.copy(write);
      continue;
    }
    const auto results = rewriter.builder().call(kFused, inputs, attributes);
    for (size_t k = 0; k < write.mutations.size(); ++k)
      rewriter.replace(write.mutations[k].version, results[k]);
    report.did(i, fmt::format("{} + {} → {}", kNorm, kWrite, kFused));
  }
  return rewriter.finish();
}

}  // namespace musaic
