#include <fmt/format.h>

#include <map>
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

// mul(silu(x[..., :d]), x[..., d:]): the x, if that is what the node computes.
std::optional<ValueId> match_swiglu(const Graph& graph, const Node& mul) {
  if (mul.op != "aten::mul") return std::nullopt;
  const Node* silu = producer(graph, mul.inputs[0], "aten::silu");
  const Node* up = producer(graph, mul.inputs[1], "aten::slice");
  if (silu == nullptr || up == nullptr) return std::nullopt;
  const Node* gate = producer(graph, silu->inputs[0], "aten::slice");
  if (gate == nullptr || gate->inputs[0] != up->inputs[0]) return std::nullopt;
  if (!is_half(graph, *gate, false) || !is_half(graph, *up, true)) return std::nullopt;
  return gate->inputs[0];
}

}  // namespace

// The halves and the silu lose their last reader; remove_dead_code takes them away.
Graph fuse_swiglu(const Graph& graph, const Target& target, PassReport& report) {
  Rewriter rewriter(target.registry, graph);
  for (const Node& node : graph.nodes) {
    const auto x = match_swiglu(graph, node);
    if (!x) {
      rewriter.copy(node);
      continue;
    }
    const std::vector<Value> inputs = {rewriter.map(*x)};
    if (!supports(target, kFused, inputs, {})) {
      report.notes.push_back(fmt::format("{} has no {}", target.device.type, kFused));
      rewriter.copy(node);
      continue;
    }
    rewriter.replace(node.outputs[0], rewriter.builder().call(kFused, inputs)[0]);
    ++report.rewrites;
  }
  return rewriter.finish();
}

}  // namespace musaic
