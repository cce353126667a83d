#include "ops/rms_norm/rms_norm.h"

#include <fmt/format.h>

#include <map>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kFused = "sgl_kernel::fused_add_rmsnorm";

// sum = add(residual, x); normed = rms_norm(sum): both written in place of residual and x.
struct Match {
  int norm;
  ValueId x;
  ValueId residual;
};

bool is_last_use(const Uses& uses, ValueId id, int node) {
  return !uses.of(id).empty() && uses.of(id).back() == node;
}

// The add may write over an operand that nobody reads afterwards and whose memory nobody else sees.
bool may_overwrite(const Graph& graph, const Uses& uses, ValueId id, int add) {
  const GraphValue& value = graph.values[id];
  return value.kind == ValueKind::kNode && value.meta.is_contiguous() && uses.owns_storage_alone(id) &&
         is_last_use(uses, id, add);
}

int find_norm(const Graph& graph, const Uses& uses, ValueId sum) {
  for (int user : uses.of(sum)) {
    if (user < static_cast<int>(graph.nodes.size()) && graph.nodes[user].op == "aten::rms_norm" &&
        graph.nodes[user].inputs[0] == sum) {
      return user;
    }
  }
  return -1;
}

std::map<int, Match> find_matches(const Graph& graph, PassReport& report) {
  const Uses uses(graph);
  std::map<int, Match> matches;  // by the add's index
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op != "aten::add") continue;
    const int norm = find_norm(graph, uses, node.outputs[0]);
    if (norm < 0) continue;
    const ValueId residual = node.inputs[0];
    const ValueId x = node.inputs[1];
    if (residual == x || !may_overwrite(graph, uses, residual, i) || !may_overwrite(graph, uses, x, i)) {
      report.leave(i, "an operand is still read or shared, so it cannot be overwritten");
      continue;
    }
    matches.emplace(i, Match{norm, x, residual});
  }
  return matches;
}

}  // namespace

Graph fuse_add_rms_norm(const Graph& graph, const Target& target, PassReport& report) {
  const auto matches = find_matches(graph, report);
  Rewriter rewriter(target.registry, graph);
  std::vector<bool> done(graph.nodes.size(), false);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (done[i]) continue;
    const Node& node = graph.nodes[i];
    const auto match = matches.find(i);
    if (match == matches.end()) {
      rewriter.copy(node);
      continue;
    }
    const Node& norm = graph.nodes[match->second.norm];
    const std::vector<Value> inputs = {rewriter.map(match->second.x), rewriter.map(match->second.residual),
                                       rewriter.map(norm.inputs[1])};
    if (!supports(target, kFused, inputs, norm.attributes)) {
      report.leave(i, missing_op(target, kFused));
      rewriter.copy(node);
      continue;
    }
    const auto [normed, sum] =
        fused_add_rms_norm(inputs[0], inputs[1], inputs[2], norm.attributes.get_float("eps"));
    rewriter.replace(node.outputs[0], sum);
    rewriter.replace(norm.outputs[0], normed);
    done[match->second.norm] = true;
    report.did(i, fmt::format("{} + {} → {}", node.op, norm.op, kFused));
  }
  return rewriter.finish();
}

}  // namespace musaic
