#include <fmt/format.h>

#include <map>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kNorm = "aten::rms_norm";
constexpr const char* kSwiglu = "aten::_fused_swiglu_forward";
constexpr const char* kFused = "musaic::rms_norm_linear";
constexpr const char* kFusedSwiglu = "musaic::rms_norm_linear_swiglu";

// A linear that alone reads a norm, and the swiglu that alone reads the linear; −1: there is none.
struct Match {
  int norm;
  int swiglu;
};

std::vector<ValueId> inputs_of(const Graph& graph, const Match& match, int linear) {
  const Node& norm = graph.nodes[match.norm];
  const Node& product = graph.nodes[linear];
  return {norm.inputs[0], norm.inputs[1], product.inputs[1],
          product.inputs.size() > 2 ? product.inputs[2] : kNoValue};
}

bool is_supported(const Graph& graph, const Target& target, const Match& match, int linear) {
  std::vector<const Meta*> metas;
  for (ValueId id : inputs_of(graph, match, linear))
    metas.push_back(id == kNoValue ? nullptr : &graph.values[id].meta);
  return supports(target, match.swiglu < 0 ? kFused : kFusedSwiglu, metas,
                  graph.nodes[match.norm].attributes);
}

int swiglu_of(const Graph& graph, const Uses& uses, ValueId product) {
  if (uses.of(product).size() != 1) return -1;
  const int user = uses.of(product)[0];
  const bool is_node = user < static_cast<int>(graph.nodes.size());
  return is_node && graph.nodes[user].op == kSwiglu ? user : -1;
}

std::map<int, Match> find_matches(const Graph& graph, const Target& target, PassReport& report) {
  const Uses uses(graph);
  std::map<int, Match> matches;  // by the linear's index
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (graph.nodes[i].op != "aten::linear") continue;
    const ValueId normed = graph.nodes[i].inputs[0];
    const int norm = graph.values[normed].node;
    if (norm < 0 || graph.nodes[norm].op != kNorm) continue;
    Match match{norm, swiglu_of(graph, uses, graph.nodes[i].outputs[0])};
    if (!uses.only_used_by(normed, i)) {
      report.leave(i, "the normed rows are read elsewhere too");
      continue;
    }
    if (is_written_between(graph, graph.nodes[norm].inputs[0], norm, i)) {
      report.leave(i, "the norm's input is overwritten before the linear");
      continue;
    }
    if (match.swiglu >= 0 && !is_supported(graph, target, match, i)) match.swiglu = -1;
    if (is_supported(graph, target, match, i)) {
      matches.emplace(i, match);
    } else {
      report.leave(i, missing_op(target, kFused) + " for these types");
    }
  }
  return matches;
}

}  // namespace

// The norm loses its last reader; remove_dead_code takes it away. What fuse_swiglu left without a reader must
// be gone before: it would count as a reader of the linear.
Graph fuse_norm_linear(const Graph& traced, const Target& target, PassReport& report) {
  if (!has_kernels(target, kFused)) return traced;
  PassReport unread;
  const Graph graph = remove_dead_code(traced, target, unread);
  const auto matches = find_matches(graph, target, report);
  std::vector<bool> is_fused(graph.nodes.size(), false);
  for (const auto& [linear, match] : matches) {
    if (match.swiglu >= 0) is_fused[match.swiglu] = true;
  }
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    if (is_fused[i]) continue;
    const auto found = matches.find(i);
    if (found == matches.end()) {
      rewriter.copy(graph.nodes[i]);
      continue;
    }
    const Match& match = found->second;
    std::vector<Value> inputs;
    for (ValueId id : inputs_of(graph, match, i))
      inputs.push_back(id == kNoValue ? Value() : rewriter.map(id));
    const char* op = match.swiglu < 0 ? kFused : kFusedSwiglu;
    const Value result = rewriter.builder().call(op, inputs, graph.nodes[match.norm].attributes)[0];
    rewriter.replace(graph.nodes[match.swiglu < 0 ? i : match.swiglu].outputs[0], result);
    report.did(i, fmt::format("{} + aten::linear{} → {}", kNorm,
                              match.swiglu < 0 ? "" : fmt::format(" + {}", kSwiglu), op));
  }
  return rewriter.finish();
}

}  // namespace musaic
