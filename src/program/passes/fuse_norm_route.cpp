#include <fmt/format.h>

#include <map>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kNorm = "musaic::add_rms_norm_quant_fp8";
constexpr const char* kLinear = "aten::linear";
constexpr const char* kChoice = "musaic::moe_gate_route";
constexpr const char* kFused = "musaic::add_norm_route_fp8";

enum Norm { kX, kResidual, kWeight };
enum Linear { kInput, kRouter, kBias };

// By the norm's index: the router that alone reads its rows, and the choice that alone reads the router's.
struct Match {
  int router;
  int choice;
};

std::map<int, Match> find_matches(const Graph& graph) {
  const Uses uses(graph);
  std::map<int, Match> matches;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (graph.nodes[i].op != kChoice) continue;
    const int router = uses.sole_maker(graph.nodes[i].inputs[0], kLinear, i);
    if (router < 0 || graph.nodes[router].inputs[kBias] != kNoValue) continue;
    const ValueId rows = graph.nodes[router].inputs[kInput];
    const int norm = graph.values[rows].node;
    if (norm >= 0 && graph.nodes[norm].op == kNorm && graph.nodes[norm].mutations[kX].version == rows &&
        uses.only_used_by(rows, router))
      matches.emplace(norm, Match{router, i});
  }
  return matches;
}

class NormRouteFuser {
 public:
  NormRouteFuser(const Graph& graph, const Target& target, PassReport& report)
      : graph_(graph), target_(target), report_(report), rewriter_(target.registry, graph) {}

  Graph run() {
    const auto matches = find_matches(graph_);
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      if (is_fused_[i]) continue;
      const auto match = matches.find(i);
      if (match == matches.end() || !fuse(i, match->second)) rewriter_.copy(graph_.nodes[i]);
    }
    return rewriter_.finish();
  }

 private:
  bool fuse(int index, const Match& match) {
    const Node &norm = graph_.nodes[index], &choice = graph_.nodes[match.choice];
    std::vector<Value> inputs;
    for (ValueId id : norm.inputs) inputs.push_back(rewriter_.map(id));
    inputs.push_back(rewriter_.map(graph_.nodes[match.router].inputs[kRouter]));
    Attributes attributes = choice.attributes;
    attributes.set("eps", norm.attributes.get_float("eps"));
    if (!supports(target_, kFused, inputs, attributes)) {
      report_.leave(index, missing_op(target_, kFused) + " for these sizes");
      return false;
    }
    const auto results = rewriter_.builder().call(kFused, inputs, attributes);
    size_t next = 0;
    for (const Node* node : {&norm, &choice}) {
      for (ValueId id : node->outputs) rewriter_.replace(id, results[next++]);
    }
    rewriter_.replace(norm.mutations[kResidual].version, results[next]);
    is_fused_[match.router] = is_fused_[match.choice] = true;
    report_.did(index, fmt::format("{} + {} + {} → {}", kNorm, kLinear, kChoice, kFused));
    return true;
  }

  const Graph& graph_;
  const Target& target_;
  PassReport& report_;
  Rewriter rewriter_;
  std::vector<bool> is_fused_ = std::vector<bool>(graph_.nodes.size(), false);
};

}  // namespace

Graph fuse_norm_route(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kFused)) return graph;
  return NormRouteFuser(graph, target, report).run();
}

}  // namespace musaic
