#include <fmt/format.h>

#include <map>
#include <optional>

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

constexpr const char* kQuantize = "musaic::quantize_q8";
constexpr const char* kLinear = "musaic::linear_q8";

bool is_quantized_linear(const Graph& graph, const Node& node) {
  return node.op == "aten::linear" && is_block_quantized(graph.values[node.inputs[1]].meta.dtype);
}

// Emits the integer path of one linear; activations that several linears read are quantized once.
class LinearQuantizer {
 public:
  LinearQuantizer(const Target& target, Rewriter& rewriter) : target_(target), rewriter_(rewriter) {}

  bool quantize(const Node& node) {
    Activations& activations = activations_of(node.inputs[0]);
    if (activations.metas.empty() || !weight_is_supported(node, activations)) return false;
    if (activations.values.empty())
      activations.values = rewriter_.builder().call(kQuantize, {rewriter_.map(node.inputs[0])});
    std::vector<Value> inputs = activations.values;
    inputs.push_back(rewriter_.map(node.inputs[1]));
    inputs.push_back(rewriter_.map(node.inputs[2]));
    rewriter_.replace(node.outputs[0], rewriter_.builder().call(kLinear, inputs)[0]);
    return true;
  }

 private:
  // One float value quantized: its types (none: the device cannot), and its values once a linear needs them.
  struct Activations {
    std::vector<Meta> metas;
    std::vector<Value> values;
  };

  Activations& activations_of(ValueId x) {
    const auto [found, is_new] = quantized_.try_emplace(x);
    if (is_new && supports(target_, kQuantize, std::vector<Value>{rewriter_.map(x)}, {})) {
      const OpDef& op = target_.registry.get(kQuantize);
      const Attributes none;
      const Meta* input = &rewriter_.map(x).meta();
      for (FakeOutput& fake : op.fake({op.schema, {&input, 1}, none}))
        found->second.metas.push_back(std::move(fake.meta));
    }
    return found->second;
  }

  bool weight_is_supported(const Node& node, const Activations& activations) const {
    std::vector<const Meta*> metas;
    for (const Meta& meta : activations.metas) metas.push_back(&meta);
    for (int input : {1, 2}) {
      const Value value = rewriter_.map(node.inputs[input]);
      metas.push_back(value.defined() ? &value.meta() : nullptr);
    }
    return supports(target_, kLinear, metas, {});
  }

  const Target& target_;
  Rewriter& rewriter_;
  std::map<ValueId, Activations> quantized_;
};

}  // namespace

Graph quantize_linear(const Graph& graph, const Target& target, PassReport& report) {
  Rewriter rewriter(target.registry, graph);
  LinearQuantizer quantizer(target, rewriter);
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    if (!is_quantized_linear(graph, node)) {
      rewriter.copy(node);
      continue;
    }
    const std::string_view type = name(graph.values[node.inputs[1]].meta.dtype);
    if (quantizer.quantize(node)) {
      report.did(i, fmt::format("{} of {} → {} + {}", node.op, type, kQuantize, kLinear));
    } else {
      report.leave(i, fmt::format("{} for {}", missing_op(target, kLinear), type));
      rewriter.copy(node);
    }
  }
  return rewriter.finish();
}

}  // namespace musaic
