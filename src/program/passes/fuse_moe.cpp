#include <fmt/format.h>

#include <map>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kGate = "musaic::moe_gate";
constexpr const char* kRoute = "musaic::moe_route";
constexpr const char* kCombine = "musaic::moe_combine";
constexpr const char* kAdd = "aten::add";
constexpr const char* kGateRoute = "musaic::moe_gate_route";
constexpr int kAddend = 3;  // of kCombine

// Everything that the combine reads is read by it alone, so that it may run later.
bool may_move(const Graph& graph, const Uses& uses, int combine) {
  const Node& node = graph.nodes[combine];
  for (int input = 0; input < kAddend; ++input) {
    if (!uses.only_used_by(node.inputs[input], combine)) return false;
  }
  return node.inputs[kAddend] == kNoValue;
}

// By the second node of a pair, the first.
std::map<int, int> find_matches(const Graph& graph, PassReport& report) {
  const Uses uses(graph);
  std::map<int, int> matches;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == kRoute) {
      const int gate = uses.sole_maker(node.inputs[0], kGate, i);
      if (gate >= 0) {
        matches.emplace(i, gate);
      } else {
        report.leave(i, "the chosen experts are read by others too");
      }
    }
    if (node.op == kAdd) {
      const int combine = uses.sole_maker(node.inputs[0], kCombine, i);
      if (combine >= 0 && node.inputs[1] != node.inputs[0] && may_move(graph, uses, combine))
        matches.emplace(i, combine);
    }
  }
  return matches;
}

struct FusedCall {
  const char* op;
  std::vector<Value> inputs;
  Attributes attributes;
};

FusedCall fused_call(const Node& first, const Node& second, const Rewriter& rewriter) {
  FusedCall call{second.op == kRoute ? kGateRoute : kCombine, {}, first.attributes};
  const int inputs = second.op == kRoute ? 1 : kAddend;
  for (int input = 0; input < inputs; ++input) call.inputs.push_back(rewriter.map(first.inputs[input]));
  if (second.op == kAdd) call.inputs.push_back(rewriter.map(second.inputs[1]));
  if (second.op == kRoute) {
    for (const char* name : {"layout", "alignment"})
      call.attributes.set(name, second.attributes.entries().find(name)->second);
  }
  return call;
}

}  // namespace

Graph fuse_moe(const Graph& graph, const Target& target, PassReport& report) {
  const auto matches = find_matches(graph, report);
  std::map<int, int> seconds;
  for (const auto& [second, first] : matches) seconds.emplace(first, second);
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    if (seconds.contains(i)) continue;
    const auto match = matches.find(i);
    if (match == matches.end()) {
      rewriter.copy(node);
      continue;
    }
    const Node& first = graph.nodes[match->second];
    const FusedCall call = fused_call(first, node, rewriter);
    if (!supports(target, call.op, call.inputs, call.attributes)) {
      report.leave(i, missing_op(target, call.op));
      rewriter.copy(first);
      rewriter.copy(node);
      continue;
    }
    const auto results = rewriter.builder().call(call.op, call.inputs, call.attributes);
    size_t next = 0;
    if (node.op == kRoute) rewriter.replace(first.outputs[0], results[next++]);
    for (ValueId id : node.outputs) rewriter.replace(id, results[next++]);
    report.did(i, fmt::format("{} + {} → {}", first.op, node.op, call.op));
  }
  return rewriter.finish();
}

}  // namespace musaic
