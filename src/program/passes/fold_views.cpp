#include <fmt/format.h>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

bool is_slice(const Graph& graph, ValueId id) {
  const int node = graph.values[id].node;
  return node >= 0 && graph.nodes[node].op == "aten::slice";
}

// The same values at the same place.
bool is_same_place(const GraphValue& a, const GraphValue& b) {
  return a.storage == b.storage && a.offset == b.offset && a.meta == b.meta;
}

// Folds one view after another, over the values of the new graph.
class ViewFolder {
 public:
  ViewFolder(const Graph& graph, const Target& target, PassReport& report)
      : graph_(graph), target_(target), report_(report), rewriter_(target.registry, graph) {}

  Graph run() {
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      if (!fold(i)) rewriter_.copy(graph_.nodes[i]);
    }
    return rewriter_.finish();
  }

 private:
  bool fold(int index) {
    const Node& node = graph_.nodes[index];
    if (!target_.registry.get(node.op).is_view) return false;
    const GraphValue& view = graph_.values[node.outputs[0]];
    const ValueId base = node.inputs[0];
    if (is_same_place(view, graph_.values[base])) {
      rewriter_.replace(node.outputs[0], rewriter_.map(base));
      report_.did(index, node.op + " of the whole → its base");
      return true;
    }
    const int below = graph_.values[base].node;
    if (below < 0 || !target_.registry.get(graph_.nodes[below].op).is_view) return false;
    const ValueId root = graph_.nodes[below].inputs[0];
    if (is_same_place(view, graph_.values[root])) {
      rewriter_.replace(node.outputs[0], rewriter_.map(root));
      report_.did(index, fmt::format("{} undoes {} → its base", node.op, graph_.nodes[below].op));
      return true;
    }
    return fold_slices(index, graph_.nodes[below]);
  }

  // slice(slice(x)) along one dimension.
  bool fold_slices(int index, const Node& inner) {
    const Node& outer = graph_.nodes[index];
    if (outer.op != "aten::slice" || !is_slice(graph_, outer.inputs[0])) return false;
    const Attributes& a = inner.attributes;
    const Attributes& b = outer.attributes;
    if (a.get_int("dim") != b.get_int("dim")) return false;
    const int64_t start = a.get_int("start");
    const Attributes folded = {
        {"dim", a.get_int("dim")}, {"start", start + b.get_int("start")}, {"end", start + b.get_int("end")}};
    rewriter_.replace(outer.outputs[0],
                      rewriter_.builder().call(outer.op, {rewriter_.map(inner.inputs[0])}, folded)[0]);
    report_.did(index, "slice of a slice → one slice");
    return true;
  }

  const Graph& graph_;
  const Target& target_;
  PassReport& report_;
  Rewriter rewriter_;
};

}  // namespace

// Views that lost their last reader are taken away by remove_dead_code.
Graph fold_views(const Graph& graph, const Target& target, PassReport& report) {
  return ViewFolder(graph, target, report).run();
}

}  // namespace musaic
