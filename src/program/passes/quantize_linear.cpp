#include <fmt/format.h>

#include <map>

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
    const Value x = rewriter_.map(node.inputs[0]);
    if (!supports(target_, kQuantize, std::vector<Value>{x}, {})) return false;
    const auto known = quantized_.find(node.inputs[0]);
    const bool is_known = known != quantized_.end();
    if (!is_known && !weight_is_supported(node, x)) return false;
    const std::vector<Value> activations =
        is_known ? known->second : rewriter_.builder().call(kQuantize, {x});
    const auto inputs = linear_inputs(node, activations);
    if (is_known && !supports(target_, kLinear, inputs, {})) return false;
    quantized_[node.inputs[0]] = activations;
    rewriter_.replace(node.outputs[0], rewriter_.builder().call(kLinear, inputs)[0]);
    return true;
  }

 private:
  std::vector<Value> linear_inputs(const Node& node, const std::vector<Value>& activations) const {
    return {activations[0], activations[1], activations[2], rewriter_.map(node.inputs[1]),
            rewriter_.map(node.inputs[2])};
  }

  // Asks in a scratch graph, so that no quantization is left over where the weight has no integer kernel.
  bool weight_is_supported(const Node& node, const Value& x) const {
    GraphBuilder scratch(target_.registry, "probe", target_.device);
    const Value probe = scratch.input("x", x.meta().dtype, x.meta().shape);
    auto inputs = scratch.call(kQuantize, {probe});
    const Value weight = rewriter_.map(node.inputs[1]);
    inputs.push_back(scratch.weight({"weight"}, weight.meta().dtype, weight.meta().shape));
    const Value bias = rewriter_.map(node.inputs[2]);
    if (bias.defined()) inputs.push_back(scratch.weight({"bias"}, bias.meta().dtype, bias.meta().shape));
    return supports(target_, kLinear, inputs, {});
  }

  const Target& target_;
  Rewriter& rewriter_;
  std::map<ValueId, std::vector<Value>> quantized_;
};

}  // namespace

Graph quantize_linear(const Graph& graph, const Target& target, PassReport& report) {
  Rewriter rewriter(target.registry, graph);
  LinearQuantizer quantizer(target, rewriter);
  for (const Node& node : graph.nodes) {
    if (!is_quantized_linear(graph, node)) {
      rewriter.copy(node);
    } else if (quantizer.quantize(node)) {
      ++report.rewrites;
    } else {
      const GraphValue& weight = graph.values[node.inputs[1]];
      report.notes.push_back(fmt::format("{}: {} has no {} for {}", weight.name, target.device.type, kLinear,
                                         name(weight.meta.dtype)));
      rewriter.copy(node);
    }
  }
  return rewriter.finish();
}

}  // namespace musaic
