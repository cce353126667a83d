#include <fmt/format.h>

#include <map>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kFused = "musaic::linear_add_";

// y = linear(x, …); sum = add(residual, y): the product is added in place of the residual.
struct Match {
  int linear;
  ValueId residual;
};

// The sum may be written over a value that nobody reads afterwards and whose memory nobody else sees.
bool may_overwrite(const Graph& graph, const Uses& uses, ValueId id, int add) {
  const GraphValue& value = graph.values[id];
  return value.kind == ValueKind::kNode && value.meta.is_contiguous() && uses.owns_storage_alone(id) &&
         !uses.of(id).empty() && uses.of(id).back() == add;
}

bool is_supported(const Graph& graph, const Target& target, const Match& match) {
  std::vector<const Meta*> metas = {&graph.values[match.residual].meta};
  for (ValueId id : graph.nodes[match.linear].inputs)
    metas.push_back(id == kNoValue ? nullptr : &graph.values[id].meta);
  return supports(target, kFused, metas, {});
}

// The linear whose product `add` alone reads as its operand `operand`.
int linear_of(const Graph& graph, const Uses& uses, int add, int operand) {
  return uses.sole_maker(graph.nodes[add].inputs[operand], "aten::linear", add);
}

std::map<int, Match> find_matches(const Graph& graph, const Target& target, PassReport& report) {
  const Uses uses(graph);
  std::map<int, Match> matches;  // by the add's index
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (graph.nodes[i].op != "aten::add") continue;
    for (int operand : {1, 0}) {
      const Match match{linear_of(graph, uses, i, operand), graph.nodes[i].inputs[1 - operand]};
      if (match.linear < 0) continue;
      if (!may_overwrite(graph, uses, match.residual, i)) {
        report.leave(i, "the other operand is still read or shared, so it cannot be overwritten");
      } else if (is_written_between(graph, graph.nodes[match.linear].inputs[0], match.linear, i)) {
        report.leave(i, "the linear's input is overwritten before the sum");
      } else if (!is_supported(graph, target, match)) {
        report.leave(i, missing_op(target, kFused));
      } else {
        matches.emplace(i, match);
        break;
      }
    }
  }
  return matches;
}

}  // namespace

Graph fuse_linear_add(const Graph& graph, const Target& target, PassReport& report) {
  if (!has_kernels(target, kFused)) return graph;
  const auto matches = find_matches(graph, target, report);
  std::vector<bool> is_fused(graph.nodes.size(), false);
  for (const auto& [add, match] : matches) is_fused[match.linear] = true;
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (is_fused[i]) continue;
    const auto match = matches.find(i);
    if (match == matches.end()) {
      rewriter.copy(graph.nodes[i]);
      continue;
    }
    std::vector<Value> inputs = {rewriter.map(match->second.residual)};
    for (ValueId id : graph.nodes[match->second.linear].inputs)
      inputs.push_back(id == kNoValue ? Value() : rewriter.map(id));
    rewriter.replace(graph.nodes[i].outputs[0], rewriter.builder().call(kFused, inputs)[0]);
    report.did(i, fmt::format("aten::linear + aten::add → {}", kFused));
  }
  return rewriter.finish();
}

}  // namespace musaic
