#include <fmt/format.h>

#include <optional>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kFused = "aten::_fused_swiglu_forward";

const Node* producer(const Graph& graph, ValueId id, const char* op) {
  const int node = graph.values[id].node;
  return node >= 0 && graph.nodes[node].op == op ? &graph.nodes[node] : nullptr;
}

bool is_half(const Graph& graph, const Node& slice, bool second) {
  const Meta& whole = graph.values[slice.inputs[0]].meta;
  const Dim& width = whole.dim(-1);
  if (!width.is_constant() || width.constant() % 2 != 0) return false;
  const int64_t half = width.constant() / 2;
  const Attributes& a = slice.attributes;
  return a.get_int("dim") == whole.rank() - 1 && a.get_int("start") == (second ? half : 0) &&
         a.get_int("end") == (second ? 2 * half : half);
}

// mul(silu(a), b): the silu, or nullptr.
const Node* match_silu_mul(const Graph& graph, const Node& mul) {
  return mul.op == "aten::mul" ? producer(graph, mul.inputs[0], "aten::silu") : nullptr;
}

// mul(silu(x[..., :d]), x[..., d:]): the x, if a and b are those halves.
std::optional<ValueId> halves_of(const Graph& graph, const Node& silu, const Node& mul) {
  const Node* up = producer(graph, mul.inputs[1], "aten::slice");
  const Node* gate = producer(graph, silu.inputs[0], "aten::slice");
  if (up == nullptr || gate == nullptr || gate->inputs[0] != up->inputs[0]) return std::nullopt;
  if (!is_half(graph, *gate, false) || !is_half(graph, *up, true)) return std::nullopt;
  return gate->inputs[0];
}

}  // namespace

// The halves and the silu lose their last reader; remove_dead_code takes them away.
Graph fuse_swiglu(const Graph& graph, const Target& target, PassReport& report) {
  Rewriter rewriter(target.registry, graph);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    const Node* silu = match_silu_mul(graph, node);
    const auto x = silu != nullptr ? halves_of(graph, *silu, node) : std::nullopt;
    if (!x) {
      if (silu != nullptr) report.leave(i, "gate and up are not the halves of one tensor");
      rewriter.copy(node);
      continue;
    }
    const std::vector<Value> inputs = {rewriter.map(*x)};
    if (!supports(target, kFused, inputs, {})) {
      report.leave(i, missing_op(target, kFused));
      rewriter.copy(node);
      continue;
    }
    rewriter.replace(node.outputs[0], rewriter.builder().call(kFused, inputs)[0]);
    report.did(i, fmt::format("aten::silu · aten::mul of two halves → {}", kFused));
  }
  return rewriter.finish();
}

}  // namespace musaic
